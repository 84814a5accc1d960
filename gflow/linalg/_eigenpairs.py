"""Extremal eigenpairs, started from vectors that are nearly right.

Letters: V a basis (rows), W = A V^T (rows), H = V W^T in the inner product; m rows at
most, k pairs wanted; θ, x a Ritz pair.
"""

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from .._types import Params
from ._flat import Flat, Matvec, Vector, flatten, unit
from ._krylov import masked_eigh

Which = Literal["largest", "smallest", "modulus"]

_RANK: dict[str, Callable[[Array], Array]] = {
    "largest": lambda values: -values,
    "smallest": lambda values: values,
    "modulus": lambda values: -jnp.abs(values),
}


class Eigenpairs(eqx.Module):
    """k eigenpairs, the outermost first.

    - `values`: Ritz values, each on the inner side of the eigenvalue of its rank.
    - `vectors`: orthonormal, along the leading axis of every leaf. What the next call
        starts from.
    - `residuals`: ‖A x - θ x‖; an eigenvalue lies within this of the Ritz value.
    - `converged`: whether all residuals are as small as asked for.
    - `products`: matrix-vector products taken.
    """

    values: Float[Array, " k"]
    vectors: Params
    residuals: Float[Array, " k"]
    converged: Bool[Array, ""]
    products: Int[Array, ""]


class _Subspace(eqx.Module):
    """A basis, its image under A and projection; the wanted pairs; what to add next."""

    basis: Float[Array, "m n"]
    image: Float[Array, "m n"]
    projected: Float[Array, "m m"]
    coordinates: Float[Array, "k m"]
    dimension: Int[Array, ""]
    values: Float[Array, " k"]
    residuals: Float[Array, " k"]
    following: Float[Array, " n"]
    finished: Bool[Array, ""]
    products: Int[Array, ""]


def eigenpairs(
    matvec: Matvec,
    like: Params,
    k: int,
    *,
    key: PRNGKeyArray,
    which: Which = "largest",
    vectors: Params | None = None,
    rtol: float = 1e-6,
    atol: float = 0.0,
    max_products: int = 200,
    num_vectors: int | None = None,
    weigh: Matvec | None = None,
) -> Eigenpairs:
    """The k largest or smallest eigenpairs of a symmetric A.

    Rayleigh-Ritz in a space that starts with `vectors` and grows by the largest
    residual; when full it is cut back to the best Ritz vectors. From one vector this
    is the thick-restart Lanczos method; from k of them nearly right it starts where
    they are. Where the space cannot grow (a start inside of an invariant subspace,
    vectors that are dependent or zero) a random vector joins it.

    Eigenvalues come with their multiplicity, and clusters in full, as far as the start
    holds a vector for each of them: the k random vectors of a cold start do. After a
    warm start an eigenvalue that overtook unseen can be missed: ask for one or two
    pairs more than are needed, since what overtakes was next before.

    **Arguments:**

    - `matvec`: x -> A x, linear and symmetric in the inner product.
    - `like`: a pytree of the structure of x; only its shapes and types matter.
    - `k`: how many pairs, at most the number of parameters.
    - `key`: for random vectors.
    - `which`: `"largest"` or `"smallest"` (with sign), or largest in `"modulus"`.
    - `vectors`: pytree like x with a leading axis of any length on every leaf. None:
        k random vectors. One random vector takes about half of the products, and is
        enough where eigenvalues are simple and apart.
    - `rtol`, `atol`: a pair has converged when its residual is at most
        `atol + rtol max|θ|`.
    - `max_products`: the most products taken.
    - `num_vectors`: the size of the space, 2 k + 10 unless told; more of it, fewer
        products.
    - `weigh`: x -> M x, of the inner product x·M y in which A is symmetric
        (`lanczos`).

    **Returns:** an `Eigenpairs`. Pairs that were not reached have residual inf.

    **Raises:** `ValueError` if k or `num_vectors` does not fit.

    **Cost:** k products where `vectors` are right already, and some for each that is
    not. Beside each product (4 m + 2 k m) n operations for a space of m vectors, of
    which 2 m are stored.

    **References:** Wu and Simon (2000), thick restart; Davidson (1975); Stathopoulos
    and Saad (1998), the two together.

    ```python
    >>> import jax, jax.numpy as jnp
    >>> from gflow.linalg import eigenpairs
    >>> d = jnp.concatenate([jnp.linspace(0.0, 1.0, 50), jnp.asarray([3.0, 3.0])])
    >>> pairs = eigenpairs(lambda x: d * x, d, 3, key=jax.random.key(0), rtol=1e-4)
    >>> print(pairs.values.round(3), bool(pairs.converged))
    [3. 3. 1.] True

    ```
    """
    operator, flat = flatten(matvec, like, weigh)
    n = flat.size
    m = min(2 * k + 10 if num_vectors is None else num_vectors, n)
    if not 1 <= k <= n or (m <= k and m < n):
        raise ValueError(
            f"k = {k} pairs of {n} parameters in a space of {m} vectors: k must lie "
            "between 1 and the number of parameters, and below num_vectors"
        )
    first, more = _starts(flat, k, key, vectors)
    state = _Subspace(
        basis=jnp.zeros((m, n), flat.dtype),
        image=jnp.zeros((m, n), flat.dtype),
        projected=jnp.zeros((m, m), flat.dtype),
        coordinates=jnp.zeros((k, m), flat.dtype),
        dimension=jnp.asarray(0, jnp.int32),
        values=jnp.zeros(k, flat.dtype),
        residuals=jnp.full(k, jnp.inf, flat.dtype),
        following=first[0],
        finished=jnp.asarray(False),
        products=jnp.asarray(0, jnp.int32),
    )

    def unfinished(state: _Subspace) -> Bool[Array, ""]:
        return ~state.finished & (state.products < max_products)

    def body(state: _Subspace) -> _Subspace:
        spare = jax.random.normal(jax.random.fold_in(more, state.products), (n,))
        grown = _add(operator, state, spare.astype(flat.dtype))
        return _refine(operator, grown, first, which, (rtol, atol))

    state = jax.lax.while_loop(unfinished, body, state)
    return Eigenpairs(
        state.values,
        operator.unstack(state.coordinates @ state.basis),
        state.residuals,
        state.finished & jnp.all(jnp.isfinite(state.residuals)),
        state.products,
    )


def _starts(
    flat: Vector, k: int, key: PRNGKeyArray, vectors: Params | None
) -> tuple[Float[Array, "starts n"], PRNGKeyArray]:
    """The vectors to begin with, and a key for more."""
    now, later = jax.random.split(key)
    if vectors is None:
        return jax.random.normal(now, (k, flat.size), flat.dtype), later
    rows = jax.vmap(lambda x: ravel_pytree(x)[0])(vectors).astype(flat.dtype)
    return rows, later


def _add(operator: Flat, state: _Subspace, spare: Vector) -> _Subspace:
    """Enter the next vector, or the spare one if it lies in the space; one product."""

    def orthonormalize(_: Any, x: Vector) -> Vector:
        x = x - (state.basis @ operator.weigh(x)) @ state.basis
        return unit(x, operator.norm(x))

    x = unit(state.following, operator.norm(state.following))
    outside = x - (state.basis @ operator.weigh(x)) @ state.basis
    # A part this small is mostly round-off.
    inside = operator.norm(outside) <= 100 * jnp.finfo(x.dtype).eps
    x = jax.lax.fori_loop(0, 3, orthonormalize, jnp.where(inside, spare, outside))
    place = state.dimension
    basis, image = state.basis.at[place].set(x), operator.apply(x)
    column = basis @ operator.weigh(image)
    return eqx.tree_at(
        lambda s: (s.basis, s.image, s.projected, s.dimension, s.products),
        state,
        (
            basis,
            state.image.at[place].set(image),
            state.projected.at[:, place].set(column).at[place].set(column),
            place + 1,
            state.products + 1,
        ),
    )


def _refine(
    operator: Flat,
    state: _Subspace,
    first: Float[Array, "starts n"],
    which: str,
    tolerance: tuple[float, float],
) -> _Subspace:
    """Rayleigh-Ritz; then choose the next vector, and make room for it."""
    m, n = state.basis.shape
    k, starts = len(state.values), len(first)
    filled = jnp.arange(m) < state.dimension
    values, columns = masked_eigh(state.projected, filled)
    order = jnp.argsort(jnp.where(filled, _RANK[which](values), jnp.inf))
    values, turn = values[order], columns[:, order].T
    rest = turn[:k] @ state.image - (values[:k, None] * turn[:k]) @ state.basis
    residuals = jnp.where(filled[:k], jax.vmap(operator.norm)(rest), jnp.inf)
    small = residuals <= tolerance[1] + tolerance[0] * jnp.max(jnp.abs(values))
    whole = state.dimension == n
    worst = jnp.argmax(jnp.where(filled[:k], residuals, -1))
    entering = jnp.clip(state.products, 0, starts - 1)
    following = jnp.where(state.products < starts, first[entering], rest[worst])
    refined = eqx.tree_at(
        lambda s: (s.coordinates, s.values, s.residuals, s.following, s.finished),
        state,
        (
            turn[:k],
            values[:k],
            residuals,
            following,
            # A space that holds everything leaves residuals of round-off.
            (state.products >= starts) & jnp.all(small) | whole,
        ),
    )
    full = (state.dimension == m) & ~whole
    return jax.lax.cond(
        full, lambda s: _cut_back(s, values, turn), lambda s: s, refined
    )


def _cut_back(
    state: _Subspace, values: Float[Array, " m"], turn: Float[Array, "m m"]
) -> _Subspace:
    """The best Ritz vectors instead of a full basis.

    Half of those that are not wanted stay as well: those next to the wanted ones keep
    the convergence that they have gathered.
    """
    m, k = len(values), len(state.values)
    kept = min((k + m) // 2, m - 1)
    stay = jnp.arange(m) < kept
    turn = jnp.where(stay[:, None], turn, 0)
    return eqx.tree_at(
        lambda s: (s.basis, s.image, s.projected, s.coordinates, s.dimension),
        state,
        (
            turn @ state.basis,
            turn @ state.image,
            jnp.diag(jnp.where(stay, values, 0)),
            jnp.eye(k, m, dtype=turn.dtype),
            jnp.asarray(kept, jnp.int32),
        ),
    )
