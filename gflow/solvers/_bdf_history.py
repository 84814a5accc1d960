"""The past points from which a multistep method goes on."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# A step longer than the last spacing by more than this factor does not see the point
# before the newest: differences over a spacing much shorter than the step would
# multiply the error of Newton's method. Only a step that was cut short leaves one.
_LARGEST_RATIO = 4.0


class History(eqx.Module):
    """Times, states and slopes of accepted steps, newest first; rows past `num` fill.

    The states are flat, parameters first, then quadratures; the slopes are of both.
    """

    times: Float[Array, " depth"]
    values: Float[Array, "depth size"]
    slopes: Float[Array, "depth size"]
    num: Int[Array, ""]

    @staticmethod
    def start(t: Any, y: Any, slope: Any, depth: int) -> "History":
        """A single point."""
        return History(
            times=jnp.full((depth,), t),
            values=jnp.broadcast_to(y, (depth, *y.shape)),
            slopes=jnp.broadcast_to(slope, (depth, *y.shape)),
            num=jnp.ones((), jnp.int32),
        )

    def seen(self, h: Any) -> "History":
        """What a step of length h goes on from.

        Rows that hold no point get times that continue the grid. A lone point is given
        another, h before it and on its tangent, so that prediction is Euler's.
        """
        close = h > _LARGEST_RATIO * (self.times[0] - self.times[1])
        drops = close & (self.num > 2)
        indices = jnp.arange(len(self.times))
        rows = jnp.where(drops & (indices > 0), indices + 1, indices)
        rows = jnp.minimum(rows, len(self.times) - 1)
        num = self.num - drops
        times = self.times[rows]
        last = times[num - 1]
        times = jnp.where(indices < num, times, last - h * (indices - num + 1))
        values, slopes = self.values[rows], self.slopes[rows]
        tangent = self.values[0] - jnp.asarray(h, values.dtype) * self.slopes[0]
        lone = self.num == 1
        values = values.at[1].set(jnp.where(lone, tangent, values[1]))
        return History(times, values, slopes, num)

    def pushed(self, t: Any, y: Any, slope: Any) -> "History":
        """With a new point in front, and the oldest gone."""

        def push(new: Any, old: Any) -> Any:
            return jnp.concatenate([jnp.asarray(new)[None], old[:-1]])

        return History(
            times=push(t, self.times),
            values=push(y, self.values),
            slopes=push(slope, self.slopes),
            num=jnp.minimum(self.num + 1, len(self.times)).astype(jnp.int32),
        )

    def combine(self, weights: Any) -> Any:
        """Σ_i weights_i y_i for weights that sum to 1, by differences to the newest.

        The differences keep the round-off that of y, not of large weights times y.
        """
        differences = self.values[1:] - self.values[0]
        return self.values[0] + weights[..., 1:] @ differences
