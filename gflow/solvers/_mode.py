"""The mode of a piecewise smooth flow: on which side of each kink, and what is held."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Mode(eqx.Module):
    """Sides and slopes of P switching functions, and the at most C held at zero."""

    # -1 and 1 below and above the kink, 0 held on it.
    side: Int[Array, " p"]
    # low, high, or where held the multiplier at the time of the last look.
    slopes: Float[Array, " p"]
    # Indices of pairs, P where there is none; only the `held` among them are held.
    pairs: Int[Array, " c"]
    held: Bool[Array, " c"]

    def held_mask(self) -> Bool[Array, " p"]:
        """Which of all P are held."""
        none = jnp.zeros(self.slopes.shape, bool)
        return none.at[self.pairs].set(self.held, mode="drop")


class Tally(eqx.Module):
    """What has happened at kinks so far."""

    crossings: Int[Array, ""]
    slides: Int[Array, ""]
    exits: Int[Array, ""]
    # Held pairs whose kink turned repelling: the flow goes on in more than one way.
    undetermined: Int[Array, ""]
    # Kinks met at which no consistent mode was found.
    unresolved: Int[Array, ""]
    most_held: Int[Array, ""]

    @classmethod
    def zero(cls, **counts: Array) -> "Tally":
        """Nothing yet but the counts given."""
        names = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: jnp.zeros((), int) for name in names} | counts)


def count(
    tally: Tally, old: Mode, new: Mode, undetermined: Any, unresolved: Any
) -> Tally:
    """The tally after a mode became another."""
    was, now = old.side, new.side
    num = lambda which: jnp.sum(which).astype(int)  # noqa: E731
    return Tally(
        crossings=tally.crossings + num(was * now < 0),
        slides=tally.slides + num((was != 0) & (now == 0)),
        exits=tally.exits + num((was == 0) & (now != 0)),
        undetermined=tally.undetermined + undetermined,
        unresolved=tally.unresolved + unresolved,
        most_held=jnp.maximum(tally.most_held, num(new.held)),
    )


def added(one: Tally, other: Tally) -> Tally:
    """The tally of both together."""
    most = jnp.maximum(one.most_held, other.most_held)
    both = jax.tree.map(jnp.add, one, other)
    return dataclasses.replace(both, most_held=most)
