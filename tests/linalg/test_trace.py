"""Trace and diagonal: errors are what they are said to be."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.linalg import trace_estimate

N, LANES, SAMPLES = 12, 300, 50
HALF = np.random.default_rng(5).normal(size=(N, N))
MATRIX = jnp.asarray(HALF + HALF.T)


def test_estimates_are_unbiased_and_their_errors_those_stated():
    """Over 300 runs: mean right, spread 2 Σ a_ij^2/samples, reported errors alike."""
    keys = jax.random.split(jax.random.key(0), LANES)

    @jax.jit
    def run(keys: Any) -> Any:
        return jax.vmap(
            lambda key: trace_estimate(
                lambda x: MATRIX @ x, jnp.zeros(N), SAMPLES, key=key
            )
        )(keys)

    got, dense = run(keys), np.asarray(MATRIX)
    off = dense - np.diag(np.diag(dense))
    spread = np.sqrt(2 * np.sum(off**2) / SAMPLES)
    # Means of 300 lie within 4 of their standard errors; spreads within 4/√600.
    assert abs(np.mean(got.trace) - np.trace(dense)) < 4 * spread / np.sqrt(LANES)
    assert abs(np.std(got.trace) / spread - 1) < 4 / np.sqrt(2 * LANES)
    assert abs(np.mean(got.trace_error) / spread - 1) < 0.05
    entry = np.sqrt(np.sum(off**2, axis=1) / SAMPLES)
    error = np.abs(np.mean(got.diagonal, axis=0) - np.diag(dense))
    assert np.all(error < 4 * entry / np.sqrt(LANES))
    np.testing.assert_allclose(np.mean(got.diagonal_error, axis=0), entry, rtol=0.05)


def test_diagonal_operators_are_exact_in_any_pytree():
    """z_i^2 = 1: no spread; structure and type are kept."""
    like = {"a": jnp.arange(3.0, dtype=jnp.float32), "b": jnp.ones((2, 1), jnp.float32)}
    got = trace_estimate(
        lambda x: jax.tree.map(jnp.multiply, like, x), like, 4, key=jax.random.key(1)
    )
    assert got.trace == 5
    assert got.trace_error == 0
    assert got.diagonal["b"].dtype == jnp.float32
    np.testing.assert_array_equal(got.diagonal["a"], like["a"])
    np.testing.assert_array_equal(got.diagonal_error["b"], 0)


def test_one_sample_has_no_error_estimate():
    """So it is refused."""
    with pytest.raises(ValueError, match="num_samples must be at least 2"):
        trace_estimate(lambda x: x, jnp.ones(2), 1, key=jax.random.key(0))
