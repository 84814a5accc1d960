"""Ranks against matrices whose singular values are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from gflow.diagnostics import (
    rank_effective,
    rank_numerical,
    rank_roy_vetterli,
    rank_stable,
)


def matrix(singular_values: list[float], seed: int = 0) -> np.ndarray:
    """A 6 x 5 matrix with the singular values given."""
    rng = np.random.default_rng(seed)
    U, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    V, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    return (U[:, :5] * np.array(singular_values)) @ V.T


def test_values():
    """Of s = (2, 1, 1, 0, 0): p = (½, ¼, ¼), entropy 1.5 log 2, squares sum to 6."""
    A = matrix([2.0, 1.0, 1.0, 0.0, 0.0])
    assert rank_effective(A) == pytest.approx(1.5 * np.log(2), abs=1e-12)
    assert rank_roy_vetterli(A) == pytest.approx(2**1.5, abs=1e-12)
    assert rank_stable(A) == pytest.approx(6 / 4, abs=1e-12)
    assert rank_numerical(A, rtol=1e-10) == 3
    assert rank_numerical(A, rtol=0.6) == 1


def test_scale_and_batches():
    """Each is free of the scale and maps over leading axes."""
    batch = jnp.stack([matrix([1.0] * 5), 1e6 * matrix([1.0, 0, 0, 0, 0])])
    assert rank_effective(batch) == pytest.approx([np.log(5), 0.0], abs=1e-9)
    assert rank_roy_vetterli(batch) == pytest.approx([5.0, 1.0], abs=1e-9)
    assert rank_stable(batch) == pytest.approx([5.0, 1.0], abs=1e-9)
    assert rank_numerical(batch, rtol=1e-10).tolist() == [5.0, 1.0]


def test_zero_matrix_has_no_effective_rank():
    """0/0 is told as NaN; its numerical rank is 0."""
    zero = jnp.zeros((3, 3))
    assert jnp.isnan(rank_effective(zero))
    assert jnp.isnan(rank_stable(zero))
    assert rank_numerical(zero, rtol=1e-3) == 0
    with pytest.raises(ValueError, match="rtol must be > 0"):
        rank_numerical(zero, rtol=0.0)
