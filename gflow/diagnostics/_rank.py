"""How many dimensions a matrix fills.

s_i its singular values, p_i = s_i/Σ s. Gram matrices of embeddings go in as they are:
their singular values are the squares of the embedding's.
"""

import jax.numpy as jnp
import jax.scipy.special as special
from jaxtyping import Array, ArrayLike, Float


def rank_effective(matrix: ArrayLike) -> Float[Array, "..."]:
    """Entropy of the normalized singular values, -Σ p_i log p_i.

    Between 0 for rank one and log min(m, n); scale-free, and smooth in the matrix
    where no singular value is 0. Not a count: `rank_roy_vetterli` is one.

    **Arguments:** `matrix`: (..., m, n).

    **Returns:** (...,); NaN for the zero matrix.

    **Cost:** the singular values, O(m n min(m, n)).

    **References:** Huh et al. 2021 (arXiv 2103.10427), definition 1.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.diagnostics import rank_effective
    >>> print(rank_effective(jnp.eye(4)).round(4))  # log 4
    1.3863

    ```
    """
    p = _singular_values(matrix)
    p = p / jnp.sum(p, axis=-1, keepdims=True)
    return jnp.sum(special.entr(p), axis=-1)


def rank_roy_vetterli(matrix: ArrayLike) -> Float[Array, "..."]:
    """exp of `rank_effective`: r for a matrix with r equal singular values and no more.

    Arguments, cost and NaN as `rank_effective`.

    **References:** Roy, Vetterli 2007, "The effective rank".

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.diagnostics import rank_roy_vetterli
    >>> print(rank_roy_vetterli(jnp.diag(jnp.array([2.0, 2.0, 0.0]))).round(4))
    2.0

    ```
    """
    return jnp.exp(rank_effective(matrix))


def rank_stable(matrix: ArrayLike) -> Float[Array, "..."]:
    """‖A‖_F²/‖A‖₂² = Σ s_i²/s_1², between 1 and the rank; hardly moved by small s_i.

    Arguments, cost and NaN as `rank_effective`.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.diagnostics import rank_stable
    >>> print(rank_stable(jnp.diag(jnp.array([2.0, 1.0]))))  # (4 + 1)/4
    1.25

    ```
    """
    s = _singular_values(matrix)
    # Divided before they are squared, which could over- or underflow.
    return jnp.sum((s / s[..., :1]) ** 2, axis=-1)


def rank_numerical(matrix: ArrayLike, *, rtol: float) -> Float[Array, "..."]:
    """How many singular values exceed rtol s_1.

    **Arguments:** `matrix`: (..., m, n); `rtol`: > 0, relative to the largest.

    **Returns:** (...,), whole numbers; 0 for the zero matrix.

    **Raises:** `ValueError` for an rtol that is not > 0.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.diagnostics import rank_numerical
    >>> print(rank_numerical(jnp.diag(jnp.array([2.0, 1.0, 1e-3])), rtol=1e-2))
    2.0

    ```
    """
    if not rtol > 0:
        raise ValueError(f"rtol must be > 0, not {rtol!r}")
    s = _singular_values(matrix)
    return jnp.sum(s > rtol * s[..., :1], axis=-1).astype(s.dtype)


def _singular_values(matrix: ArrayLike) -> Float[Array, "... k"]:
    return jnp.linalg.svd(jnp.asarray(matrix, float), compute_uv=False)
