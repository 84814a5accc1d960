"""The pieces of the total-variation study that need no long run."""

import numpy as np
import pytest

from gflow.models import Curve, ShallowNet, curve_okuno
from gflow.studies import Claim, with_settings
from gflow.studies._total_variation import study
from gflow.studies._total_variation._compare import _choice
from gflow.studies._total_variation._cost import _slope, cost
from gflow.studies._total_variation._fits import Fit, best, parted
from gflow.studies._total_variation._physics import ordinary, partial_equations
from gflow.studies._total_variation._published import _padded, published_settings
from gflow.studies._total_variation._runs import explained, flow_time, over
from gflow.studies._total_variation._settings import FULL, SMOKE


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("targets=circle", "targets must be one of line, parabola, cubic"),
        ("batch=101", "batch must be at most num_data"),
        ("few=201", "few must be at most width"),
        ("cost_orders=1,2", "three or more"),
        ("cost_orders=3,2,1", "must rise"),
        ("strength1=-1", "strength1 must be >= 0"),
        ("cars_train=390", "cars_train must be <= 380"),
        ("plane_directions=up", "one of axes, sphere"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, message: str):
    """Each with the name and the range."""
    with pytest.raises(ValueError, match=message):
        with_settings(SMOKE, [setting])


def test_full_scale_is_the_papers():
    """Eight settings, three targets; smoke is a part of it."""
    names = [case.name for case in published_settings(FULL)]
    assert len(names) == 8
    assert {case.name for case in published_settings(SMOKE)} <= set(names)
    assert set(study.smoke.targets) <= set(study.full.targets)


def test_the_schedule_adds_up_to_the_flow_time():
    """20 cycles of 25e-3 (1 + 0.9 + … + 0.9^39) = 0.25 (1 - 0.9^40) each."""
    t1, etas = flow_time(FULL)
    np.testing.assert_allclose(t1, 20 * 0.25 * (1 - 0.9**40), rtol=1e-12)
    assert len(etas) == 20_000
    assert etas[24] == etas[1000] == 1e-3
    np.testing.assert_allclose(etas[25], 0.9e-3)


def test_spare_units_change_nothing():
    """A net of 3 units in one of 5 has the same values; its spare units are 0."""
    curve, w0 = curve_okuno("line", num=10, width=3, seed=0)
    wide = _padded(w0, 5)
    few, many = ShallowNet(1, 3)(w0, curve.x), ShallowNet(1, 5)(wide, curve.x)
    np.testing.assert_allclose(few, many, rtol=1e-14)
    assert wide["b"].shape == (5, 1)
    assert not wide["a"][3:].any()


def test_closed_forms_agree_with_their_data():
    """Each equation's data are values of its solution, where the grid has them."""
    for equation in [*ordinary(), *partial_equations()]:
        for x, y in zip(equation.x, equation.y, strict=True):
            at = np.argmin(np.sum((equation.grid - x) ** 2, axis=1))
            np.testing.assert_allclose(equation.truth[at], y, atol=1e-12)


def test_the_best_fit_is_best_on_the_data_held_out():
    """Of x + shift against x, the least shift; nan never is."""
    x = np.linspace(0, 1, 20)[:, None]
    curve = Curve(x, x[:, 0], None, np.zeros(20, bool))
    train, held_out = parted(curve, 15, seed=0)
    assert len(held_out.y) == 5
    np.testing.assert_allclose(np.sort(np.append(train.y, held_out.y)), x[:, 0])
    shifts = (0.5, np.nan, -0.1, 0.3)
    fits = [Fit(lambda x, s=s: x[:, 0] + s, s, "") for s in shifts]
    assert best(fits, held_out).strength == -0.1


def test_slope_and_its_error():
    """Of 1, 2, 4 against 0, 1, 2: slope 3/2, residual 1/6, error √(1/12)."""
    slope, (low, high) = _slope(np.arange(3.0), np.array([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(slope, 1.5)
    np.testing.assert_allclose(high - low, 4 * np.sqrt(1 / 12))


def test_costs_are_counted():
    """Orders 1 to 3 of a small net: claims hold, and nested ones grow faster."""
    options = ["cost_orders=1,2,3,4,5", "cost_width=4", "cost_compiled=1"]
    heard: list[str] = []
    part = cost(with_settings(SMOKE, options), 0, heard.append)
    held = {claim.name: claim.holds for claim in part.claims}
    assert held["cost-taylor-written"]
    assert held["cost-same-values"]
    assert part.dataset is not None
    written = part.dataset["cost_written"].values
    assert written[1, -1] / written[1, 0] > written[0, -1] / written[0, 0]
    assert len(heard) == 10


def test_only_failing_claims_are_explained():
    """And statements say of how many seeds they are."""
    good = Claim("a", "", "", expected=1.0, measured=0.5, kind="at_most")
    bad = Claim("a", "", "", expected=1.0, measured=1.5, kind="at_most")
    assert explained(good, "why").note == ""
    assert explained(bad, "why").note == "why"
    assert over(1, "seed") == "of one seed"
    assert over(3, "start", "largest") == "largest over 3 starts"


def test_choices_at_the_end_of_a_grid_are_told():
    """Early stopping at the last time; ridge at either end."""
    t1, _ = flow_time(SMOKE)
    assert _choice("early stop", np.array([t1, t1 / 2]), SMOKE).endswith("in 1 of 2.")
    ends = np.array([1e-3, 1e-1, 10.0])
    assert _choice("ridge", ends, SMOKE).endswith("in 2 of 3.")
    assert _choice("spline", ends, SMOKE) == ""
