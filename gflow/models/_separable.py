"""Data that a hyperplane through the origin separates."""

import dataclasses

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Separable:
    """Examples of two classes.

    - `A`: (M, N), an example a row; `y`: (M,), labels +1 and -1.
    - `normal`: (N,), a unit vector whose sign of A @ normal is y.
    """

    A: Float[np.ndarray, "m n"]
    y: Float[np.ndarray, " m"]
    normal: Float[np.ndarray, " n"]


def separable_gaussian(
    num_samples: int, num_features: int, *, margin: float = 0.2, seed: int
) -> Separable:
    """Gaussian examples, none nearer than `margin` to a random hyperplane through 0.

    **Arguments:** `num_samples`: M; `num_features`: N; `margin`: a distance, in units
    of the standard deviation of a coordinate; 1 leaves a third of the draws.

    **Raises:** `ValueError` unless M, N ≥ 1 and 0 < margin ≤ 3.

    ```python
    >>> from gflow.models import separable_gaussian
    >>> data = separable_gaussian(30, 5, seed=0)
    >>> print((data.y * (data.A @ data.normal)).min() >= 0.2)
    True

    ```
    """
    if num_samples < 1 or num_features < 1 or not 0 < margin <= 3:
        raise ValueError(
            "expected num_samples >= 1, num_features >= 1 and 0 < margin <= 3, not "
            f"{num_samples}, {num_features}, {margin}"
        )
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal(num_features)
    normal /= np.linalg.norm(normal)
    rows = np.empty((0, num_features))
    while len(rows) < num_samples:
        drawn = rng.standard_normal((4 * num_samples, num_features))
        rows = np.concatenate([rows, drawn[np.abs(drawn @ normal) >= margin]])
    A = rows[:num_samples]
    return Separable(A=A, y=np.sign(A @ normal), normal=normal)
