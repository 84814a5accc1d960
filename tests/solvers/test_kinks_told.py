"""What a flow on kinks is said to be where it is not unique, or cannot go on."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from corners import SOLVER, corner, report, solve

import gflow as gf
from gflow.problem import KinkedObjective
from gflow.solvers import Filippov

Outcome = gf.Outcome


@pytest.mark.parametrize(
    ("slope", "times", "end"),
    [
        # -|x|: both sides lead away from 0, at rate 1.
        (0.0, 1, 1.0),
        # -|x| + x: velocity 0 above and -2 below: to stay, or to go down.
        (1.0, 1, None),
        # -|x| + 3 x: velocity -2 above and -4 below: down it goes.
        (3.0, 0, -4.0),
        (-3.0, 0, 4.0),
    ],
)
def test_a_start_on_a_repelling_kink(slope: float, times: int, end: Any) -> None:
    """It is undetermined if both sides, or one and rest, are solutions."""
    run = solve(corner([[1.0]], [-1.0], [slope]), [0.0], [1.0])
    # The rows of B that are zero lie on no kink, though their z is zero.
    assert report(run)["undetermined"] == times
    if end is not None:
        assert abs(run.ys[-1, 0]) == pytest.approx(abs(end), rel=1e-12)
        assert times or np.sign(run.ys[-1, 0]) == np.sign(end)


UNRESOLVED = [[-1.0, 0.0, 0.0], [3.0, 1.0, 2.0], [-3.0, -1.0, 3.0]]


def test_a_start_that_is_not_resolved_is_told() -> None:
    """Three kinks meet at the start, all repelling, and no sides are found that hold.

    There are some, as the loss has a steepest descent: to say nothing would be to
    claim that the way taken is it.
    """
    run = solve(corner(UNRESOLVED, -np.ones(3), [-2.0, 0.0, 3.0]), np.zeros(3), [1e-3])
    assert report(run)["unresolved"] == 1


def loss(w: Any, activate: Any) -> Any:
    """y |x| + y + |v|, with a function among the leaves of w."""
    x, y, v = w["xyv"]
    folded = activate(jnp.stack([x, v]))
    return w["f"](folded @ jnp.stack([y, jnp.ones_like(y)])) + y


PROBLEM = KinkedObjective(loss, slopes=(-1.0, 1.0))


def simulate(xyv: list[float], stop: float = -5.0, **options: Any) -> gf.Trajectory:
    """With room for one value at zero, until y is at `stop`: one program for all."""
    stops = [gf.Target(_second, stop)]
    w0 = {"xyv": jnp.array(xyv), "f": jnp.positive}
    return gf.simulate(
        PROBLEM,
        gf.GradientFlow(),
        w0,
        2.0,
        solver=Filippov(max_held=1),
        stops=stops,
        throw=False,
        **options,
    )


def _second(t: Any, w: Any, problem: gf.Problem) -> Any:
    return w["xyv"][1]


@pytest.fixture(scope="module")
def stopped() -> gf.Trajectory:
    """y falls at rate 1 while x is held, until t = 1; past it x may go either way."""
    return simulate([0.0, 1.0, 9.0], -0.5)


def test_a_stop_does_not_hide_that_the_flow_is_not_unique(stopped: Any) -> None:
    """The outcome names the stop, a note the rest."""
    assert stopped.result is Outcome.target_reached
    assert "the flow is not unique: 1 times" in str(stopped)
    assert "grad_norm is that of one side" in str(stopped)


def test_a_resumed_run_knows_what_it_met(stopped: gf.Trajectory) -> None:
    """The solver begins afresh after the stop, its tally does not."""
    run = simulate([0.0, 1.0, 9.0], resume=stopped)
    assert run.result is Outcome.reached_undetermined
    for name, value in stopped.stats["solver"].items():
        assert run.stats["solver"][name] >= value
    first, last = (
        float(r.checkpoint.checkpoint.controller_state.error_sum)
        for r in (stopped, run)
    )
    assert 0 < first <= last


@pytest.mark.parametrize("xyv", [[0.0, 5.0, 0.0], [0.1, 5.0, 1.0]])
def test_too_many_values_at_zero_are_named(xyv: list[float]) -> None:
    """x is held, or soon comes to be; v' = -1 reaches zero at t = v."""
    run = simulate(xyv)
    assert run.result is Outcome.crowded
    assert "(for 1)" in run.verdict
    assert "Filippov(max_held=" in run.verdict
    assert run.ts[-1] == pytest.approx(xyv[2], rel=1e-12, abs=1e-300)


def test_kinks_in_float32() -> None:
    """|x| - x y - y/2 from (1/2, 0): onto x = 0 and, at y = 1, off it.

    In closed form (see `exit_exact`): τ after log 2 + 1 it is at x = (cosh τ - 1)/2,
    y = 1 + (sinh τ)/2.
    """
    problem = corner([[1.0]], [1.0], [0.0, -0.5], [[0.0, -1.0], [-1.0, 0.0]])
    narrow, w0 = jax.tree.map(
        lambda x: jnp.asarray(x, "float32"),
        (eqx.filter(problem, eqx.is_array), jnp.array([0.5, 0.0, 0.0, 0.0])),
    )
    run = eqx.filter_jit(diffrax.diffeqsolve)(
        diffrax.ODETerm(lambda t, w, problem: problem.velocity(w)),
        SOLVER,
        jnp.zeros((), "float32"),
        jnp.asarray(3.0, "float32"),
        jnp.asarray(0.1, "float32"),
        w0,
        eqx.combine(narrow, problem),
        saveat=diffrax.SaveAt(t1=True, solver_state=True),
        stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-7),
        max_steps=2000,
    )
    tau = 2 - np.log(2)
    exact = [0.5 * (np.cosh(tau) - 1), 1 + 0.5 * np.sinh(tau)]
    assert run.ys is not None
    np.testing.assert_allclose(run.ys[-1, :2], exact, rtol=1e-3)
    assert [report(run)[k] for k in ("slides", "exits", "unresolved")] == [1, 1, 0]
