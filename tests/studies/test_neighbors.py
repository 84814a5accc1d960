"""The pieces of the study of neighbors, and its shortest parts."""

import numpy as np
import pytest

from gflow.studies import with_settings
from gflow.studies._neighbors import study
from gflow.studies._neighbors._averaging import averaging
from gflow.studies._neighbors._leaky_relu import max_margin
from gflow.studies._neighbors._settings import SMOKE
from gflow.studies._neighbors._sharp_limits import selected
from gflow.studies._neighbors._weight_decay import weight_decay


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("igr_etas=0.04", "two values"),
        ("neuron_scales=0.1", "two values"),
        ("bn_dim=5", "at least bn_samples"),
        ("leaky_width=7", "even"),
        ("sharp_alphas=0.01,0.1", "must fall"),
        ("sgd_eta=0.25", "sgd_eta must be below"),
        ("flat_depths=1", "flat_depths must be >= 2"),
        ("leaky_slope=1", "leaky_slope must be < 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, message: str) -> None:
    """Each with the name and the reason."""
    with pytest.raises(ValueError, match=message):
        with_settings(SMOKE, [setting])


def test_full_scale_covers_smoke_scale() -> None:
    """What is swept at the small scale is swept at the large one too."""
    for name in ("igr_etas", "flat_depths", "sharp_depths", "neuron_scales"):
        assert set(getattr(study.smoke, name)) <= set(getattr(study.full, name))


def test_selected_minimizers_solve_their_problem() -> None:
    """On a fine grid of the segment of minimizers nothing is better."""
    c = np.linspace(0.0501, 0.2399, 20_001)[:, None]
    grid = np.array([-0.2, 1.2, 0.0]) + c * np.array([4.0, -5.0, 1.0])
    for depth in (2, 3, 6):
        worth = -grid * np.log(grid) if depth == 2 else grid ** (2 / depth)
        best = grid[np.argmax(np.sum(worth, axis=1))]
        # Half a step of the grid, in the direction of the segment of length 6.5.
        np.testing.assert_allclose(selected(depth)[:3], best, atol=5e-5)
    np.testing.assert_allclose(selected(4)[:3].sum(), 1.0, rtol=1e-14)


def test_max_margin_weights_have_margins_one() -> None:
    """And each row is a sum over the data, with the sign of its output weight."""
    rng = np.random.default_rng(0)
    x = np.eye(4, 8) + 0.01 * rng.standard_normal((4, 8))
    y, a = np.array([1.0, -1.0, 1.0, -1.0]), np.array([0.5, 0.5, -0.5, -0.5])
    w = max_margin(x, y, a, 0.3)
    z = x @ w.T
    f = np.where(z > 0, z, 0.3 * z) @ a
    np.testing.assert_allclose(y * f, 1.0, rtol=1e-12)
    assert np.linalg.matrix_rank(w) == 2


def test_weight_decay_part_holds() -> None:
    """Each run is announced, and the claims hold at one decay."""
    heard: list[str] = []
    part = weight_decay(with_settings(SMOKE, ["decay_rates=0.2"]), 1, heard.append)
    assert [claim.name for claim in part.claims if not claim.holds] == []
    assert len(heard) == 4


def test_averaging_part_holds_and_can_fail() -> None:
    """With another seed and step; and not for another noise than it was told."""
    settings = with_settings(SMOKE, ["sgd_runs=200", "sgd_eta=0.05", "sgd_steps=1500"])
    part = averaging(settings, 3, lambda message: None)
    assert [claim.name for claim in part.claims if not claim.holds] == []
    last = part.claims[0]
    assert abs(last.measured - 1.2 * last.expected) > last.tolerance
