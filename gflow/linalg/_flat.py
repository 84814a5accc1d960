"""Linear operators on pytrees as functions of flat vectors."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._types import Params, Scalar

# x -> A x, linear, from a pytree to one of the same structure.
Matvec = Callable[[Params], Params]

Vector = Float[Array, " n"]


def identity(x: Any) -> Any:
    """The weighing of the Euclidean inner product."""
    return x


class Flat(eqx.Module):
    """A symmetric operator and its inner product, on vectors of one axis.

    The inner product is (x, y) = x·M y. What `weigh` multiplies by is M.
    """

    apply: Callable[[Vector], Vector]
    weigh: Callable[[Vector], Vector]
    unravel: Callable[[Vector], Params]

    def inner(self, x: Vector, y: Vector) -> Scalar:
        """The inner product in which the operator is symmetric."""
        return x @ self.weigh(y)

    def norm(self, x: Vector) -> Scalar:
        """Its norm; round-off below zero is cut off."""
        return jnp.sqrt(jnp.maximum(self.inner(x, x), 0))

    def unstack(self, rows: Float[Array, "m n"]) -> Params:
        """Rows as one pytree whose leaves have a leading axis of length m."""
        return jax.vmap(self.unravel)(rows)


def flatten(
    matvec: Matvec, like: Params, weigh: Matvec | None = None
) -> tuple[Flat, Vector]:
    """The operator on flat vectors, and `like` as one of them."""
    flat, unravel = ravel_pytree(like)

    def flattened(operator: Matvec) -> Callable[[Vector], Vector]:
        return lambda x: ravel_pytree(operator(unravel(x)))[0].astype(flat.dtype)

    weighing = identity if weigh is None else flattened(weigh)
    return Flat(flattened(matvec), weighing, unravel), flat


def unit(x: Vector, length: Scalar) -> Vector:
    """`x` divided by its length, and zero where the length is zero."""
    return jnp.where(length > 0, x / jnp.where(length > 0, length, 1), 0)
