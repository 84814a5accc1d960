"""Dense output of backward differentiation."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp

from ._bdf_formula import extrapolation


class BDFInterpolation(diffrax.AbstractLocalInterpolation):
    """The polynomial of a step: through its end and as many points as its order."""

    t0: Any
    t1: Any
    times: Any
    values: Any
    order: Any

    def evaluate(self, t0: Any, t1: Any | None = None, left: bool = True) -> Any:
        """Its value at t0, or its rise from t0 to t1."""
        del left
        weights = extrapolation(jnp.asarray(t0), self.times, self.order + 1)
        if t1 is not None:
            end = extrapolation(jnp.asarray(t1), self.times, self.order + 1)
            weights = end - weights
        return jax.tree.map(
            lambda y: jnp.tensordot(weights.astype(y.dtype), y, 1), self.values
        )
