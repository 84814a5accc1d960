"""What linear solves leave for those of later steps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..linalg import SpectralPreconditioner

Vector = Float[Array, " n"]

# Room for products of a step, and how many of them are worth learning from.
_ROOM, _LEAST = 20, 10


class Memory(eqx.Module):
    """A preconditioner, and the products H p that are to go into it.

    They wait until there are some, as to learn from them costs the same however few
    they are; if they wait for long, what is learnt is worth less.
    """

    preconditioner: SpectralPreconditioner
    directions: Float[Array, "room n"]
    images: Float[Array, "room n"]
    num: Int[Array, ""]

    @staticmethod
    def empty(num_ritz: int, size: int, dtype: Any) -> "Memory":
        """That of no products, with room for so many vectors."""
        none = jnp.zeros((_ROOM, size), dtype)
        preconditioner = SpectralPreconditioner.empty(num_ritz, size, dtype)
        return Memory(preconditioner, none, none, jnp.zeros((), jnp.int32))

    def noted(
        self, when: Bool[Array, ""], direction: Vector, image: Vector
    ) -> "Memory":
        """With one more product, if there is room."""
        room = len(self.directions)
        row = jnp.where(when, self.num, room)
        return Memory(
            self.preconditioner,
            self.directions.at[row].set(direction, mode="drop"),
            self.images.at[row].set(image, mode="drop"),
            jnp.minimum(self.num + when, room).astype(jnp.int32),
        )

    def learnt(self, weights: Any) -> "Memory":
        """With its products in the preconditioner, once they are enough."""

        def learn() -> "Memory":
            better = self.preconditioner.updated(self.directions, self.images, weights)
            none = jnp.zeros_like(self.directions)
            return Memory(better, none, none, 0 * self.num)

        return jax.lax.cond(self.num >= _LEAST, learn, lambda: self)
