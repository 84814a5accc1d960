"""A guess of where an implicit step ends, from what past steps say of the field."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Directions in which the secants' images are this much shorter, squared, than in the
# longest are those of the errors of past solves.
_CUTOFF = 1e-8

Vector = Float[Array, " n"]


def secant_correction(
    values: Float[Array, "depth n"],
    slopes: Float[Array, "depth n"],
    used: Bool[Array, " depth-1"],
    gamma: Any,
    residual: Vector,
    weights: Any,
) -> Vector:
    """The change of w by which the residual of w = ψ + γ f(w) becomes least.

    Between past points f changes by ΔF as w changes by ΔW, so along them the residual
    ψ + γ f - w changes by γ ΔF - ΔW, without any evaluation: BDF knows f at past
    points from its own relation. The change is ΔW c with c of least squares.

    **Arguments:**

    - `values`, `slopes`: w and f at past points, newest first.
    - `used`: whether the i-th difference is one of two points.
    - `residual`: at the point to be corrected, by the secants' model of f.

    **Cost:** depth² n operations, no gradient.
    """
    rises = values[:-1] - values[1:]
    images = jnp.where(used[:, None], rises - gamma * (slopes[:-1] - slopes[1:]), 0)
    lengths = jnp.sqrt(jnp.sum(weights * images**2, axis=1, keepdims=True))
    lengths = jnp.where(lengths > 0, lengths, 1)
    images, rises = images / lengths, jnp.where(used[:, None], rises, 0) / lengths
    sizes, axes = jnp.linalg.eigh((images * weights) @ images.T)
    # Damped, not cut off: round-off must not decide what a run does.
    tiny = jnp.finfo(sizes.dtype).tiny
    inverse = sizes / (sizes**2 + (_CUTOFF * jnp.max(sizes)) ** 2 + tiny)
    right = axes.T @ ((images * weights) @ residual)
    return (axes @ (inverse * right)) @ rises
