"""Search without gradients, and L-BFGS."""

import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.steppers import lbfgs, search

CENTER = np.array([1.0, -2.0])


def bowl() -> gf.Objective:
    """A quadratic with its minimum 0 at CENTER, over a dict."""
    return gf.Objective(lambda w: jnp.sum((w["a"] - CENTER) ** 2))


W0 = {"a": jnp.zeros(2)}


def test_cma_es_finds_the_minimum_and_stops_there():
    """Loss below 1e-8 within 600 evaluations; saved is the best so far."""
    run = search(bowl(), W0, 600, spread=1.0, seed=0, loss_below=1e-8)
    assert run.result.name == "loss_reached"
    assert run.observed["loss"][-1] < 1e-8
    assert np.all(np.diff(run.observed["loss"][1:]) <= 0)
    np.testing.assert_allclose(run.w1["a"], CENTER, atol=1e-3)
    # The clock counts evaluations.
    assert run.stats["num_losses"] == run.ts[-1] < 600


def test_a_loss_below_zero_is_no_goal():
    """Unless one is given, all evaluations are spent, whatever sign the loss has."""
    low = gf.Objective(lambda w: jnp.sum(w["a"] ** 2) - 10)
    run = search(low, W0, 30, method="random", spread=1.0, seed=0)
    assert run.stats["num_losses"] == 30
    assert run.result.name == "reached_end"


def test_random_search_draws_from_the_gaussian_around_w0():
    """Its best of k samples has the law of the least of k; w0 is none of them."""
    best = [
        float(
            search(
                bowl(),
                {"a": jnp.asarray(CENTER)},
                20,
                method="random",
                spread=2.0,
                seed=s,
            ).observed["loss"][-1]
        )
        for s in range(30)
    ]
    # |w - c|^2 = 4 chi^2_2, whose least of 20 has mean 8/20 = 0.4 and the same
    # standard deviation: of 30 runs, 0.4 within 0.4/sqrt(30) = 0.073.
    assert abs(np.mean(best) - 0.4) < 4 * 0.073
    assert min(best) > 0


def test_the_same_seed_gives_the_same_search():
    """And another one another."""
    runs = [
        search(bowl(), W0, 30, method="cma_es_diagonal", spread=1.0, seed=s)
        for s in (1, 1, 2)
    ]
    a, b, c = (run.w1["a"] for run in runs)
    np.testing.assert_array_equal(a, b)
    assert np.any(np.asarray(a) != np.asarray(c))


def test_values_that_are_not_finite_are_passed_over():
    """A loss that is NaN left of 0 is minimized right of it."""
    problem = gf.Objective(lambda w: jnp.sum(jnp.sqrt(w)))
    run = search(problem, jnp.ones(1), 60, method="random", spread=1.0, seed=0)
    assert 0 <= float(run.w1[0]) < 0.5


@pytest.mark.parametrize(("num", "spread"), [(10, -1.0), (10, 0.0), (0, 1.0)])
def test_misuse_is_named(num: int, spread: float):
    """What was expected, and what came."""
    with pytest.raises(ValueError, match="num_evaluations >= 1 and a finite spread"):
        search(bowl(), W0, num, spread=spread, seed=0)


def test_lbfgs_takes_few_steps_on_an_ill_conditioned_quadratic():
    """Condition 1e4: below 1e-16 in 50 steps, where gradient descent needs 1e5."""
    scales = jnp.logspace(0, 4, 5)
    problem = gf.Objective(lambda w: jnp.sum(scales * w**2))
    run = gf.iterate(problem, lbfgs(), jnp.ones(5), num_steps=50)
    assert run.observed["loss"][-1] < 1e-16


def test_lbfgs_refuses_rates_and_an_empty_memory():
    """Its metric is its own."""
    problem = gf.Objective(lambda w: jnp.sum(w["a"] ** 2), rates={"a": 2.0})
    with pytest.raises(ValueError, match="metric of its own"):
        gf.iterate(problem, lbfgs(), W0 | {"a": jnp.ones(2)}, num_steps=2)
    with pytest.raises(ValueError, match="memory must be at least 1"):
        lbfgs(memory=0)
