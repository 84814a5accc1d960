"""A spectral preconditioner for I + γA, kept up along a run from products at hand.

Letters: x_i, θ_i, r_i approximate eigenpairs of A and their residuals; P rows of
vectors whose images under A are known; Q the rows made orthonormal.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._types import Params, Scalar, ScalarLike
from ._flat import Matvec, flatten, identity

# A vector of which less than this lies outside of the span of the others is dropped:
# the error of its image would be multiplied by the inverse. That is round-off for a new
# vector, and what A has changed by for an old one.
_DEPENDENT_NEW, _DEPENDENT_OLD = 1e-3, 0.1


class Deflation(eqx.Module):
    """Approximate eigenpairs of a symmetric A, the largest first.

    Entries that were not filled have value 0, vector 0, and do nothing.

    - `values`: Ritz values.
    - `residuals`: ‖A x - θ x‖, with what is known of the change of A since.
    - `vectors`: orthonormal, one a row, flat.
    - `images`: A times the vectors, as of the time when they were taken.
    - `duals`: M times the vectors; None where M = I.
    """

    values: Float[Array, " k"]
    residuals: Float[Array, " k"]
    vectors: Float[Array, "k n"]
    images: Float[Array, "k n"]
    duals: Float[Array, "k n"] | None

    def counted_on(self, gamma: ScalarLike) -> Float[Array, " k"]:
        """θ^2/(θ + k γ r^2): what may be deflated of each value, 0 where θ ≤ 0.

        With the whole θ, residuals push eigenvalues of the preconditioned operator far
        below 1 and break the bounds of an error that rely on its being at least 1;
        θ - r is not small enough either once γ r > 1. Let R be the residuals, C ≥ 0
        what A is outside of the span. Then I + γA ≥ I + γ Σ l_i x_i x_i^T if
        Θ - L ≥ γ R^T (I + γC)^-1 R. For one vector, A ≥ 0 implies C ≥ r^2/θ along R,
        and the largest l is θ - γ r^2/(1 + γ r^2/θ) = θ^2/(θ + γ r^2). For k vectors
        R^T R ≤ k diag(r_i^2), which is where k comes from; there, the smallest
        eigenvalue can still fall short of 1 by some hundredths.
        """
        gamma = jnp.asarray(gamma, self.values.dtype)
        theta = jnp.maximum(self.values, 0)
        total = theta + len(theta) * gamma * self.residuals**2
        return jnp.where(theta > 0, theta**2 / jnp.where(theta > 0, total, 1), 0)

    def precondition(self, v: Params, gamma: ScalarLike) -> Params:
        """(I + γA)^-1 v on the span of the vectors, the identity elsewhere, γ ≥ 0.

        The preconditioner is symmetric positive definite in the inner product. With
        exact pairs it moves 1 + γθ_i to 1 and leaves other eigenvalues as they are.

        **Cost:** 4 k n operations, no product.
        """
        flat, unravel = ravel_pytree(v)
        scaled = (gamma * self.counted_on(gamma)).astype(flat.dtype)
        rows = self.vectors if self.duals is None else self.duals
        weights = (scaled / (1 + scaled)) * (rows @ flat)
        return unravel(flat - weights @ self.vectors)


def no_deflation(like: Params, k: int, *, weigh: Matvec | None = None) -> Deflation:
    """The state to start from: room for k pairs, none known.

    **Arguments:** `like`, a pytree of the structure of x; `k`, the number of vectors;
    `weigh`, as in `lanczos`.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.linalg import harvest, no_deflation
    >>> d = jnp.asarray([9.0, 1.0, 0.0])
    >>> known = harvest(no_deflation(d, 1), jnp.eye(3)[:2], jnp.eye(3)[:2] * d)
    >>> print(known.values, known.precondition(jnp.ones(3), 1.0))
    [9.] [0.1 1.  1. ]

    ```
    """
    flat, _ = ravel_pytree(like)
    rows = jnp.zeros((k, flat.size), flat.dtype)
    none = jnp.zeros(k, flat.dtype)
    return Deflation(none, none, rows, rows, None if weigh is None else rows)


def harvest(
    known: Deflation, vectors: Params, images: Params, *, weigh: Matvec | None = None
) -> Deflation:
    """Rayleigh-Ritz on new pairs (p, A p) together with the pairs known.

    New pairs are those of a linear solve: its directions and their products, at no
    further cost. Old images may be those of another A. By symmetry ⟨p, A x⟩ is
    ⟨A p, x⟩, which is new: it replaces what the old image of x says, and how far the
    two are apart counts into the residual, so that less is deflated where A has moved.
    What A has done to x outside of the span of the new vectors stays unseen.

    **Arguments:**

    - `known`: what the last call returned, or `no_deflation`.
    - `vectors`, `images`: pytrees like x with a leading axis on every leaf. They need
        be neither orthogonal nor independent; zero rows are ignored.
    - `weigh`: x -> M x, as given to `no_deflation`.

    **Returns:** a `Deflation` with the largest Ritz values.

    **Cost:** no product; for j rows in all, 6 j^2 n operations and one eigenvalue
    problem of size j.

    **References:** Saad, Yeung, Erhel and Guyomarc'h (2000), deflated conjugate
    gradients; Giraud, Gratton and Martin (2007), spectral preconditioners.
    """
    like = jax.tree.map(lambda leaf: leaf[0], vectors)
    # Only the weighing is wanted of it.
    operator, flat = flatten(identity, like, weigh)

    def rows(tree: Params) -> Float[Array, "j n"]:
        return jax.vmap(lambda x: ravel_pytree(x)[0].astype(flat.dtype))(tree)

    new = rows(vectors)
    # The new rows come first, so that their images are never mixed with old ones.
    p = jnp.concatenate([new, known.vectors])
    a = jnp.concatenate([rows(images), known.images])
    metric = jax.vmap(operator.weigh)
    least = jnp.full(len(p), _DEPENDENT_OLD).at[: len(new)].set(_DEPENDENT_NEW)
    q, a = _orthonormalize(p, a, metric, least)
    values, turn, stale = _rayleigh_ritz(metric(q) @ a.T, len(new), len(known.values))
    # The images are made to agree with what symmetry says of them.
    a = a + stale.T @ q
    x, image = turn @ q, turn @ a
    length = jax.vmap(operator.norm)
    # What does not agree in the span of the new rows is taken as the size of what
    # cannot be seen outside of it.
    moved = jnp.abs(turn) @ jnp.linalg.norm(stale, axis=0)
    residuals = length(image - values[:, None] * x) + moved
    duals = None if known.duals is None else metric(x)
    return Deflation(values, residuals, x, image, duals)


def _orthonormalize(
    p: Float[Array, "j n"],
    a: Float[Array, "j n"],
    metric: Matvec,
    least: Float[Array, " j"],
) -> tuple[Float[Array, "j n"], Float[Array, "j n"]]:
    """Rows of p made orthonormal in order, with images; dependent ones are zero."""

    def length(x: Array) -> Scalar:
        return jnp.sqrt(jnp.maximum(x @ metric(x[None])[0], 0))

    def enter(i: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        q, b = carry
        size = length(p[i])
        scale = jnp.where(size > 0, 1 / jnp.where(size > 0, size, 1), 0)

        def project(_: Array, pair: tuple[Array, Array]) -> tuple[Array, Array]:
            x, y = pair
            shares = q @ metric(x[None])[0]
            return x - shares @ q, y - shares @ b

        x, y = jax.lax.fori_loop(0, 2, project, (scale * p[i], scale * a[i]))
        rest = length(x)
        scale = jnp.where(rest > least[i], 1 / jnp.where(rest > 0, rest, 1), 0)
        return q.at[i].set(scale * x), b.at[i].set(scale * y)

    none = (jnp.zeros_like(p), jnp.zeros_like(a))
    return jax.lax.fori_loop(0, len(p), enter, none)


def _rayleigh_ritz(
    half: Float[Array, "j j"], num_new: int, k: int
) -> tuple[Float[Array, " k"], Float[Array, "k j"], Float[Array, "j j"]]:
    """The k largest Ritz values, coordinates in rows, and what old images lack.

    `half[i, l]` is ⟨q_i, image of q_l⟩. Above its diagonal stand the older images
    against the fresher rows; below it the reverse, which is to be trusted.
    """
    trusted = jnp.tril(half) + jnp.tril(half, -1).T
    fresh = jnp.arange(len(half)) < num_new
    stale = jnp.where(fresh[:, None] & ~fresh, trusted - half, 0)
    values, columns = jnp.linalg.eigh(trusted, symmetrize_input=False)
    values, turn = values[::-1][:k], columns[:, ::-1].T[:k]
    missing = k - len(values)
    return (
        jnp.pad(values, (0, missing)),
        jnp.pad(turn, ((0, missing), (0, 0))),
        stale,
    )
