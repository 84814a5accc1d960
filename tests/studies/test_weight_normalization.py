"""The pieces of the weight-normalization study that need no long run."""

import pytest

from gflow.studies import with_settings
from gflow.studies._weight_normalization import study
from gflow.studies._weight_normalization._limits import p1_limits
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
    assert names[:2] == ["p1-0.1-plain", "p1-0.1-kappa-10"]
    assert len(heard) == 2
