"""What follows from a loss: gradient, velocity, curvature, and a sound start."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.problem import Metric

RNG = np.random.default_rng(0)
MATRIX = RNG.standard_normal((4, 4))


def _loss(w: Any) -> Any:
    x = jnp.concatenate([w["a"], w["b"][0][None], w["b"][1].ravel()])
    return jnp.sum(jnp.sin(MATRIX @ x)) + jnp.sum(x**4)


class _Bare(gf.Problem):
    """A problem whose loss no annotation checks before `split` does."""

    function: Callable[[Any], Any]
    metric: Metric | None = None

    def loss(self, w: Any) -> Any:
        return self.function(w)

    def predict(self, w: Any) -> None:
        return None


W = {"a": jnp.array([0.3, -0.7]), "b": (jnp.array(0.2), jnp.array([[1.1]])), "c": None}


def _flat(w: Any) -> Any:
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(w)])


def test_gradient_and_velocity_are_those_written_out() -> None:
    """∇ = Mᵀ cos(M x) + 4x³ by hand; the velocity is minus it, times the rates."""
    x = _flat(W)
    expected = MATRIX.T @ np.cos(MATRIX @ x) + 4 * x**3
    problem = gf.Objective(_loss, rates={"a": 2.0, "b": (0.0, 3.0), "c": None})
    loss, grad = problem.loss_and_grad(W)
    np.testing.assert_allclose(loss, np.sum(np.sin(MATRIX @ x)) + np.sum(x**4))
    np.testing.assert_allclose(_flat(grad), expected, rtol=1e-12)
    np.testing.assert_allclose(_flat(problem.grad(W)), expected, rtol=1e-12)
    rates = np.array([2.0, 2.0, 0.0, 3.0])
    np.testing.assert_allclose(_flat(problem.velocity(W)), -rates * expected)
    assert grad["c"] is None


def test_hessian_vector_product_is_that_of_the_dense_hessian() -> None:
    """H = -Mᵀ diag(sin M x) M + diag(12 x²), by hand; the rates do not enter."""
    x = _flat(W)
    hessian = -MATRIX.T @ np.diag(np.sin(MATRIX @ x)) @ MATRIX + np.diag(12 * x**2)
    direction = jax.tree.map(lambda leaf: jnp.cos(3 * leaf), W)
    product = gf.Objective(_loss, rates=7.0).hvp(W, direction)
    np.testing.assert_allclose(_flat(product), hessian @ _flat(direction), rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "error", "words"),
    [
        (lambda w: w["d"], ValueError, "cannot be evaluated at w0.*'d'"),
        (lambda w: w["a"], ValueError, "must return a real scalar"),
        (lambda w: {"loss": w["b"][0]}, ValueError, "must return a real scalar"),
        (lambda w: 1j * w["b"][0], TypeError, "must be real floating point"),
        (lambda w: jnp.argmin(w["a"]), TypeError, "must be real floating point"),
    ],
)
def test_a_loss_that_does_not_fit_is_told(
    loss: Any, error: type[Exception], words: str
) -> None:
    """Wrong names, shapes and types show before anything is compiled."""
    with pytest.raises(error, match=words):
        _Bare(function=loss).split(W)


def test_a_start_that_is_not_finite_is_told() -> None:
    """One NaN anywhere is enough."""
    with pytest.raises(ValueError, match="not finite"):
        gf.Objective(_loss).split({**W, "a": jnp.array([0.0, jnp.nan])})
