"""Instances of sparse regression."""

import sys

import numpy as np
import pytest

from gflow.models import sparse_diabetes, sparse_p1, sparse_random


def test_p1_is_the_instance_of_the_reference() -> None:
    """First entries of A, as computed independently; Q is the l1 norm 2.2 of x."""
    data = sparse_p1()
    expected = [0.02811413, -0.02953955, 0.14320286]
    np.testing.assert_allclose(data.A[0, :3], expected, atol=5e-9)
    assert data.x_true is not None
    np.testing.assert_array_equal(np.flatnonzero(data.x_true), [3, 17, 29])
    np.testing.assert_array_equal(data.y, data.A @ data.x_true)


@pytest.mark.parametrize("signed", [False, True])
def test_random_instance_is_as_sparse_as_asked(signed: bool) -> None:
    """Entries that are not zero: number, range, signs; the same seed gives the same."""
    data, again = (sparse_random(50, 20, 8, signed=signed, seed=3) for _ in range(2))
    assert data.x_true is not None
    entries = data.x_true[data.x_true != 0]
    assert entries.size == 8
    assert np.all((np.abs(entries) >= 0.5) & (np.abs(entries) <= 1))
    assert bool(np.any(entries < 0)) == signed
    np.testing.assert_array_equal(data.A, again.A)
    with pytest.raises(ValueError, match="sparsity"):
        sparse_random(5, 3, 6, seed=0)


def test_diabetes_has_more_features_than_rows_and_is_standardized() -> None:
    """64 features; training columns have mean 0 and unit norm (1/sqrt(M) included)."""
    data = sparse_diabetes(30, seed=0)
    assert data.A.shape == (30, 64)
    assert len(data.features) == 64
    np.testing.assert_allclose(data.A.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(data.A, axis=0), 1, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(data.y), 1, rtol=1e-12)
    assert data.A_test is not None
    assert data.A_test.shape == (442 - 30, 64)
    with pytest.raises(ValueError, match="num_samples"):
        sparse_diabetes(100, seed=0)


def test_diabetes_without_scikit_learn_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error is one line that says what to install."""
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"gflow-ode\[data\]"):
        sparse_diabetes(seed=0)
