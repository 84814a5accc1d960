"""The first zero of many polynomials."""

import jax
import jax.numpy as jnp
import numpy as np

from gflow.solvers._crossings import first_crossing, quadratic, quartic

FIRST = jax.jit(first_crossing)


def test_quartic_interpolates_values_and_slopes() -> None:
    """Any quartic is given back by its values at 0, 1/2, 1 and its end slopes."""
    c = np.random.default_rng(0).standard_normal((5, 3))
    at = lambda x: np.polynomial.polynomial.polyval(x, c)  # noqa: E731
    slope = lambda x: np.polynomial.polynomial.polyval(  # noqa: E731
        x, np.polynomial.polynomial.polyder(c)
    )
    data = at(0.0), slope(0.0), at(0.5), at(1.0), slope(1.0)
    np.testing.assert_allclose(quartic(*map(jnp.asarray, data)), c, atol=1e-12)


def test_quadratic_interpolates() -> None:
    """Values at 0, 0.3 and 1 of 1 - 2x + 3x²."""
    values = [jnp.array([1 - 2 * x + 3 * x**2]) for x in (0.0, 0.3, 1.0)]
    found = np.asarray(quadratic(values[0], values[1], values[2], 0.3))[:, 0]
    np.testing.assert_allclose(found, [1, -2, 3, 0, 0], atol=1e-12)


def test_first_zero_among_many() -> None:
    """The least root of all, the function that has it, and no other."""
    # Roots at 0.9, at 0.4 and, bending down late, √0.3; the last never reaches zero.
    rows = [[0.9, -1, 0], [0.4, -1, 0], [0.3, 0, -1], [1, 0, 0]]
    found = FIRST(jnp.pad(jnp.array(rows).T, ((0, 2), (0, 0))))
    assert bool(found.found)
    np.testing.assert_allclose(found.theta, 0.4, atol=1e-14)
    np.testing.assert_array_equal(found.hit, [False, True, False, False])


def test_a_dip_within_the_step_is_seen() -> None:
    """(x - 0.3)(x - 0.6) is positive at both ends and below zero between."""
    found = FIRST(jnp.array([[0.18], [-0.9], [1.0], [0.0], [0.0]]))
    np.testing.assert_allclose(found.theta, 0.3, atol=1e-14)


def test_no_zero_no_crossing() -> None:
    """Positive throughout; and zero at the start only, which is behind."""
    found = FIRST(jnp.array([[1.0, 0.0], [-0.5, 1.0], [0, 0], [0, 0], [0, 0]]))
    assert not bool(found.found)
    assert not np.any(found.hit)
