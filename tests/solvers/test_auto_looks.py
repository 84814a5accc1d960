"""What `Auto` makes of a look: the table in its docstring, line by line."""

import math
from typing import Any

import diffrax
import pytest

from gflow.solvers import BDF, RKC, Auto, Choice, Look, Probe
from gflow.solvers._auto import forecast
from gflow.trajectory import Plan


def _choice(solver: Any) -> Choice:
    last = Look(t=1.0, t1=100.0, h=0.1, num_attempts=16, num_rejected=0)
    return Choice(solver, Plan("first", "because"), 32, last)


def _probe(stiffness: float, rough: bool = False, operations: float = 1e4) -> Probe:
    return Probe(lambda: stiffness, lambda: rough, lambda: operations)


def _no_probe() -> Probe:
    def never() -> Any:
        raise AssertionError("a look that should have cost nothing")

    return Probe(never, never, never)


def _revised(solver: Any, look: Look, probe: Probe, implicit: bool = True) -> Choice:
    return Auto().revised(
        _choice(solver), look, rtol=1e-3, implicit=implicit, probe=probe
    )


_DEAR = Look(t=2.0, t1=1e6, h=0.1, num_attempts=64, num_rejected=0)


@pytest.mark.parametrize(
    ("probe", "implicit", "expected"),
    [
        (_probe(3.0), True, BDF),
        (_probe(3.0), False, RKC),
        (_probe(0.1, True), True, diffrax.Bosh3),
        (_probe(0.1, False), True, diffrax.Tsit5),
    ],
)
def test_a_dear_forecast_is_looked_into(
    probe: Probe, implicit: bool, expected: type
) -> None:
    """Rough: kinks; held by stability: stiff; neither: it stays."""
    choice = _revised(diffrax.Tsit5(), _DEAR, probe, implicit)
    assert isinstance(choice.solver, expected)
    assert (choice.least_rtol > 0) == (expected is diffrax.Bosh3)
    assert choice.next_look == 96


@pytest.mark.parametrize(("operations", "recycles"), [(1e4, True), (100.0, False)])
def test_recycling_is_for_dear_gradients(operations: float, recycles: bool) -> None:
    """A gradient in 100 operations a parameter is cheaper than what recycling takes."""
    chosen = _revised(diffrax.Tsit5(), _DEAR, _probe(3.0, False, operations)).solver
    assert isinstance(chosen, BDF)
    assert (chosen.num_ritz > 0) == recycles


def test_a_cheap_forecast_is_not_looked_into() -> None:
    """h grows with t: 20 log(50) = 78 steps are left."""
    look = Look(t=2.0, t1=100.0, h=0.2, num_attempts=64, num_rejected=0)
    assert isinstance(
        _revised(diffrax.Tsit5(), look, _no_probe()).solver, diffrax.Tsit5
    )


@pytest.mark.parametrize(
    ("implicit", "steps", "attempts", "stiffness", "expected"),
    [
        (True, 500, 24, 3.0, BDF),
        (True, 500, 24, 0.5, diffrax.Tsit5),
        (True, 500, 128, 0.5, BDF),
        (True, 500, 128, 0.1, diffrax.Tsit5),
        (True, 150, 24, 3.0, diffrax.Tsit5),
        (True, 150, 60, 3.0, BDF),
        (True, 80, 200, 3.0, diffrax.Tsit5),
        (False, 150, 60, 3.0, diffrax.Tsit5),
        (False, 500, 60, 3.0, RKC),
        (False, 500, 200, 0.5, diffrax.Tsit5),
    ],
)
def test_what_is_dear_falls_with_what_is_known(
    implicit: bool, steps: int, attempts: int, stiffness: float, expected: type
) -> None:
    """At rtol 1e-3 BDF takes 573 gradients for a whole flow, RKC 1,048.

    500, 150 and 80 steps ahead are 3,000, 900 and 480; held by stability they are dear
    from 40/n times that, held by accuracy from 128/n, and from once in the end.
    """
    look = Look(
        t=2.0, t1=2.0 + 0.1 * steps, h=0.1, num_attempts=attempts, num_rejected=0
    )
    chosen = _revised(diffrax.Tsit5(), look, _probe(stiffness), implicit).solver
    assert isinstance(chosen, expected)


def test_kinks_are_no_stiffness() -> None:
    """Differences across one look stiff; and early on nothing is concluded from it."""
    for attempts, expected in ((24, diffrax.Tsit5), (128, diffrax.Bosh3)):
        look = Look(t=2.0, t1=52.0, h=0.1, num_attempts=attempts, num_rejected=0)
        chosen = _revised(diffrax.Tsit5(), look, _probe(3.0, True)).solver
        assert isinstance(chosen, expected)


def test_the_first_look_takes_the_step_as_constant() -> None:
    """5,000 gradients ahead after 8 attempts: dear if held by stability, else not."""
    first = Auto().first()
    look = Look(t=2.0, t1=2.0 + 5000 / 60, h=0.1, num_attempts=8, num_rejected=0)
    for stiffness, expected in ((3.0, BDF), (0.5, diffrax.Tsit5)):
        probe = _probe(stiffness)
        chosen = Auto().revised(first, look, rtol=1e-3, implicit=True, probe=probe)
        assert isinstance(chosen.solver, expected)


@pytest.mark.parametrize(("rejected", "expected"), [(60, RKC), (10, BDF)])
def test_an_implicit_solver_that_fails_is_left(rejected: int, expected: type) -> None:
    """More than half of 100 steps rejected."""
    look = Look(t=2.0, t1=100.0, h=0.1, num_attempts=116, num_rejected=rejected)
    probe = _probe(3.0) if rejected > 50 else _no_probe()
    assert isinstance(_revised(BDF(), look, probe).solver, expected)


@pytest.mark.parametrize("solver", [BDF(), RKC()])
@pytest.mark.parametrize(("h", "rejected"), [(1e-7, 10), (0.1, 60)])
def test_a_solver_that_creeps_or_fails_on_kinks_is_left(
    solver: Any, h: float, rejected: int
) -> None:
    """1e9 steps ahead, or more than half rejected, where f jumps; else BDF."""
    look = Look(t=2.0, t1=100.0, h=h, num_attempts=116, num_rejected=rejected)
    creeps = h < 1e-3
    if creeps or isinstance(solver, BDF):
        choice = _revised(solver, look, _probe(3.0, True))
        assert isinstance(choice.solver, diffrax.Bosh3)
        assert choice.least_rtol == 1e-3
    if creeps:
        smooth = [
            _revised(solver, look, _probe(3.0), implicit=i) for i in (True, False)
        ]
        assert isinstance(smooth[0].solver, BDF)
        assert smooth[1].solver is solver


def test_failures_add_up_over_looks() -> None:
    """20 of 28 steps rejected, no look seeing more than 14 of them."""
    early = Look(t=2.0, t1=100.0, h=0.1, num_attempts=30, num_rejected=10)
    later = Look(t=2.0, t1=100.0, h=0.1, num_attempts=44, num_rejected=20)
    choice = _revised(BDF(), early, _no_probe())
    assert isinstance(choice.solver, BDF)
    choice = Auto().revised(choice, later, rtol=1e-3, implicit=True, probe=_probe(3.0))
    assert isinstance(choice.solver, RKC)


def test_the_forecast_is_the_integral_of_the_inverse_step() -> None:
    """∫ dt/h with h constant, with h ∝ t, and with h ∝ 1/t, over [2, 200]."""

    def steps(h_last: float) -> float:
        last = Look(t=1.0, t1=200.0, h=h_last, num_attempts=16, num_rejected=0)
        now = Look(t=2.0, t1=200.0, h=0.1, num_attempts=32, num_rejected=0)
        return forecast(last, now)

    assert steps(0.1) == pytest.approx(198 / 0.1)
    assert steps(0.05) == pytest.approx(2 / 0.1 * math.log(100))
    # h = 0.2/t: ∫ t/0.2 dt = (200² - 2²)/0.4.
    assert steps(0.2) == pytest.approx((200**2 - 2**2) / 0.4)
