"""How runs end, and that cutting them into stretches changes nothing."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import closed_form, flow, same_bits

import gflow as gf
from gflow import _march
from gflow.trajectory import ProgressLine, _progress

Outcome = gf.Outcome


@jax.custom_jvp
def _nan_slope(x: Any) -> Any:
    return x


@_nan_slope.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return x, jnp.where(x < 0.5, jnp.nan, 1.0) * dx


@jax.custom_jvp
def _wrong_sign(x: Any) -> Any:
    return 0.5 * x**2


@_wrong_sign.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return _wrong_sign(x), -x * dx


# Losses of w = (1, 1) at first, how the run ends, and the time it cannot pass.
FAULTS: dict[str, tuple[Callable[[Any], Any], Outcome, float]] = {
    "log of a negative number": (lambda w: jnp.log(-w[0]), Outcome.nonfinite_loss, 0),
    "square root at zero": (
        lambda w: jnp.sqrt(jnp.abs(w[0] - 1)),
        Outcome.nonfinite_grad,
        0,
    ),
    "gradient beyond the range of numbers": (
        lambda w: -(((1e38 * w[0]) ** 2) ** 4.05),
        Outcome.nonfinite_grad,
        0,
    ),
    "minimum": (lambda w: jnp.sum((w - 1) ** 2), Outcome.zero_gradient, 0),
    # w' = -1 from 1: reaches 1/2 at t = 1/2.
    "loss that becomes nan": (
        lambda w: jnp.where(w[0] < 0.5, jnp.nan, w[0]),
        Outcome.nonfinite_state,
        0.5,
    ),
    "gradient that becomes nan": (
        lambda w: _nan_slope(w[0]),
        Outcome.nonfinite_state,
        0.5,
    ),
    "where with a bad branch": (
        lambda w: w[0] + 0 * jnp.where(w[0] > 0.5, jnp.sqrt(w[0] - 0.5), 0.0),
        Outcome.nonfinite_state,
        0.5,
    ),
    # w' = 4 w³: w = (1 - 8t)^(-1/2).
    "power blow-up": (lambda w: -(w[0] ** 4), Outcome.blow_up, 0.125),
    # w' = eʷ: w = -log(1/e - t).
    "exponential blow-up": (lambda w: -jnp.exp(w[0]), Outcome.blow_up, np.exp(-1)),
    # w' = 2000 w: w = exp(2000 t), with w² beyond all numbers at half of their log.
    "exponential growth": (
        lambda w: -1000 * w[0] ** 2,
        Outcome.blow_up,
        0.5 * np.log(np.finfo(float).max / 1000) / 2000,
    ),
    # w' = -1/(2√w): w^(3/2) = 1 - 3t/4.
    "square root reached": (lambda w: jnp.sqrt(w[0]), Outcome.nonfinite_state, 4 / 3),
    # w' = -1/w in both: w² = 1 - 2t. The speed is beyond bounds as in a blow-up.
    "logarithm reached": (
        lambda w: jnp.sum(jnp.log(w)),
        Outcome.nonfinite_state,
        0.5,
    ),
    "kink": (lambda w: jnp.abs(w[0] - 0.5), Outcome.stalled, 0.5),
    "gradient of the wrong sign": (lambda w: _wrong_sign(w[0]), Outcome.ascent, 1e-6),
}
NAMES = list(FAULTS)


class _Faulty(eqx.Module):
    """One of the losses: which one is data, so that one program serves them all."""

    case: jax.Array

    def __call__(self, w: Any) -> Any:
        return jax.lax.switch(self.case, [f for f, _, _ in FAULTS.values()], w)


def _run(name: str, rate: float = 1.0, t1: float = 3.0, **options: Any) -> Any:
    problem = gf.Objective(_Faulty(jnp.asarray(NAMES.index(name))), rates=rate)
    w0 = options.pop("w0", jnp.ones(2))
    options = {"throw": False, **options}
    return gf.simulate(problem, gf.GradientFlow(), w0, t1, **options)


def _check_partial(run: gf.Trajectory, outcome: Outcome, last: float) -> None:
    """The outcome, and every number up to the fault kept and finite."""
    assert run.result is outcome
    assert not run.result.ok
    assert np.all(np.isfinite(run.ws))
    assert np.all(np.isfinite(run.ts))
    assert np.all(np.diff(run.ts) > 0)
    assert run.ts[0] == 0
    assert len(run.ts) == len(run.ws) == len(run.observed["loss"])
    # rtol 1e-6 and the overshoot of a first step past a fault at t = last; on a kink
    # Auto loosens it to 1e-3.
    assert abs(run.ts[-1] - last) <= (1e-2 if run.plan.solver != "Tsit5" else 1e-4)
    assert run.result.message in str(run)


@pytest.mark.parametrize("name", NAMES)
def test_fault_in_the_loss_has_its_outcome(name: str) -> None:
    """Each fault is named for what it is, at the time where it strikes."""
    _, outcome, last = FAULTS[name]
    _check_partial(_run(name), outcome, last)


def test_all_rates_zero_is_told() -> None:
    """Nothing moves: the run ends at w0."""
    _check_partial(_run("kink", rate=0.0), Outcome.zero_gradient, 0.0)


def test_step_budget_ends_a_run() -> None:
    """Exactly so many steps are tried."""
    run = _run("exponential blow-up", stops=[gf.MaxSteps(7)])
    assert run.result is Outcome.max_steps
    assert run.stats["num_steps"] == 7
    assert 0 < run.ts[-1] < np.exp(-1)


def test_wall_clock_ends_a_run() -> None:
    """A budget used up by the first stretch: that stretch is kept."""
    run = _run("exponential blow-up", stops=[gf.WallClock(1e-9)])
    assert run.result is Outcome.wall_clock
    assert 0 < run.stats["num_steps"] <= _progress.FIRST_BUDGET


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("loss that becomes nan", Outcome.nonfinite_state),
        ("exponential blow-up", Outcome.blow_up),
        # The time left when w = √(1 - 2t) is still 2e-4 is lost beside t = 1/2.
        ("logarithm reached", Outcome.step_underflow),
    ],
)
def test_time_underflows_sooner_in_float32(name: str, outcome: Outcome) -> None:
    """The causes are told apart all the same."""
    last = FAULTS[name][2]
    run = _run(name, w0=jnp.ones(2, jnp.float32), rtol=1e-4)
    assert run.result is outcome
    assert np.all(np.isfinite(run.ws))
    assert run.ts.dtype == np.float32
    assert abs(run.ts[-1] - last) <= 1e-2


def test_observable_that_becomes_nan_is_no_success() -> None:
    """All else is fine, the end is reached, and still the run is not called so."""
    form = closed_form("quartic")
    run = form.simulate(
        observables={"root": lambda t, w, p: jnp.sqrt(1.0 - t)}, throw=False
    )
    assert run.result is Outcome.nonfinite_observable
    # The first of the saved times, 1e-5 · 10^(6 k/199), past t = 1.
    assert "'root' first at t = 1.0" in run.verdict
    assert run.ts[-1] == 10.0


def test_run_error_carries_the_trajectory() -> None:
    """By default a run that stopped short raises, and says what to try."""
    with pytest.raises(gf.RunError, match=r"blow_up: .* t = 0\.125.*To try") as caught:
        _run("power blow-up", throw=True)
    _check_partial(caught.value.trajectory, Outcome.blow_up, 0.125)


def _interrupt_after(stretches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after so many stretches of at most two steps."""
    count = iter(range(10**6))

    def update(self: Any, t: float, **figures: float) -> None:
        if next(count) == stretches - 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressLine, "update", update)
    monkeypatch.setattr(_march, "FIRST_BUDGET", 2)
    monkeypatch.setattr(_progress, "_LARGEST_BUDGET", 2)


def test_interruption_keeps_what_was_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C raises a KeyboardInterrupt with the trajectory; it resumes to the bit."""
    form, whole = closed_form("quartic"), flow("quartic")
    with monkeypatch.context() as patch:
        _interrupt_after(3, patch)
        with pytest.raises(KeyboardInterrupt, match="interrupted") as caught:
            form.simulate()
    assert isinstance(caught.value, gf.RunInterrupted)
    partial = caught.value.trajectory
    assert partial.stats["num_steps"] == 2 * 3
    assert 0 < partial.ts[-1] < form.t1
    assert same_bits(form.simulate(resume=partial), whole)


@pytest.mark.parametrize("name", ["quartic", "regression"])
def test_resumed_runs_equal_the_uninterrupted_one(name: str) -> None:
    """Stopped by the step budget anywhere, and even several times: the same bits."""
    form, whole = closed_form(name), flow(name)
    for cut in (1, 2, 5, whole.stats["num_steps"] - 1):
        part = form.simulate(stops=[gf.MaxSteps(cut)], throw=False)
        assert part.result is Outcome.max_steps
        assert part.stats["num_steps"] == cut
        assert same_bits(form.simulate(resume=part), whole)
    part = None
    for cut in range(3, whole.stats["num_steps"], 3):
        part = form.simulate(stops=[gf.MaxSteps(cut)], throw=False, resume=part)
    assert part is not None
    assert same_bits(form.simulate(resume=part), whole)


def test_resumed_run_cuts_its_steps_where_the_uninterrupted_one_does() -> None:
    """A long schedule is saved in windows, whose ends clip a step: always the same."""
    form, save = closed_form("quartic"), gf.Save.at(np.linspace(0.01, 10.0, 600))
    whole = form.simulate(save=save)
    for cut in (4, 9, 14):
        part = form.simulate(save=save, stops=[gf.MaxSteps(cut)], throw=False)
        assert part.result is Outcome.max_steps
        assert same_bits(form.simulate(save=save, resume=part), whole)


@pytest.mark.parametrize("budget", [1, 3])
def test_length_of_stretches_changes_no_bit(
    budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a run is cut for the progress line, it is the same run."""
    monkeypatch.setattr(_march, "FIRST_BUDGET", budget)
    monkeypatch.setattr(_progress, "_LARGEST_BUDGET", budget)
    assert same_bits(closed_form("regression").simulate(), flow("regression"))


def test_resume_goes_on_to_a_later_end() -> None:
    """A finished run can be extended; its first part stays as it was."""
    form, whole = closed_form("quartic"), flow("quartic")
    longer = form.simulate(t1=40.0, resume=whole)
    assert longer.ts[-1] == 40.0
    assert form.error(longer) <= 100 * 1e-6
    before = longer.ts <= 10.0
    np.testing.assert_array_equal(longer.ts[before], whole.ts)
    np.testing.assert_array_equal(longer.ws[before], whole.ws)
    assert longer.stats["num_steps"] > whole.stats["num_steps"]


def test_resume_goes_on_past_a_stop() -> None:
    """A run that ended inside a step at a goal goes on from there to the end."""
    form = closed_form("quartic")
    # L = 1/(4 (1 + 2t)²): 1/100 at t = 2.
    part = form.simulate(stops=[gf.LossBelow(0.01)])
    assert part.result is Outcome.loss_reached
    np.testing.assert_allclose(part.ts[-1], 2.0, rtol=1e-4)
    run = form.simulate(resume=part)
    assert run.result is Outcome.reached_end
    assert run.ts[-1] == 10.0
    assert np.all(np.diff(run.ts) > 0)
    assert form.error(run) <= 100 * 1e-6
    assert run.stats["num_steps"] > part.stats["num_steps"]


def test_resume_refuses_another_run() -> None:
    """w0 and what is observed must be those of the stopped run."""
    form, whole = closed_form("quartic"), flow("quartic")
    with pytest.raises(ValueError, match="w0 is not the one"):
        gf.simulate(form.problem, gf.GradientFlow(), 2 * form.w0, 40.0, resume=whole)
    with pytest.raises(ValueError, match="the same observables"):
        form.simulate(resume=whole, observables={"t": lambda t, w, p: t})
    gd = gf.iterate(form.problem, gf.gradient_descent(0.1), form.w0, 3)
    with pytest.raises(TypeError, match="that simulate made"):
        form.simulate(resume=gd)
