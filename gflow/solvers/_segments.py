"""Dense output made of several polynomials."""

from typing import Any

import diffrax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ._tsit5 import evaluate


class SegmentInterpolation(diffrax.AbstractLocalInterpolation):
    """Polynomials one after the other; `starts` is inf where there is none."""

    t0: Any
    t1: Any
    starts: Float[Array, " s"]
    lengths: Float[Array, " s"]
    firsts: Float[Array, "s n"]
    coefficients: Float[Array, "s 4 n"]
    # Any state: how a flat one unfolds.
    like: Any

    def evaluate(self, t0: Any, t1: Any | None = None, left: bool = True) -> Any:
        """y(t0), or y(t1) - y(t0)."""
        del left
        _, unravel = ravel_pytree(self.like)
        value = self._at(t0)
        return unravel(value if t1 is None else self._at(t1) - value)

    def _at(self, t: Any) -> Any:
        one = jnp.maximum(jnp.sum(self.starts <= t) - 1, 0)
        theta = (t - self.starts[one]) / self.lengths[one]
        return evaluate(self.firsts[one], self.coefficients[one], theta)
