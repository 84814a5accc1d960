"""The pieces of the weight-normalization study that need no long run."""

import numpy as np
import pytest

from gflow.diagnostics import MarginRate
from gflow.studies import with_settings
from gflow.studies._weight_normalization import study
from gflow.studies._weight_normalization._limits import p1_limits
from gflow.studies._weight_normalization._map_cell import Place, run_cell
from gflow.studies._weight_normalization._map_origin import drawn_to_origin
from gflow.studies._weight_normalization._maps import maps
from gflow.studies._weight_normalization._separable import _inverted, _rate_claims
from gflow.studies._weight_normalization._settings import SMOKE, Settings


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("kappas=-1", "kappas must be > 0"),
        ("t1=0", "t1 must be > 0"),
        ("alphas=nan", "alphas must be finite"),
        ("depths=1", "depths must be >= 2"),
        ("sparsities=41", "at most num_features"),
        ("num_samples=40", "below num_features"),
        ("separable_t1=1e6", "separable_t1 must be >= "),
        ("map_alphas=0", "map_alphas must be > 0"),
        ("diabetes_samples=65", "diabetes_samples must be <= 64"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, message: str):
    """Each with the name and the range."""
    with pytest.raises(ValueError, match=message):
        with_settings(SMOKE, [setting])


def test_presets_are_settings_of_one_kind():
    """Full scale covers what smoke scale does."""
    assert isinstance(study.full, Settings)
    assert set(study.smoke.alphas) <= set(study.full.alphas)
    assert set(study.smoke.depths) <= set(study.full.depths)
    assert study.full.num_instances > study.smoke.num_instances


def test_p1_by_the_flow():
    """Plain and normalized at alpha = 0.1 end where the table says, by both methods."""
    settings = with_settings(SMOKE, ["alphas=0.1", "kappas=10"])
    heard: list[str] = []
    part = p1_limits(settings, heard.append)
    assert [claim.name for claim in part.claims if not claim.holds] == []
    names = [claim.name for claim in part.claims]
    assert names[2:4] == ["p1-0.1-plain", "p1-0.1-kappa-10"]
    assert len(heard) == 2


def test_maps_by_the_flow():
    """One sparsity, a start from which kappa = 10 helps and one that it spoils.

    On this instance the flows of depth 2 find the vector with kappa = 10, plain flow
    does not, and kappa = 0.2 from a tiny start is worse than plain.
    """
    pytest.importorskip("xarray")
    settings = with_settings(
        SMOKE,
        ["depths=2", "sparsities=3", "map_alphas=0.01,0.1", "map_kappas=0.2,10"],
    )
    part = maps(settings, 1, lambda _: None)
    assert [claim.name for claim in part.claims if not claim.holds] == []
    data = part.dataset
    assert data is not None
    assert data["map_error"].shape == (1, 1, 2, 3, 1)
    # The law's sign, told from r0 and kappa before any run: above 0.2, below 10.
    contraction = data["map_log_contraction"].values[0, 0, :, :, 0]
    assert (contraction[:, 0] == 0).all()
    assert (contraction[:, 1] > 0).all()
    assert (contraction[:, 2] < 0).all()
    # Descent ran where it should: plain and kappa = 10, at alpha = 0.1.
    assert np.isfinite(data["map_descent_time"].values).sum() == 2


def test_the_boundary_of_what_the_origin_draws():
    """c = (1, -2): s = -1/2, V = 9/4, so that s^2 = 2 kappa V r0^2 at r0^2 = 1/18."""
    c = np.array([1.0, -2.0])
    assert drawn_to_origin(c, 0.9 * 18**-0.5, 1.0)
    assert not drawn_to_origin(c, 1.1 * 18**-0.5, 1.0)
    assert not drawn_to_origin(-c, 0.01, 1.0)
    assert not drawn_to_origin(c, 0.01, None)


@pytest.mark.parametrize("kappa", [0.2, 20.0])
def test_a_flow_that_the_origin_draws(kappa: float):
    """Of this instance s = -0.0035, so that kappa decides: 0.2 goes, 20 does not."""
    cell = run_cell(Place(2, 1, 1e-3, kappa, 4), SMOKE, 0, descent=False)
    assert cell.drawn == cell.origin == (kappa == 0.2)
    assert cell.reached == (kappa == 20.0)
    assert np.isnan(cell.time) == np.isnan(cell.error) == (kappa == 0.2)


def test_one_dimension_by_its_closed_form():
    """The inverse of F = Ei(w) - e^w/w, against F by quadrature.

    F(w) - F(1) is the integral of e^u/u^2 from 1 to w; at w = 10 the trapezoidal rule
    with 1e6 points is good to 1e-9.
    """
    u = np.linspace(1, 10, 1_000_001)
    t = np.trapezoid(np.exp(u) / u**2, u)
    np.testing.assert_allclose(_inverted(np.array([t])), [10.0], rtol=1e-9)


@pytest.mark.parametrize(("power", "holds"), [(1.0, False), (0.04, True)])
def test_power_claims_name_what_theory_says(power: float, holds: bool):
    """Plain at depth 1 has no logarithm: p = 0 within 0.15."""
    rate = MarginRate(power, 1.0, 1.0, (1e6, 1e30), 9)
    (claim,) = _rate_claims({(1, "plain"): rate})
    assert claim.expected == 0.0
    assert claim.holds is holds
