"""Drift of invariants that were not declared before the run."""

import jax.numpy as jnp
import pytest

import gflow as gf


def balance(w: dict[str, jnp.ndarray]) -> jnp.ndarray:
    """u^2 - v^2, conserved for any loss of u v."""
    return w["u"] ** 2 - w["v"] ** 2


@pytest.fixture(scope="module")
def problem() -> gf.Objective:
    """(u v - 1)^2."""
    return gf.Objective(lambda w: (w["u"] * w["v"] - 1.0) ** 2)


W0 = {"u": jnp.array(2.0), "v": jnp.array(0.1)}


def test_after_the_run_equals_during_it(problem: gf.Objective):
    """Measured afterwards, the drift is the one that the run reports itself."""
    law = gf.Invariant(balance, formula="u^2 - v^2")
    run = gf.simulate(
        problem, gf.GradientFlow(), W0, t1=1.0, invariants={"balance": law}
    )
    after = gf.invariants.drift(run, {"balance": law})["balance"]
    assert after == run.drift["balance"]
    assert after.claimed is True
    # u^2 - v^2 = 3.99 at the start.
    assert after.absolute == pytest.approx(3.99 * after.relative)


def test_steps_break_it_at_first_order(problem: gf.Objective):
    """Gradient descent's drift halves with its step, and is not held against it."""
    # d(u^2 - v^2) in one step is eta^2 (L_u^2 - L_v^2): of order eta over a fixed time.
    law = gf.Invariant(balance, formula="u^2 - v^2")
    drifts = [
        gf.invariants.drift(
            gf.iterate(problem, gf.gradient_descent(1 / n), W0, num_steps=n),
            {"balance": law},
        )["balance"]
        for n in (400, 800)
    ]
    assert drifts[0].absolute / drifts[1].absolute == pytest.approx(2.0, rel=0.05)
    assert drifts[0].claimed is False


def test_needs_parameters(problem: gf.Objective):
    """Without parameters there is nothing to measure, and that is said."""
    save = gf.Save.log(num=3, keep_params=False)
    run = gf.simulate(problem, gf.GradientFlow(), W0, t1=0.1, save=save)
    with pytest.raises(ValueError, match="kept none"):
        gf.invariants.drift(run, {"balance": balance})
