"""The pieces of the parts on linear over-parameterization that need no long run."""

from pathlib import Path

import numpy as np
import pytest

from gflow.studies import with_settings
from gflow.studies._low_rank._classification import classification
from gflow.studies._low_rank._classification_runs import load_images
from gflow.studies._low_rank._settings import SMOKE


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("image_sets=cifar", "image_sets must be one of"),
        ("sgd_etas=0.1", "must be as many"),
        ("num_train=1400", "<= 1437"),
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

    for place in range(80):
        split, name = ("train", "val")[place % 4 == 3], ("one", "two")[place // 40]
        file = tmp_path / split / name / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (51, 102, 255)).save(file)
    given = ["image_sets=folder", f"folder_path={tmp_path}", "folder_size=8"]
    with pytest.raises(ValueError, match="folder has 60 images to train on"):
        load_images("folder", with_settings(SMOKE, given), 0)
    few = with_settings(
        SMOKE, [*given, "num_train=15", "num_validation=15", "num_test=10"]
    )
    images = load_images("folder", few, 0)
    # Two pixels each way make one.
    assert images.x.shape == (60, 4, 4, 3)
    assert images.x_test.shape == (10, 4, 4, 3)
    # The first ten in the folder are all of one class.
    assert set(images.y_test) == {0, 1}
    np.testing.assert_allclose(images.x[0, 0, 0], [0.2, 0.4, 1.0], rtol=1e-15)


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
