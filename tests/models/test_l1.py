"""The l1 minimizer and the bounds on the excess over it."""

import numpy as np
import pytest

from gflow.models import (
    DiagonalNet,
    WeightNormalized,
    diagonal_limit,
    l1_excess_bound,
    l1_minimizer,
    sparse_diabetes,
    sparse_p1,
)


def test_minimizer_recovers_a_sparse_vector() -> None:
    """Three entries from twenty Gaussian equations: basis pursuit is exact."""
    data = sparse_p1()
    assert data.x_true is not None
    for nonnegative in (True, False):
        x = l1_minimizer(data.A, data.y, nonnegative=nonnegative)
        np.testing.assert_allclose(x, data.x_true, atol=1e-13)


def test_minimizer_is_certified_by_its_dual_on_real_data() -> None:
    """Some nu has ||A^T nu||_inf <= 1 and <y, nu> = ||x||_1: no x has a lower norm."""
    data = sparse_diabetes(20, seed=1)
    x = l1_minimizer(data.A, data.y)
    np.testing.assert_allclose(data.A @ x, data.y, atol=1e-12)
    support = np.flatnonzero(x)
    # 19 = rank of the centered data: a vertex. nu is then determined by the signs.
    assert support.size == 19
    nu = np.linalg.lstsq(data.A[:, support].T, np.sign(x[support]), rcond=None)[0]
    assert np.max(np.abs(data.A.T @ nu)) <= 1 + 1e-9
    np.testing.assert_allclose(data.y @ nu, np.sum(np.abs(x)), rtol=1e-10)


def test_no_interpolator_is_an_error() -> None:
    """Positive columns cannot make a negative target with x >= 0."""
    with pytest.raises(ValueError, match="no ℓ1 minimizer"):
        l1_minimizer(np.ones((1, 2)), np.array([-1.0]), nonnegative=True)


@pytest.mark.parametrize("alpha", [1e-3, 1e-2, 0.1])
@pytest.mark.parametrize("kappa", [None, 0.5, 1.0, 10.0])
def test_excess_is_within_its_bound(alpha: float, kappa: float | None) -> None:
    """(||x||_1 - Q)/Q of the limit is at most the bound, and at least 0."""
    data, net = sparse_p1(), DiagonalNet(40)
    w0 = net.init(alpha * np.linspace(0.5, 1.5, 40))
    model = net if kappa is None else WeightNormalized(net, kappa=kappa)
    start = w0 if kappa is None else model.init(w0["u"])
    limit = diagonal_limit(model, data.A, data.y, start)
    excess = float(np.sum(limit.x)) / 2.2 - 1
    assert -1e-12 < excess <= l1_excess_bound(w0["u"] ** 2, 2.2, kappa=kappa)


def test_bound_is_the_closed_form() -> None:
    """Uniform x0 on N entries: log N over log(Q/(N x0)), or over kappa (Q - N x0)."""
    x0 = np.full(10, 1e-2)
    assert l1_excess_bound(x0, 2.0) == pytest.approx(np.log(10) / np.log(20))
    bound = l1_excess_bound(x0, 2.0, kappa=4.0)
    assert bound == pytest.approx(np.log(10) / (4 * 1.9))
    assert l1_excess_bound(x0, 0.05) == np.inf
    with pytest.raises(ValueError, match="not zero"):
        l1_excess_bound(np.zeros(3), 1.0)
