"""Images with labels, from packages and files that are there already.

Nothing is downloaded. Pixels are numbers from 0 to 1 in (N, height, width, channels).
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True)
class Images:
    """Labelled images, split into training and test data.

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
    return _split(x, np.asarray(data.target, dtype=int), num_test, seed)


def _split(x: np.ndarray, y: np.ndarray, num_test: int, seed: int) -> Images:
    """The images in random order, the first of them for training."""
    if not 1 <= num_test < len(y):
        raise ValueError(f"num_test must be from 1 to {len(y) - 1}, not {num_test}")
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = order[:-num_test], order[-num_test:]
    names = tuple(str(label) for label in np.unique(y))
    return Images(x[train], y[train], x[test], y[test], names)
