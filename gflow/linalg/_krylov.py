"""An orthonormal Krylov basis, grown one product at a time.

Letters: A the operator, V the basis (rows v_0 .. v_{m-1}), H = V A V^T in the inner
product, beta the norm of what A v_k leaves outside of the basis.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._types import Scalar
from ._flat import Flat, Vector, unit

# Ritz values, coordinates in columns, residual norms.
Pairs = tuple[Float[Array, " m"], Float[Array, "m m"], Float[Array, " m"]]


class Krylov(eqx.Module):
    """A V^T = V^T H + beta v_next e_k^T, for the `dimension` rows of V that are filled.

    Rows beyond are zero, and so are their entries of H. After a breakdown (the basis
    spans an invariant subspace) `beta` and `following` are zero.
    """

    basis: Float[Array, "m n"]
    hessenberg: Float[Array, "m m"]
    following: Float[Array, " n"]
    beta: Scalar
    dimension: Int[Array, ""]

    @property
    def filled(self) -> Bool[Array, " m"]:
        """Which rows hold a basis vector."""
        return jnp.arange(self.basis.shape[0]) < self.dimension

    @property
    def projected(self) -> Float[Array, "m m"]:
        """The projection of A: symmetric, zero outside of the filled block."""
        inside = self.filled[:, None] & self.filled
        # Averaging halves what round-off leaves of asymmetry. For an A that is not
        # symmetric in this inner product it is the projection of the symmetric part,
        # whose extremal eigenvalues bound those of A in the limit.
        return jnp.where(inside, (self.hessenberg + self.hessenberg.T) / 2, 0)


def begin(operator: Flat, start: Vector, num_steps: int) -> Krylov:
    """An empty basis whose first vector will be `start`, normalized."""
    shape, dtype = (num_steps, start.size), start.dtype
    length = operator.norm(start)
    return Krylov(
        basis=jnp.zeros(shape, dtype),
        hessenberg=jnp.zeros((num_steps, num_steps), dtype),
        following=unit(start, length),
        beta=length,
        dimension=jnp.asarray(0, jnp.int32),
    )


def grow(operator: Flat, krylov: Krylov) -> Krylov:
    """One more basis vector: one product with A.

    Gram-Schmidt is run twice against every row, which leaves V orthonormal to round-off
    whatever the spectrum (Giraud, Langou, Rozloznik and van den Eshof, 2005).
    """
    m, k = krylov.basis.shape[0], krylov.dimension
    basis = krylov.basis.at[k].set(krylov.following)
    rest = operator.apply(krylov.following)

    def project(_: Any, carry: tuple[Vector, Array]) -> tuple[Vector, Array]:
        rest, column = carry
        coefficients = basis @ operator.weigh(rest)
        return rest - coefficients @ basis, column + coefficients

    # A loop, so that the two passes are one in the compiled program.
    none = jnp.zeros(m, rest.dtype)
    rest, column = jax.lax.fori_loop(0, 2, project, (rest, none))
    beta = operator.norm(rest)
    # What is left of an invariant subspace is round-off of products of this size.
    size = jnp.maximum(jnp.max(jnp.abs(krylov.hessenberg)), jnp.max(jnp.abs(column)))
    broken = beta <= 16 * jnp.finfo(rest.dtype).eps * size
    beta = jnp.where(broken, 0, beta)
    hessenberg = krylov.hessenberg.at[:, k].set(column)
    # Out of range, at the last step, the entry is dropped.
    hessenberg = hessenberg.at[k + 1, k].set(beta, mode="drop")
    return Krylov(basis, hessenberg, unit(rest, beta), beta, k + 1)


def expand(
    operator: Flat, krylov: Krylov, stop: Callable[[Krylov], Bool[Array, ""]]
) -> Krylov:
    """Grow until the basis is full, `stop` holds, or it spans an invariant subspace.

    `stop` is asked after every product. A NaN ends the loop.
    """
    room = min(krylov.basis.shape)

    def unfinished(carry: tuple[Krylov, Bool[Array, ""]]) -> Bool[Array, ""]:
        krylov, stopped = carry
        return (krylov.dimension < room) & (krylov.beta > 0) & ~stopped

    def body(
        carry: tuple[Krylov, Bool[Array, ""]],
    ) -> tuple[Krylov, Bool[Array, ""]]:
        grown = grow(operator, carry[0])
        return grown, stop(grown)

    first = (krylov, jnp.asarray(False))
    return jax.lax.while_loop(unfinished, body, first)[0]


def never(krylov: Krylov) -> Bool[Array, ""]:
    """The stop that lets the basis fill."""
    del krylov
    return jnp.asarray(False)


def ritz(krylov: Krylov) -> Pairs:
    """Ritz values in ascending order, coordinates in columns, residual norms.

    The first `dimension` of them count; those that follow have value 0, coordinates 0
    and residual inf.
    """
    filled = krylov.filled
    values, coordinates = masked_eigh(krylov.projected, filled)
    last = jnp.take(coordinates, krylov.dimension - 1, axis=0, mode="clip")
    residuals = jnp.where(filled, krylov.beta * jnp.abs(last), jnp.inf)
    return values, coordinates, residuals


def masked_eigh(
    matrix: Float[Array, "m m"], filled: Bool[Array, " m"]
) -> tuple[Float[Array, " m"], Float[Array, "m m"]]:
    """Eigenvalues of the leading block, ascending, and vectors; zeros after them."""
    # Rows that are not filled get an eigenvalue of their own above all others, of the
    # same scale, so that they come last and cost the others no digits.
    bound = jnp.max(jnp.sum(jnp.abs(matrix), axis=1))
    apart = jnp.where(bound > 0, 2 * bound, 1)
    values, vectors = jnp.linalg.eigh(
        matrix + jnp.diag(jnp.where(filled, 0, apart)), symmetrize_input=False
    )
    return jnp.where(filled, values, 0), jnp.where(filled, vectors, 0)
