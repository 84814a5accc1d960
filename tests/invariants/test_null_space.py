"""Sparse rational bases of null spaces."""

import numpy as np
import pytest

from gflow.invariants import _null_space

RNG = np.random.default_rng(3)


def null_space(matrix: np.ndarray) -> tuple[list[dict[int, float]], float]:
    """Where nothing cancels: sizes are lengths, at least 1; all scales 1."""
    sizes = np.maximum(np.linalg.norm(matrix, axis=0), 1)
    return _null_space.null_space(matrix, sizes, np.ones(matrix.shape[1]))


def with_null_vectors(vectors: np.ndarray) -> np.ndarray:
    """A random matrix, of columns of very different lengths, that has them as such."""
    columns = vectors.shape[1]
    _, _, right = np.linalg.svd(vectors)
    rows = RNG.standard_normal((columns + 20, columns - len(vectors)))
    return rows @ right[len(vectors) :]


@pytest.mark.parametrize(
    "vectors",
    [
        [[1, 0, -1, 0, 0, 0], [0, 2, 0, 3, 0, -5]],
        # Neighbors share entries, as the laws of neighboring layers do.
        [[2, 2, 2, -1, -1, 0, 0, 0, 0], [0, 0, 0, 1, 0, -3, 4, 0, 0]],
        [[0, 0, 1, 0]],
    ],
)
def test_sparse_integers_are_found(vectors: list[list[int]]) -> None:
    """The vectors that were put in, however rows mix them."""
    found, gap = null_space(with_null_vectors(np.array(vectors, float)))
    expected = [{k: float(x) for k, x in enumerate(v) if x} for v in vectors]
    assert sorted(found, key=min) == sorted(expected, key=min)
    assert gap > 1e6


def test_full_rank_has_none() -> None:
    """No vectors, and nothing beyond the gap."""
    assert null_space(RNG.standard_normal((30, 8))) == ([], np.inf)


def test_a_column_of_round_off_is_zero() -> None:
    """It is a vector of its own, and does not mix with the others."""
    matrix = with_null_vectors(np.array([[1.0, 0.0, -2.0, 0.0, 0.0]]))
    matrix[:, 3] = 1e-17 * RNG.standard_normal(len(matrix))
    found, _ = null_space(matrix)
    assert sorted(found, key=min) == [{0: 1.0, 2: -2.0}, {3: 1.0}]


def test_irrational_entries_are_kept_as_they_are() -> None:
    """Scaled to 1 at the first entry."""
    found, _ = null_space(with_null_vectors(np.array([[2.0, 0.0, np.pi, 0.0]])))
    assert found[0][0] == 1.0
    np.testing.assert_allclose(found[0][2], np.pi / 2, rtol=1e-9)
