"""What a step that is brought to a leaf hands to the next."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._leaf import Landing


class ProjectedState(eqx.Module):
    """The wrapped solver's state, the leaf, and what was corrected so far."""

    inner: Any
    # h(w0), all entries.
    target: Float[Array, " k"]
    # Whether the last step was moved, so that the slope at its end is not known.
    moved: Bool[Array, ""]
    largest: Float[Array, ""]
    total: Float[Array, ""]
    iterations: Int[Array, ""]
    off_leaf: Float[Array, ""]

    @staticmethod
    def start(inner: Any, target: Float[Array, " k"]) -> "ProjectedState":
        """Nothing corrected yet."""
        zero = jnp.zeros((), target.dtype)
        none = jnp.zeros((), int)
        return ProjectedState(inner, target, jnp.asarray(False), zero, zero, none, zero)

    def after(self, inner: Any, landing: Landing) -> "ProjectedState":
        """After a step that landed, the wrapped solver's state given."""
        return ProjectedState(
            inner=inner,
            target=self.target,
            moved=landing.iterations > 0,
            largest=jnp.maximum(self.largest, landing.correction),
            total=self.total + landing.correction,
            iterations=self.iterations + landing.iterations,
            off_leaf=jnp.maximum(self.off_leaf, landing.distance),
        )

    @property
    def told(self) -> dict[str, Any]:
        """Name -> scalar: the evidence."""
        return {
            "correction_largest": self.largest,
            "correction_total": self.total,
            "correction_iterations": self.iterations,
            "off_leaf": self.off_leaf,
        }
