"""The pieces of the parts on linear over-parameterization that need no long run."""

from pathlib import Path

import numpy as np
import pytest

from gflow.models import Images
from gflow.studies import with_settings
from gflow.studies._conduct import conduct
from gflow.studies._low_rank import _classification_runs, study
from gflow.studies._low_rank._classification import classification
from gflow.studies._low_rank._classification_runs import load_images
from gflow.studies._low_rank._settings import SMOKE


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("image_sets=cifar", "image_sets must be one of"),
        ("sgd_etas=0.1", "must be as many"),
        ("num_train=1400", "at most 1437"),
        ("image_sets=folder", "folder needs folder_path"),
        ("expansion_depths=1", "expansion_depths must be >= 2"),
        ("paired_seeds=1", "paired_seeds must be >= 2"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, message: str):
    with pytest.raises(ValueError, match=message):
        with_settings(SMOKE, [setting])


def test_pooling_divides_the_pixels_of_the_sets_that_are_pooled():
    assert with_settings(SMOKE, ["pooling=3"]).pooling == 3
    with pytest.raises(ValueError, match="must divide 28, pixels of mnist"):
        with_settings(SMOKE, ["pooling=3", "image_sets=mnist"])


def test_a_folder_of_images(tmp_path: Path):
    from PIL import Image

    for place in range(40):
        file = tmp_path / ("train", "val")[place % 4 == 3] / "one" / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (51, 102, 255)).save(file)
    given = ["image_sets=folder", f"folder_path={tmp_path}", "folder_size=8"]
    with pytest.raises(ValueError, match="folder has 30 images to train on"):
        load_images("folder", with_settings(SMOKE, given), 0)
    few = with_settings(
        SMOKE, [*given, "num_train=15", "num_validation=15", "num_test=10"]
    )
    images = load_images("folder", few, 0)
    # Two pixels each way make one.
    assert images.x.shape == (30, 4, 4, 3)
    assert images.x_test.shape == (10, 4, 4, 3)
    np.testing.assert_allclose(images.x[0, 0, 0], [0.2, 0.4, 1.0], rtol=1e-15)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("fashion-mnist", "fashion_path"),
        ("cifar-10", "cifar_path"),
        ("folder", "folder_path"),
    ],
)
@pytest.mark.parametrize("place", ["", "nowhere"])
def test_files_that_are_missing_are_told_before_anything_runs(
    name: str, setting: str, place: str, tmp_path: Path
):
    """As a bad setting is, though the part that reads them is the last."""
    if name == "folder" and not place:
        return
    given = [f"image_sets={name}", f"{setting}={tmp_path / place}"]
    heard: list[str] = []
    with pytest.raises(ValueError, match=f"{setting}: there is no"):
        conduct(study, with_settings(SMOKE, given), report_progress=heard.append)
    assert heard == []


def test_every_class_of_a_sorted_set_is_kept(monkeypatch: pytest.MonkeyPatch):
    """Five classes of 1,000 images, in order: 4,000 and 100 of them are drawn."""
    x, y = np.zeros((5000, 8, 8, 1)), np.repeat(np.arange(5), 1000)
    images = Images(x, y, x, y, tuple("abcde"))
    monkeypatch.setattr(_classification_runs, "images_folder", lambda *_, **__: images)
    given = ["image_sets=folder", "folder_path=.", "num_test=100"]
    found = load_images("folder", with_settings(SMOKE, given), 0)
    assert (len(found.y), len(found.y_test)) == (4000, 100)
    # Each class in its share: 5 standard deviations of 800 are 63, of 20 are 20.
    assert abs(np.bincount(found.y, minlength=5) - 800).max() < 63
    assert np.bincount(found.y_test, minlength=5).min() > 0


def test_a_small_comparison():
    """A few steps: what is exact holds, and accuracies are the runs' own."""
    settings = with_settings(
        SMOKE, ["train_steps=30", "net_width=8", "tuning_seeds=1", "paired_seeds=2"]
    )
    heard: list[str] = []
    part = classification(settings, 0, heard.append)
    verdicts = {claim.name: claim.holds for claim in part.claims}
    assert verdicts["expansion-collapse"]
    assert verdicts["expansion-parameters"]
    # Two depths with four step sizes and two seeds each.
    assert len(heard) == 2 * (4 + 2)
    assert part.dataset is not None
    accuracy = part.dataset["expansion_accuracy"].values[0, 0, 0]
    gain = next(claim for claim in part.claims if "gain" in claim.name)
    assert gain.measured == pytest.approx(100 * np.mean(accuracy[1] - accuracy[0]))
    # 64 * 8 + 8 and 8 * 10 + 10 parameters; three more factors of 8 * 8 + 8 and of
    # 10 * 10 + 10, where the last of the head reads 10 features in place of 8.
    counts = part.dataset["expansion_num_parameters"].values[0, 0, 0, :, 0]
    assert counts[0] == 520 + 90
    assert counts[1] == 520 + 3 * 72 + 90 + 3 * 110
