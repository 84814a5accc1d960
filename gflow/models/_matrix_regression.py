"""Linear regression with a matrix to be found, of full or of low rank."""

import dataclasses

import numpy as np
from jaxtyping import ArrayLike, Float


@dataclasses.dataclass(frozen=True)
class MatrixRegression:
    """Data Y = X Tᵀ.

    - `X`: (k, n); `Y`: (k, m).
    - `target`: the matrix T that made Y, (m, n).
    """

    X: Float[np.ndarray, "k n"]
    Y: Float[np.ndarray, "k m"]
    target: Float[np.ndarray, "m n"]

    def error(self, matrix: ArrayLike) -> float:
        """Expected test loss of a matrix, E‖(W - T)x‖²/E‖T x‖² for x ~ N(0, I)."""
        gap = np.asarray(matrix) - self.target
        return float(np.sum(gap**2) / np.sum(self.target**2))


def matrix_regression(
    dim: int, num_samples: int, *, rank: int | None = None, seed: int
) -> MatrixRegression:
    """Gaussian inputs and a Gaussian target matrix of a given rank, without noise.

    X has entries N(0, 1). T is (dim, dim): with entries N(0, 1/dim) if `rank` is None
    or dim, else A Bᵀ/√(rank dim) with Gaussian A, B of shape (dim, rank). Its squared
    Frobenius norm is dim on average, as that of a factor N(0, 1/dim).

    **Arguments:** `dim`: n = m; `num_samples`: k; `rank`: of T.

    **Raises:** `ValueError` unless 1 ≤ rank ≤ dim and num_samples ≥ 1.

    ```python
    >>> import numpy as np
    >>> from gflow.models import matrix_regression
    >>> data = matrix_regression(8, 6, rank=2, seed=0)
    >>> print(data.X.shape, data.Y.shape, np.linalg.matrix_rank(data.target))
    (6, 8) (6, 8) 2

    ```
    """
    rank = dim if rank is None else rank
    if not 1 <= rank <= dim or num_samples < 1:
        raise ValueError(
            f"expected 1 <= rank <= dim and num_samples >= 1, not {rank}, {dim}, "
            f"{num_samples}"
        )
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((num_samples, dim))
    if rank == dim:
        target = rng.standard_normal((dim, dim)) / np.sqrt(dim)
    else:
        left, right = rng.standard_normal((2, dim, rank))
        target = left @ right.T / np.sqrt(rank * dim)
    return MatrixRegression(X, X @ target.T, target)
