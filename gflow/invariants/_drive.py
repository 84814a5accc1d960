"""What may push the parameters when the loss is any function of a model's outputs.

φ(w) the model's outputs or end-to-end coefficients, flat · L = f(φ(w)), f unknown ·
c = ∂f/∂φ, any vector · G the metric.

Whatever f is, -G^-1 ∇L is a combination of the fields χ_i = G^-1 ∇φ_i with coefficients
that the data choose; a law that holds for every f is one that no χ_i changes.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from .. import _trees as trees
from .._types import Params
from ..flows import Flow, GradientFlow, HeavyBall, Nesterov
from ..problem import Metric, as_metric

Flat = Float[Array, " n"]


@dataclasses.dataclass(frozen=True)
class Inertia:
    """The damping of a flow with inertia, and whether it is that number over t."""

    damping: float
    falls: bool


@dataclasses.dataclass(frozen=True)
class Drive:
    """φ and G as functions of the flat parameters, in float64, and the law of motion.

    **Fields:** `outputs`: w -> φ(w), flat; `descend`: (w, covector) -> G(w)^-1
    covector; `like`: the flat parameters it was made from; `whole`: flat parameters ->
    a tree as the user has it; `inertia`: None for gradient flow.
    """

    outputs: Callable[[Flat], Float[Array, " m"]]
    descend: Callable[[Flat, Flat], Flat]
    like: np.ndarray
    whole: Callable[[Flat], Params]
    metric: Metric | None
    inertia: Inertia | None

    @property
    def size(self) -> int:
        """The number of parameters."""
        return len(self.like)

    @property
    def state_size(self) -> int:
        """The number of parameters; of a flow with inertia, of (w, v, t)."""
        return self.size if self.inertia is None else 2 * self.size + 1

    @property
    def num_outputs(self) -> int:
        """The number of fields χ_i."""
        return jax.eval_shape(self.outputs, self.like).size

    def push(self, w: Flat, c: Float[Array, " m"]) -> Flat:
        """Σ_i c_i χ_i(w)."""
        _, pullback = jax.vjp(self.outputs, w)
        return self.descend(w, pullback(c)[0])

    def draw(self, key: Array) -> Flat:
        """Generic parameters near `like`: no entry keeps its value, each its sign.

        An entry of `like` that is 0 is drawn normal, at the scale of the others.
        """
        factor_key, zero_key = jax.random.split(key)
        like = jnp.asarray(self.like)
        used = jnp.abs(like[self.like != 0])
        scale = jnp.mean(used) if used.size else 1.0
        drawn = scale * jax.random.normal(zero_key, like.shape)
        factor = jnp.exp(0.4 * jax.random.normal(factor_key, like.shape))
        return jnp.where(like == 0, drawn, like * factor)

    def draw_push(self, key: Array) -> tuple[Flat, Flat]:
        """Generic parameters, and Σ c_i χ_i there for a random c."""
        w_key, c_key = jax.random.split(key)
        w = self.draw(w_key)
        return w, self.push(w, jax.random.normal(c_key, (self.num_outputs,)))


def drive(
    phi: Callable[..., Any],
    like: Params,
    inputs: PyTree[Any] | None,
    rates: Metric | PyTree[float] | None,
    flow: Flow | None = None,
) -> Drive:
    """The drive of φ(w), or of φ(w, inputs). To be called, and used, in float64.

    **Raises:** `TypeError` if φ cannot be called, `like` holds no parameter or the
    flow's fields are not known; `ValueError` if φ or the rates do not fit `like`.
    """
    if not callable(phi):
        raise TypeError(f"phi must be a function of the parameters, not {phi!r}")
    metric = as_metric(rates)
    params, static = trees.split(like)
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)
    if metric is not None:
        metric.check(params)
    flat, unravel = ravel_pytree(params)

    def whole(w: Flat) -> Params:
        return eqx.combine(unravel(w), static)

    def outputs(w: Flat) -> Float[Array, " m"]:
        out = phi(whole(w)) if inputs is None else phi(whole(w), inputs)
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(out)])

    def descend(w: Flat, covector: Flat) -> Flat:
        if metric is None:
            return covector
        moved = metric.inverse_apply(unravel(w), unravel(covector))
        return ravel_pytree(moved)[0]

    try:
        jax.eval_shape(outputs, flat)
    except Exception as error:
        raise ValueError(
            "phi cannot be evaluated at `like` (wrong tree structure or shapes, or "
            f"inputs missing?): {type(error).__name__}: {trees.first_line(error)}"
        ) from error
    inertia = None if flow is None else inertia_of(flow)
    return Drive(outputs, descend, np.asarray(flat), whole, metric, inertia)


def inertia_of(flow: Flow) -> Inertia | None:
    """None for gradient flow; `TypeError` for flows that are not known."""
    if isinstance(flow, GradientFlow):
        return None
    if isinstance(flow, HeavyBall):
        return Inertia(float(flow.friction), falls=False)
    if isinstance(flow, Nesterov):
        return Inertia(float(flow.damping), falls=True)
    raise TypeError(
        "the laws of GradientFlow, HeavyBall and Nesterov are known to be counted, not "
        f"those of {type(flow).__name__}"
    )
