"""The rate ratio at which weight normalization changes nothing."""

import numpy as np
import pytest

from gflow.models import DiagonalNet, WeightNormalized, kappa_neutral


def test_symmetric_and_smooth_where_the_norms_meet():
    """2 log 2/3 at (1, 2) and at (2, 1); 1/r² (1 - δ/2) at r² = r0² (1 + δ)."""
    assert kappa_neutral(1.0, 2.0) == pytest.approx(2 * np.log(2) / 3)
    assert kappa_neutral(2.0, 1.0) == pytest.approx(2 * np.log(2) / 3)
    assert kappa_neutral(2.0, 2.0) == 0.25
    # log(1 + δ)/δ by its series, of which the next term is δ³/4.
    delta = np.array([1e-12, 1e-8, 1e-5])
    found = kappa_neutral(1.0, np.sqrt(1 + delta))
    np.testing.assert_allclose(found, 1 - delta / 2 + delta**2 / 3, rtol=1e-14)


def test_norms_far_apart():
    """2 log q/(q² - 1) r0^-2 at q = 1e-10, where 1 - q² is 1: 20 log 10."""
    assert kappa_neutral(1.0, 1e-10) == pytest.approx(20 * np.log(10), rel=1e-14)


def test_there_the_effective_start_is_the_start():
    """The law of effective initialization contracts by 1 there, and by less above."""
    alpha, radius = 0.1, 1.5
    r0 = alpha * np.sqrt(4)
    kappa = float(kappa_neutral(r0, radius))
    for share, sign in ((1.0, 0), (1.1, -1), (0.9, 1)):
        model = WeightNormalized(DiagonalNet(4), kappa=share * kappa)
        log = float(model.log_contraction(model.init(alpha), radius))
        assert (log == pytest.approx(0, abs=1e-12)) if sign == 0 else sign * log > 0


@pytest.mark.parametrize("norms", [(0.0, 1.0), (1.0, -1.0), (1.0, np.inf)])
def test_refuses_what_is_no_norm(norms: tuple[float, float]):
    """With what came."""
    with pytest.raises(ValueError, match="positive and finite"):
        kappa_neutral(*norms)


def test_broadcasts():
    """One number for each pair."""
    assert kappa_neutral(np.ones((3, 1)), np.full(2, 2.0)).shape == (3, 2)
