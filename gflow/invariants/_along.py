"""What becomes of quantities at the points that a run has saved.

h a quantity, entry by entry · v = -G^-1 ∇L the velocity of gradient flow.

Along the flow h' = ⟨∇h, v⟩, which a conservation law makes 0 at every point. A step of
gradient descent adds h(w + η v) - h(w) = η ⟨∇h, v⟩ + ½ η² vᵀ∇²h v + O(η³).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import _trees as trees
from .._types import InvariantFn, Invariants, Params
from ..trajectory import Trajectory, check_invariants, named


class Along(NamedTuple):
    """A quantity at K saved points.

    **Fields:** `values`, h, and `bends`, vᵀ∇²h v, (K, entries); `rates`, (K, entries),
    |⟨∇h, v⟩| over Σ_i |∂_i h v_i|, 0 where both are; `scales`, (K,), the norm of the
    pieces of which h is made: of `h.scale`, else of Σ_i |∂_i h w_i|.
    """

    values: Float[np.ndarray, "k entries"]
    bends: Float[np.ndarray, "k entries"]
    rates: Float[np.ndarray, "k entries"]
    scales: Float[np.ndarray, " k"]


def along(
    trajectory: Trajectory, invariants: Invariants
) -> tuple[dict[str, Along], Float[np.ndarray, " k"]]:
    """Each quantity along the run, and ‖v‖.

    **Raises:** `ValueError` if the run kept no parameters.
    """
    if trajectory.ws is None:
        raise ValueError("verify needs the parameters, and this run kept none (Save)")
    invariants = named("invariants", invariants)
    check_invariants(invariants, trajectory.w0)
    problem = trajectory.origin.problem
    params, static = eqx.partition(trajectory.ws, eqx.is_inexact_array_like)

    def at(point: Params) -> Any:
        velocity = problem.velocity(eqx.combine(point, static))
        velocity = eqx.filter(velocity, eqx.is_inexact_array)
        told = {name: _at(h, point, static, velocity) for name, h in invariants.items()}
        return told, trees.norm(velocity)

    told, speeds = jax.lax.map(at, jax.tree.map(jnp.asarray, params))
    # In the caller's order, which jax does not keep.
    found = {name: Along(*map(np.asarray, told[name])) for name in invariants}
    return found, np.asarray(speeds)


def _at(
    h: InvariantFn, point: Params, static: Params, velocity: Params
) -> tuple[Array, ...]:
    def flat(w: Params) -> Float[Array, " entries"]:
        return jnp.ravel(jnp.asarray(h(eqx.combine(w, static))))

    def slope(w: Params) -> Float[Array, " entries"]:
        return jax.jvp(flat, (w,), (velocity,))[1]

    _, bend = jax.jvp(slope, (point,), (velocity,))
    jacobian = jax.jacrev(flat)(point)
    rate, sizes = jnp.abs(slope(point)), _sizes(jacobian, velocity)
    rates = jnp.where(sizes > 0, rate / jnp.where(sizes > 0, sizes, 1), 0)
    scale = getattr(h, "scale", None)
    if scale is None:
        pieces = _sizes(jacobian, point)
    else:
        pieces = jnp.asarray(scale(eqx.combine(point, static)))
    return flat(point), bend, rates, jnp.linalg.norm(jnp.ravel(pieces))


def _sizes(jacobian: Params, direction: Params) -> Float[Array, " entries"]:
    """Σ_i |∂_i h d_i| of each entry."""

    def of(rows: Array, d: Array) -> Array:
        return jnp.sum(jnp.abs(rows * d), axis=tuple(range(1, rows.ndim)))

    leaves = jax.tree.leaves(jax.tree.map(of, jacobian, direction))
    return jnp.sum(jnp.stack(leaves), axis=0)
