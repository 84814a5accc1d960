"""Linear regression with a matrix to be found."""

import numpy as np
import pytest

from gflow.models import matrix_regression


def test_data_are_those_of_a_target_of_the_rank_asked_for():
    """Y = X T^T; rank as asked; the same seed gives the same data."""
    for rank in (1, 3, 6, None):
        data = matrix_regression(6, 4, rank=rank, seed=2)
        assert np.linalg.matrix_rank(data.target) == (rank or 6)
        np.testing.assert_allclose(data.Y, data.X @ data.target.T)
        again = matrix_regression(6, 4, rank=rank, seed=2)
        np.testing.assert_array_equal(data.X, again.X)


def test_targets_have_the_size_of_a_factor():
    """Squared norm n on average: of 200 draws, known to some percent."""
    for rank in (8, None):
        norms = [
            np.sum(matrix_regression(32, 1, rank=rank, seed=s).target ** 2)
            for s in range(200)
        ]
        assert abs(np.mean(norms) / 32 - 1) < 0.05


def test_error_is_the_expected_test_loss():
    """1 for the zero map, 0 for the target, and that of fresh inputs in between."""
    data = matrix_regression(6, 4, rank=2, seed=0)
    assert data.error(np.zeros((6, 6))) == 1
    assert data.error(data.target) == 0
    guess = data.target + 0.1
    x = np.random.default_rng(1).standard_normal((20_000, 6))
    sampled = np.sum((x @ (guess - data.target).T) ** 2) / np.sum(
        (x @ data.target.T) ** 2
    )
    # 20,000 samples: a standard error of about 1 %.
    assert abs(data.error(guess) / sampled - 1) < 0.05


def test_misuse_is_named():
    """Rank and samples out of range."""
    with pytest.raises(ValueError, match="1 <= rank <= dim"):
        matrix_regression(4, 2, rank=5, seed=0)
    with pytest.raises(ValueError, match="num_samples >= 1"):
        matrix_regression(4, 0, seed=0)
