"""Empirical risk."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf

X, Y = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([1.0, -1.0])
W = jnp.array([1.0, -1.0])


def _linear(w: Any, x: Any) -> Any:
    return x @ w


def test_loss_is_criterion_plus_penalty() -> None:
    """Residuals (-1 - 1, -1 + 1) = (-2, 0): ½·4 = 2 with the default criterion."""
    assert float(gf.EmpiricalRisk(_linear, X, Y).loss(W)) == 2.0
    problem = gf.EmpiricalRisk(
        _linear,
        X,
        Y,
        criterion=lambda f, y: jnp.mean(jnp.abs(f - y)),
        penalty=lambda w: 3 * jnp.sum(w**2),
    )
    assert float(problem.loss(W)) == 1.0 + 6.0
    np.testing.assert_array_equal(problem.predict(W), [-1.0, -1.0])


def test_gradient_is_that_of_the_normal_equations() -> None:
    """∇ = Xᵀ(Xw - y) = (1, 2)·(-2) = (-2, -4); with rate ½ the velocity is (1, 2)."""
    problem = gf.EmpiricalRisk(_linear, X, Y, rates=0.5)
    np.testing.assert_array_equal(problem.grad(W), [-2.0, -4.0])
    np.testing.assert_array_equal(problem.velocity(W), [1.0, 2.0])


def test_data_may_be_trees() -> None:
    """Inputs and targets of several arrays each."""
    problem = gf.EmpiricalRisk(
        lambda w, x: {"f": x["a"] @ w + x["b"]},
        {"a": X, "b": np.ones(2)},
        {"y": Y},
        criterion=lambda f, y: jnp.sum(f["f"] - y["y"]),
    )
    assert float(problem.loss(W)) == (0.0 + 0.0) - (1.0 - 1.0)


@pytest.mark.parametrize(("x", "y"), [(X * np.nan, Y), (X, Y * np.inf)])
def test_data_that_are_not_finite_are_told(x: Any, y: Any) -> None:
    """NaN or infinity in inputs or targets."""
    with pytest.raises(ValueError, match="hold a number that is not finite"):
        gf.EmpiricalRisk(_linear, x, y)
