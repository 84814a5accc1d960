"""Images that packages ship."""

import numpy as np
import pytest

from gflow.models import images_digits, images_mnist


def test_digits():
    """The dataset's page: 1,797 images of 8 x 8 in 17 shades."""
    images = images_digits(seed=0)
    assert images.x.shape == (1437, 8, 8, 1)
    assert images.x_test.shape == (360, 8, 8, 1)
    assert set(np.unique(images.x * 16)) == set(range(17))
    assert len(images.classes) == 10


def test_mnist():
    """500 images of each digit, none of them twice in both parts."""
    images = images_mnist(num_test=1000, seed=1)
    assert images.x.shape == (4000, 28, 28, 1)
    assert images.x.max() == 1.0
    y = np.concatenate([images.y, images.y_test])
    np.testing.assert_array_equal(np.bincount(y), 10 * [500])
    seen = {image.tobytes() for image in images.x}
    assert not any(image.tobytes() in seen for image in images.x_test)


def test_the_seed_decides_who_is_held_out():
    first, again, other = (images_digits(seed=seed).y_test for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    with pytest.raises(ValueError, match="num_test must be from 1 to 1796"):
        images_digits(num_test=1797, seed=0)
