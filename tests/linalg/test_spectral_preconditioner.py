"""What is learnt of a spectrum, and that nothing is made of stale products."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gflow.linalg import SpectralPreconditioner


def _symmetric(seed: int, eigenvalues: Any) -> tuple[Any, Any]:
    size = len(eigenvalues)
    axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]
    return (axes * eigenvalues) @ axes.T, axes


def test_eigenvalues_seen_are_gone() -> None:
    """With the span of eigenvectors as directions M^-1 (1 + γH) is 1 on it."""
    values = np.array([100.0, 40.0, 7.0, 0.3, 0.2, 0.1])
    H, axes = _symmetric(0, values)
    mixed = np.random.default_rng(1).standard_normal((3, 3)) @ axes[:, :3].T
    rows = jnp.asarray(mixed)
    learnt = SpectralPreconditioner.empty(3, 6, rows.dtype).updated(rows, rows @ H, 1.0)
    np.testing.assert_allclose(np.sort(learnt.values), [7.0, 40.0, 100.0], rtol=1e-9)
    for gamma in (0.1, 10.0):
        product = np.eye(6) + gamma * H
        image = learnt.apply(jnp.asarray(product @ axes[:, 1]), gamma, 1.0)
        np.testing.assert_allclose(image, axes[:, 1], atol=1e-9)
        other = learnt.apply(jnp.asarray(axes[:, 4]), gamma, 1.0)
        np.testing.assert_allclose(other, axes[:, 4], atol=1e-12)


def test_no_room_is_no_preconditioner() -> None:
    """Empty, it is the identity; rows of zeros teach nothing."""
    empty = SpectralPreconditioner.empty(2, 3, jnp.zeros(1).dtype)
    r = jnp.array([1.0, -2.0, 3.0])
    zeros = jnp.zeros((4, 3))
    for one in (empty, empty.updated(zeros, zeros, 1.0)):
        np.testing.assert_array_equal(one.apply(r, 5.0, 1.0), r)


def test_stale_images_do_not_pass_for_curvature() -> None:
    """A direction near an old vector, seen under another H: no value above both."""
    # The difference of the two directions is 1e-2 long and the images differ by 1: a
    # Rayleigh quotient of the difference would be about 1e2 times the spectrum.
    old = SpectralPreconditioner(
        jnp.array([[1.0, 0.0, 0.0]]), jnp.array([[2.0, 0.0, 0.0]]), jnp.array([2.0])
    )
    direction = jnp.array([[1.0, 1e-2, 0.0]])
    image = direction * jnp.array([1.0, 1.0, 1.0])
    learnt = old.updated(direction, image, 1.0)
    assert float(jnp.max(learnt.values)) <= 2.0
    np.testing.assert_allclose(learnt.values, [1.0], rtol=1e-9)
