"""Conjugate gradients and their error bound."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.linalg import ConjugateGradient, conjugate_gradient


def _matrix(seed: int, eigenvalues: Any) -> Any:
    size = len(eigenvalues)
    axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]
    return (axes * eigenvalues) @ axes.T


def test_error_is_bounded_at_every_iteration() -> None:
    """‖x - x_k‖_A from a dense solve lies below the bound, and not far below."""
    matrix = _matrix(0, np.geomspace(1.0, 1e4, 30))
    b = np.random.default_rng(1).standard_normal(30)
    x = np.linalg.solve(matrix, b)
    cg = ConjugateGradient.start(jnp.zeros(30), jnp.asarray(b), jnp.asarray(b), 1.0)
    for _ in range(20):
        error = np.asarray(cg.x) - x
        exact = np.sqrt(error @ matrix @ error)
        assert exact <= float(cg.error) * (1 + 1e-9)
        assert float(cg.error) <= 30 * exact
        cg = cg.advance(matrix @ cg.direction, lambda r: r, 1.0)


def test_solution_in_another_inner_product() -> None:
    """R S with diagonal R and symmetric S is symmetric in the weights 1/R."""
    rates = np.array([1.0, 10.0, 0.1, 3.0])
    matrix = np.eye(4) + rates[:, None] * _matrix(2, np.array([0.0, 1.0, 5.0, 9.0]))
    b = np.arange(1.0, 5.0)

    @jax.jit
    def solve(b: Any) -> Any:
        return conjugate_gradient(
            lambda x: jnp.asarray(matrix) @ x, b, tol=1e-10, weights=1 / rates
        )

    cg = solve(jnp.asarray(b))
    np.testing.assert_allclose(cg.x, np.linalg.solve(matrix, b), rtol=1e-9)
    # Four distinct eigenvalues: exact after four products, up to round-off.
    assert int(cg.num_iterations) <= 6


@pytest.mark.parametrize("zero", [False, True])
def test_indefinite_matrix_is_told(zero: bool) -> None:
    """Curvature <= 0 stops the iteration, a zero right side does not."""
    diagonal = jnp.array([1.0, -1.0]) if not zero else jnp.ones(2)
    b = jnp.array([0.1, 1.0]) * (not zero)
    cg = conjugate_gradient(lambda x: diagonal * x, b, tol=1e-8)
    assert bool(cg.indefinite) == (not zero)
    assert np.isfinite(np.asarray(cg.x)).all()
    if zero:
        assert float(cg.error) == 0.0
