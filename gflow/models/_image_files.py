"""Images with labels from files of one's own, in the formats of known collections.

Nothing is downloaded. What was published is recognized by its sha256.
"""

import gzip
import hashlib
import math
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ._images import Images, check_sha256, split_images

_DIGITS = tuple("0123456789")
_GARMENTS = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_OBJECTS = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

# Of MNIST's compressed files, and of what Fashion-MNIST's files hold: Debian has
# compressed these anew. That those are the published ones was verified: under the
# header of the published files they have the MD5 that its authors give.
_IDX_SHA256 = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
# As the CIFAR-10 reader of torchvision for Ruby lists them.
_CIFAR_SHA256 = {
    "data_batch_1.bin": (
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"
    ),
    "data_batch_2.bin": (
        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"
    ),
    "data_batch_3.bin": (
        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"
    ),
    "data_batch_4.bin": (
        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"
    ),
    "data_batch_5.bin": (
        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"
    ),
    "test_batch.bin": (
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"
    ),
}


def images_fashion_mnist(
    path: str | Path = "/usr/share/datasets/fashion-mnist",
) -> Images:
    """70,000 garments of 28 x 28 pixels in ten classes, 10,000 of them for testing.

    **Arguments:** `path`: the directory of the four files; by default where Debian's
    package `dataset-fashion-mnist` puts them.

    **Raises:** `FileNotFoundError` if a file is not there; `ValueError` if one is not
    the published one (by sha256).

    **References:** Xiao, Rasul, Vollgraf 2017 (arXiv 1708.07747).
    """
    try:
        return images_idx(path, classes=_GARMENTS)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; install Debian's dataset-fashion-mnist, or give the directory"
        ) from error


def images_idx(
    path: str | Path, *, classes: tuple[str, ...] = _DIGITS, published: bool = True
) -> Images:
    """Images in MNIST's own format, split as they were published.

    Files are {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, plain
    or with .gz. MNIST itself, and those made in its likeness.

    **Arguments:**

    - `path`: the directory of the four files.
    - `classes`: a name for each class.
    - `published`: whether only MNIST and Fashion-MNIST will do, by sha256. Others have
        False, and are checked for form and size.

    **Raises:** `FileNotFoundError` if a file is not there; `ValueError` if one is not
    what it should be.
    """
    sets: list[np.ndarray] = []
    for split in ("train", "t10k"):
        x = _idx(Path(path), f"{split}-images-idx3-ubyte", 3, published)
        y = _idx(Path(path), f"{split}-labels-idx1-ubyte", 1, published)
        if len(x) != len(y) or int(y.max(initial=0)) >= len(classes):
            raise ValueError(f"{split}: labels do not fit to images and classes")
        sets += [x[..., None] / 255.0, y.astype(int)]
    x, y, x_test, y_test = sets
    return Images(x, y, x_test, y_test, classes)


def images_cifar10(path: str | Path, *, published: bool = True) -> Images:
    """60,000 color images of 32 x 32 pixels in ten classes, 10,000 of them for testing.

    **Arguments:**

    - `path`: the directory of the binary version's data_batch_1.bin to
        data_batch_5.bin and test_batch.bin.
    - `published`: whether only the published files will do, by sha256. False takes any
        of their form, and those training batches that are there.

    **Raises:** `FileNotFoundError` if a file is not there; `ValueError` if one is not
    what it should be.

    **References:** Krizhevsky 2009, "Learning multiple layers of features from tiny
    images".
    """
    names = sorted(set(_CIFAR_SHA256) - {"test_batch.bin"})
    if not published:
        names = [name for name in names if (Path(path) / name).is_file()] or names
    parts = [_cifar(Path(path) / name, published) for name in names]
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    x_test, y_test = _cifar(Path(path) / "test_batch.bin", published)
    return Images(x, y, x_test, y_test, _OBJECTS)


def images_folder(
    path: str | Path,
    size: int,
    *,
    num_test: int = 0,
    seed: int | None = None,
    sha256: str | None = None,
) -> Images:
    """Color images from folders class/name.png, or .jpg, as ImageNet's are laid out.

    Each is scaled, and cropped to its middle, to size x size pixels. Where there are
    folders `train` and `val` (or `test`) with the classes in them, that is the split;
    else `num_test` images are held out, drawn at random with `seed`.

    **Arguments:**

    - `path`: the folder.
    - `size`: height and width in pixels.
    - `num_test`, `seed`: for images that are not split.
    - `sha256`: of all names and files, in order of the names, or None. An error tells
        which it is.

    **Raises:** `FileNotFoundError` if there is no image; `ValueError` for another
    sha256, a class that is held out and not trained on, or a size below 1.

    **Cost:** 24 size² bytes an image.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, not {size}")
    root = Path(path)
    files = _image_files(root)
    _check_files(root, files, sha256)
    folders = {file.relative_to(root).parts[0] for file in files}
    held_out = next((name for name in ("val", "test") if name in folders), None)
    if "train" not in folders or held_out is None:
        if seed is None:
            raise ValueError("images that are not split need num_test and a seed")
        names = tuple(sorted(folders))
        return split_images(*_pixels(root, files, names, size), num_test, seed, names)
    train, test = (
        [file for file in files if file.relative_to(root).parts[0] == name]
        for name in ("train", held_out)
    )
    names = tuple(sorted({file.parent.name for file in train}))
    return Images(
        *_pixels(root / "train", train, names, size),
        *_pixels(root / held_out, test, names, size),
        names,
    )


def _idx(directory: Path, name: str, ndim: int, published: bool) -> np.ndarray:
    """The array in an IDX file of unsigned bytes."""
    packed = directory / f"{name}.gz"
    path = packed if packed.is_file() else directory / name
    if not path.is_file():
        raise FileNotFoundError(f"there is no {packed}")
    raw = path.read_bytes()
    data = gzip.decompress(raw) if path == packed else raw
    digests = {hashlib.sha256(part).hexdigest() for part in (raw, data)}
    if published and digests.isdisjoint(_IDX_SHA256):
        raise ValueError(
            f"{path} is not a file of MNIST or Fashion-MNIST (sha256 differs)"
        )
    # Two zeros, 8 for unsigned bytes, the number of dimensions, and each of them.
    head = 4 + 4 * ndim
    shape = struct.unpack(f">{ndim}I", data[4:head]) if len(data) >= head else ()
    if data[:4] != bytes([0, 0, 8, ndim]) or len(data) - head != math.prod(shape):
        raise ValueError(f"{path} is no IDX file of {ndim}-dimensional bytes")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _cifar(
    path: Path, published: bool
) -> tuple[Float[np.ndarray, "n 32 32 3"], Int[np.ndarray, " n"]]:
    """Images and labels of a batch: records of a label and three planes of pixels."""
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no {path}; give the directory of CIFAR-10's binary version"
        )
    raw = path.read_bytes()
    check_sha256(str(path), raw, _CIFAR_SHA256[path.name] if published else None)
    record = 1 + 3 * 32 * 32
    if not raw or len(raw) % record:
        raise ValueError(f"{path} does not hold records of {record} bytes")
    table = np.frombuffer(raw, np.uint8).reshape(-1, record)
    if table[:, 0].max() >= len(_OBJECTS):
        raise ValueError(f"{path} has a label above 9")
    planes = table[:, 1:].reshape(-1, 3, 32, 32)
    return np.moveaxis(planes, 1, -1) / 255.0, table[:, 0].astype(int)


def _image_files(root: Path) -> list[Path]:
    """All images below the folder in an order of their own: that of their names."""
    endings = (".png", ".jpg", ".jpeg")
    files = [
        file
        for file in sorted(root.glob("*/**/*"))
        if file.suffix.lower() in endings and file.is_file()
    ]
    if not files:
        raise FileNotFoundError(f"there is no class/name.png or .jpg in {root}")
    return files


def _check_files(root: Path, files: list[Path], sha256: str | None) -> None:
    if sha256 is None:
        return
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(root).as_posix().encode())
        digest.update(file.read_bytes())
    if digest.hexdigest() != sha256:
        raise ValueError(f"the files in {root} have sha256 {digest.hexdigest()}")


def _pixels(
    root: Path, files: list[Path], classes: tuple[str, ...], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, of which the folder just below the root is the class."""
    from PIL import Image, ImageOps

    names = [file.relative_to(root).parts[0] for file in files]
    unknown = sorted(set(names) - set(classes))
    if unknown:
        raise ValueError(f"held out, but not trained on: {', '.join(unknown)}")
    x = np.empty((len(files), size, size, 3))
    for place, file in enumerate(files):
        with Image.open(file) as image:
            scaled = ImageOps.fit(image.convert("RGB"), (size, size))
        x[place] = np.asarray(scaled) / 255.0
    return x, np.array([classes.index(name) for name in names])
