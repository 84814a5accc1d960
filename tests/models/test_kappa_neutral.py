"""The rate ratio at which weight normalization changes nothing."""

import numpy as np
import pytest

from gflow.models import DiagonalNet, WeightNormalized, kappa_neutral


def test_symmetric_and_smooth_where_the_norms_meet():
    """2 log 2/3 at (1, 2) and at (2, 1); 1/r² (1 - δ/2) at r² = r0² (1 + δ)."""
    assert kappa_neutral(1.0, 2.0) == pytest.approx(2 * np.log(2) / 3)
    assert kappa_neutral(2.0, 1.0) == pytest.approx(2 * np.log(2) / 3)
    assert kappa_neutral(2.0, 2.0) == 0.25
    # On either side of the switch to the series the values join: δ = 1e-6 (1 ± 0.1).
    delta = np.array([0.9e-6, 1.1e-6])
    found = kappa_neutral(1.0, np.sqrt(1 + delta))
    np.testing.assert_allclose(found, 1 - delta / 2, rtol=1e-11)


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
