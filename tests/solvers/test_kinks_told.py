"""What a flow on kinks is said to be where it is not unique, or cannot go on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from corners import TURNS, corner, report, solve

import gflow as gf
from gflow.problem import KinkedObjective
from gflow.solvers import Filippov

Outcome = gf.Outcome


def simulate(problem: Any, w0: Any, t1: float, **options: Any) -> gf.Trajectory:
    options = {"solver": Filippov(), "throw": False, **options}
    return gf.simulate(problem, gf.GradientFlow(), w0, t1, **options)


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


@pytest.fixture(scope="module")
def stopped() -> gf.Trajectory:
    """Past t = 1, where the flow ceases to be unique, to where y is -1/2."""
    return simulate(TURNS, jnp.array([0.0, 1.0, 0.0, 0.0]), 3.0, stops=STOPS)


STOPS = [gf.Target(lambda t, w, problem: w[1], -0.5)]


def test_a_stop_does_not_hide_that_the_flow_is_not_unique(stopped: Any) -> None:
    """The outcome names the stop, a note the rest."""
    assert stopped.result is Outcome.target_reached
    assert "the flow is not unique: 1 times" in str(stopped)


def test_a_resumed_run_knows_what_it_met(stopped: gf.Trajectory) -> None:
    """The solver begins afresh after the stop, its tally does not."""
    run = simulate(TURNS, stopped.w0, 3.0, resume=stopped)
    assert run.result is Outcome.reached_undetermined
    for name, value in stopped.stats["solver"].items():
        assert run.stats["solver"][name] >= value
    errors = (
        r.checkpoint.checkpoint.controller_state.error_sum for r in (stopped, run)
    )
    assert 0 < next(errors) <= next(errors)


LASSO = KinkedObjective(
    lambda w, act: jnp.sum(act(w)) + 0.5 * jnp.sum(w**2), slopes=(-1.0, 1.0)
)


@pytest.mark.parametrize("w0", [[0.0, 0.0, 0.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
def test_too_many_values_at_zero_are_named(w0: Any) -> None:
    """More than two, from the start or from the time when the third comes to zero."""
    solver = Filippov(max_held=2)
    run = simulate(LASSO, jnp.array(w0), 5.0, solver=solver)
    assert run.result is Outcome.crowded
    assert "for 2" in run.verdict
    assert "Filippov(max_held=" in run.verdict
    # w' = -1 - w from w0: at zero at t = log(1 + w0).
    assert run.ts[-1] == pytest.approx(np.log1p(w0[2]), rel=1e-6, abs=1e-300)


def test_the_default_room_holds_a_hundred() -> None:
    """90 of 100 values rest at zero from the start, the others come to it in time."""
    w0 = jnp.zeros(100).at[:10].set(jnp.linspace(0.1, 1.0, 10))
    run = simulate(LASSO, w0, 1.0, rtol=1e-4)
    assert run.result is Outcome.reached_end
    assert run.stats["solver"]["most_held"] == 100
    assert np.abs(run.w1).max() < 1e-12
    # The derivative taken there is that of one side, in each value ±1.
    assert run.observed["grad_norm"][-1] == pytest.approx(10.0)
    assert "grad_norm is that of one side" in str(run)


@pytest.mark.parametrize("solver", [Filippov(), gf.solvers.Auto()])
def test_leaves_that_are_no_parameters_reach_the_solver(solver: Any) -> None:
    """|x| with x and a function beside it."""
    problem = KinkedObjective(
        lambda w, act: jnp.sum(w["f"](act(w["x"]))), slopes=(-1.0, 1.0)
    )
    w0 = {"x": jnp.array([1.0, -3.0]), "f": jax.nn.relu}
    run = simulate(problem, w0, 2.0, solver=solver)
    assert run.plan.solver == "Filippov"
    np.testing.assert_allclose(run.w1["x"], [0.0, -1.0], atol=1e-12)


def test_kinks_in_float32() -> None:
    """The flow of a net's kinks to the tolerance, and as many of them as in float64."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    W, a = rng.standard_normal((6, 3)), rng.standard_normal(6) / 6**0.5

    def loss(w: Any, activate: Any) -> Any:
        inputs = jnp.asarray(X, w["a"].dtype)
        f = activate(inputs @ w["w"].T) @ w["a"]
        return 0.5 * jnp.sum((f - jnp.asarray(y, w["a"].dtype)) ** 2)

    runs = [
        simulate(
            KinkedObjective(loss),
            {"w": jnp.asarray(W, dtype), "a": jnp.asarray(a, dtype)},
            1.0,
            rtol=1e-4,
            atol=1e-6,
        )
        for dtype in ("float32", "float64")
    ]
    assert [run.result for run in runs] == [Outcome.reached_end] * 2
    narrow, wide = runs
    np.testing.assert_allclose(narrow.w1["w"], wide.w1["w"], atol=2e-3)
    for name in ("crossings", "slides", "exits", "most_held"):
        assert narrow.stats["solver"][name] == wide.stats["solver"][name]
