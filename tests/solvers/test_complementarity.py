"""Kinks that meet at a point are resolved together."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.solvers._complementarity import inverse_masked, resolve, solve_near

RESOLVE = jax.jit(resolve)


def by_enumeration(K: Any, b: Any, low: Any, high: Any) -> Any:
    """The one of all 3^n assignments that satisfies every condition."""
    n = len(b)
    for status in itertools.product((-1, 0, 1), repeat=n):
        s = np.array(status)
        mu = np.where(s < 0, low, high)
        free = s == 0
        if free.any():
            right = b[free] - K[np.ix_(free, ~free)] @ mu[~free]
            mu[free] = np.linalg.solve(K[np.ix_(free, free)], right)
        v = b - K @ mu
        inside = np.all(mu >= low - 1e-12) and np.all(mu <= high + 1e-12)
        sides = np.all(v[s < 0] <= 1e-12) and np.all(v[s > 0] >= -1e-12)
        if inside and sides:
            return s, mu
    raise AssertionError


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_enumeration(seed: int) -> None:
    """Positive definite Gram matrices of four pairs, in room for six."""
    rng = np.random.default_rng(seed)
    normals = rng.standard_normal((4, 5))
    K, b = normals @ normals.T, 4 * rng.standard_normal(4)
    low, high = -rng.uniform(0, 1, 4), rng.uniform(0.1, 1, 4)
    expected, mu = by_enumeration(K, b, low, high)
    wide = np.zeros((6, 6))
    wide[:4, :4] = K
    pad = [jnp.asarray(np.pad(x, (0, 2))) for x in (b, low, high)]
    open_ = jnp.arange(6) < 4
    found = RESOLVE(
        jnp.asarray(wide), pad[0], (pad[1], pad[2]), jnp.zeros(6, int), open_
    )
    assert bool(found.solved)
    np.testing.assert_array_equal(found.status[:4], expected)
    np.testing.assert_allclose(found.mu[:4], mu, atol=1e-11)


def test_many_pairs_meet_the_conditions() -> None:
    """Forty pairs whose normals span ten dimensions: μ is not unique, v is."""
    rng = np.random.default_rng(3)
    normals = rng.standard_normal((40, 10))
    K, b = normals @ normals.T, normals @ rng.standard_normal(10) * 5
    low, high = jnp.zeros(40), jnp.asarray(rng.uniform(0.05, 1, 40))
    found = RESOLVE(
        jnp.asarray(K),
        jnp.asarray(b),
        (low, high),
        jnp.zeros(40, int),
        jnp.ones(40, bool),
    )
    v = b - K @ found.mu
    assert bool(found.solved)
    status = np.asarray(found.status)
    assert np.abs(v[status == 0]).max(initial=0) < 1e-5
    assert v[status < 0].max(initial=-1) <= 1e-5
    assert v[status > 0].min(initial=1) >= -1e-5
    assert np.all((found.mu >= -1e-5) & (found.mu <= high + 1e-5))


def test_pairs_outside_keep_their_status() -> None:
    """A repelling pair is given, and the other adapts to its slope."""
    # v = b - K mu with mu_0 = 1 given: v_1 = 1 - 0.5 - mu_1 = 0 at mu_1 = 0.5.
    K = jnp.array([[1.0, 0.5], [0.5, 1.0]])
    bounds = jnp.zeros(2), jnp.ones(2)
    status, open_ = jnp.array([1, 0]), jnp.array([False, True])
    found = RESOLVE(K, jnp.array([3.0, 1.0]), bounds, status, open_)
    np.testing.assert_array_equal(found.status, [1, 0])
    np.testing.assert_allclose(found.mu, [1.0, 0.5], atol=1e-12)


def test_inverse_and_its_use_nearby() -> None:
    """K^-1 within the mask; a matrix near K is solved for from K's inverse."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    K, mask = root @ root.T, np.array([1, 0, 1, 1, 0, 1], bool)
    inverse = inverse_masked(jnp.asarray(K), jnp.asarray(mask))
    expected = np.zeros((6, 6))
    expected[np.ix_(mask, mask)] = np.linalg.inv(K[np.ix_(mask, mask)])
    np.testing.assert_allclose(inverse, expected, rtol=1e-8, atol=1e-9)
    other = rng.standard_normal((6, 6))
    near, v = K + 0.1 * other @ other.T, rng.standard_normal(6)
    nu = np.asarray(
        solve_near(jnp.asarray(near), inverse, jnp.asarray(v), jnp.asarray(mask))
    )
    np.testing.assert_allclose((near @ nu)[mask], v[mask], atol=1e-11)
    assert np.all(nu[~mask] == 0)
