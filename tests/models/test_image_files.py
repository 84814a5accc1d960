"""Images from files: read as their formats say, refused where they are not."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from gflow.models import (
    images_cifar10,
    images_fashion_mnist,
    images_folder,
    images_idx,
)

RNG = np.random.default_rng(0)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def write_idx(path: Path, array: np.ndarray, packed: bool = True) -> None:
    """Two zeros, 8 for bytes, the number of dimensions; each size in big endian."""
    head = bytes([0, 0, 8, array.ndim])
    head += b"".join(struct.pack(">I", size) for size in array.shape)
    data = head + array.astype(np.uint8).tobytes()
    path.with_name(path.name + ".gz" * packed).write_bytes(
        gzip.compress(data) if packed else data
    )


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files(tmp_path: Path, packed: bool):
    """Bytes become shares of 255, the split is that of the files."""
    x = RNG.integers(0, 256, (5, 3, 4))
    y = np.array([0, 9, 3, 3, 1])
    for split, rows in (("train", slice(0, 3)), ("t10k", slice(3, 5))):
        write_idx(tmp_path / f"{split}-images-idx3-ubyte", x[rows], packed)
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte", y[rows], packed)
    images = images_idx(tmp_path, published=False)
    np.testing.assert_allclose(images.x[..., 0] * 255, x[:3])
    np.testing.assert_allclose(images.x_test[..., 0] * 255, x[3:])
    np.testing.assert_array_equal(images.y, y[:3])
    np.testing.assert_array_equal(images.y_test, y[3:])
    assert images.classes[9] == "9"
    with pytest.raises(ValueError, match="sha256"):
        images_idx(tmp_path)
    with pytest.raises(ValueError, match="labels do not fit"):
        images_idx(tmp_path, classes=("a", "b"), published=False)


def test_idx_files_that_are_cut_short(tmp_path: Path):
    name = tmp_path / "train-images-idx3-ubyte"
    write_idx(name, np.zeros((2, 2, 2)), packed=False)
    name.write_bytes(name.read_bytes()[:-1])
    with pytest.raises(ValueError, match="no IDX file"):
        images_idx(tmp_path, published=False)


def test_missing_files_say_what_to_install(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="dataset-fashion-mnist"):
        images_fashion_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="CIFAR-10's binary version"):
        images_cifar10(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"class/name\.png"):
        images_folder(tmp_path, 4)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_fashion_mnist_as_published():
    """Its authors give 6,000 training and 1,000 test images of each class."""
    images = images_fashion_mnist(DEBIAN)
    assert images.x.shape == (60_000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(images.y), 10 * [6000])
    np.testing.assert_array_equal(np.bincount(images.y_test), 10 * [1000])


def test_cifar10(tmp_path: Path):
    """A record is the label, then red, green and blue, each row by row."""
    records = RNG.integers(0, 256, (4, 3073)).astype(np.uint8)
    records[:, 0] = [3, 0, 9, 5]
    (tmp_path / "data_batch_2.bin").write_bytes(records[:3].tobytes())
    (tmp_path / "test_batch.bin").write_bytes(records[3:].tobytes())
    images = images_cifar10(tmp_path, published=False)
    assert images.x.shape == (3, 32, 32, 3)
    assert images.classes[images.y[0]] == "cat"
    # Green of row 2, column 5 in the second image.
    assert images.x[1, 2, 5, 1] * 255 == records[1, 1 + 1024 + 2 * 32 + 5]
    np.testing.assert_array_equal(images.y_test, [5])
    with pytest.raises(FileNotFoundError, match="data_batch_1"):
        images_cifar10(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(records.tobytes())
    with pytest.raises(ValueError, match="sha256"):
        images_cifar10(tmp_path)
    (tmp_path / "data_batch_1.bin").write_bytes(records.tobytes()[:-1])
    with pytest.raises(ValueError, match="records of 3073"):
        images_cifar10(tmp_path, published=False)


def write_image(path: Path, color: tuple[int, int, int], size: tuple[int, int]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def test_folder_with_its_own_split(tmp_path: Path):
    """Classes are the folders in order of their names."""
    write_image(tmp_path / "train" / "dog" / "a.png", (255, 0, 0), (8, 6))
    write_image(tmp_path / "train" / "cat" / "b.png", (0, 255, 0), (5, 9))
    write_image(tmp_path / "val" / "dog" / "c.png", (0, 0, 51), (4, 4))
    images = images_folder(tmp_path, 4)
    assert images.classes == ("cat", "dog")
    np.testing.assert_array_equal(images.y, [0, 1])
    assert images.x.shape == (2, 4, 4, 3)
    np.testing.assert_allclose(images.x[1], np.broadcast_to([1.0, 0, 0], (4, 4, 3)))
    np.testing.assert_allclose(images.x_test[0, 0, 0], [0, 0, 0.2])
    np.testing.assert_array_equal(images.y_test, [1])
    write_image(tmp_path / "val" / "eel" / "d.png", (0, 0, 0), (4, 4))
    with pytest.raises(ValueError, match="not trained on: eel"):
        images_folder(tmp_path, 4)


def test_folder_split_by_a_seed_and_checked_by_hash(tmp_path: Path):
    """The hash is of names and contents, and changes with one byte of either."""
    for place in range(4):
        write_image(tmp_path / "ab"[place % 2] / f"{place}.png", (place, 0, 0), (2, 2))
    digest = hashlib.sha256()
    for path in sorted(tmp_path.glob("*/*.png")):
        digest.update(path.relative_to(tmp_path).as_posix().encode())
        digest.update(path.read_bytes())
    images = images_folder(tmp_path, 2, num_test=1, seed=0, sha256=digest.hexdigest())
    assert (len(images.y), len(images.y_test)) == (3, 1)
    reds = np.concatenate([images.x, images.x_test])[:, 0, 0, 0] * 255
    np.testing.assert_allclose(np.sort(reds), [0, 1, 2, 3])
    write_image(tmp_path / "b" / "3.png", (9, 0, 0), (2, 2))
    with pytest.raises(ValueError, match="sha256"):
        images_folder(tmp_path, 2, num_test=1, seed=0, sha256=digest.hexdigest())
    with pytest.raises(ValueError, match="a seed"):
        images_folder(tmp_path, 2)
