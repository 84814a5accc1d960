"""Gradients of minibatches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.steppers import Minibatch

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((7, 3)), RNG.standard_normal(7)


def risk() -> gf.EmpiricalRisk:
    return gf.EmpiricalRisk(
        lambda w, x: x @ w,
        X,
        Y,
        criterion=lambda f, y: 0.5 * jnp.mean((f - y) ** 2),
        penalty=lambda w: 0.1 * jnp.sum(w**2),
    )


@pytest.mark.parametrize("size", [1, 3])
def test_the_estimate_is_unbiased(size: int):
    """Its mean over N keys is the gradient, within 5 standard errors of each entry."""
    w = jnp.array([0.3, -1.0, 0.5])
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = np.asarray(jax.vmap(lambda key: Minibatch(risk(), size)(w, key))(keys))
    error = draws.std(axis=0) / np.sqrt(len(keys))
    exact = X.T @ (X @ np.asarray(w) - Y) / 7 + 0.2 * np.asarray(w)
    assert np.all(np.abs(draws.mean(axis=0) - exact) < 5 * error)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Minibatch(risk(), 0)
    with pytest.raises(ValueError, match="this risk is a sum"):
        Minibatch(gf.EmpiricalRisk(lambda w, x: x @ w, X, Y), 2)
