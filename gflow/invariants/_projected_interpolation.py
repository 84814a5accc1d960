"""Dense output on the leaf of given laws."""

import dataclasses
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..flows import ClockedState, FlowState
from ._leaf import Leaf


def core(y: Any) -> Any:
    """The parameters in a state; the rest is not projected."""
    y = y.inner if isinstance(y, ClockedState) else y
    return y.w if isinstance(y, FlowState) else y


class ProjectedInterpolation(diffrax.AbstractLocalInterpolation):
    """The dense output of a step, brought to the leaf wherever it is looked at."""

    t0: Any
    t1: Any
    inner: diffrax.AbstractLocalInterpolation
    leaf: Leaf
    target: Float[Array, " k"]

    def evaluate(self, t0: Any, t1: Any | None = None, left: bool = True) -> Any:
        """Its value at t0, or its rise from t0 to t1; nan where there is no leaf."""
        if t1 is not None:
            ends = self.evaluate(t1, left=left), self.evaluate(t0, left=left)
            return jax.tree.map(jnp.subtract, *ends)
        y = self.inner.evaluate(t0, left=left)
        landing = self.leaf.land(core(y), self.target)
        w = jax.tree.map(lambda x: jnp.where(landing.converged, x, jnp.nan), landing.w)
        return eqx.tree_at(core, y, w)


@dataclasses.dataclass(frozen=True)
class Inside:
    """Makes the interpolation of a step on a leaf, told what of it are arrays.

    diffrax wants it to be hashed, which arrays cannot be.
    """

    cls: Any
    rest: tuple[Any, ...]
    structure: Any

    @classmethod
    def of(cls, local: Any, leaf: Leaf) -> tuple["Inside", tuple[Any, ...]]:
        """For the interpolation of a solver, and the arrays."""
        parts, structure = jax.tree.flatten(leaf)
        arrays, rest = eqx.partition(parts, eqx.is_array)
        return cls(local, tuple(rest), structure), tuple(arrays)

    def __call__(
        self, *, t0: Any, t1: Any, inner: Any, arrays: Any, target: Any
    ) -> ProjectedInterpolation:
        """The interpolation between t0 and t1."""
        parts = eqx.combine(list(arrays), list(self.rest))
        leaf = jax.tree.unflatten(self.structure, parts)
        local = self.cls(t0=t0, t1=t1, **inner)
        return ProjectedInterpolation(t0, t1, local, leaf, target)
