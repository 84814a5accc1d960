"""What becomes of quantities at the points that a run has saved.

h a quantity, entry by entry · v = -G^-1 ∇L the velocity of gradient flow.

Along the flow h' = ⟨∇h, v⟩, which a conservation law makes 0 at every point.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import _trees as trees
from .._types import InvariantFn, Invariants, Params
from ..trajectory import Trajectory, check_invariants, named, stage_line

# The round-off of a velocity, over the largest of the run, is some times less than this
# multiple of the square root of eps; a rate below it is no rate.
_FLOOR = 10.0


class Along(NamedTuple):
    """A quantity at K saved points.

    **Fields:** `values`, h, (K, entries); `rates`, (K, entries), |⟨∇h, v⟩| over
    Σ_i |∂_i h v_i|, 0 where that is round-off of v; `scales`, (K,), the norm of the
    pieces of which h is made: of `h.scale`, else of Σ_i |∂_i h w_i|.
    """

    values: Float[np.ndarray, "k entries"]
    rates: Float[np.ndarray, "k entries"]
    scales: Float[np.ndarray, " k"]


def along(trajectory: Trajectory, invariants: Invariants) -> dict[str, Along]:
    """Each quantity along the run, in the caller's order.

    **Raises:** `ValueError` if the run kept no parameters, or a quantity cannot be
    evaluated or is not real.
    """
    if trajectory.ws is None:
        raise ValueError("verify needs the parameters, and this run kept none (Save)")
    invariants = named("invariants", invariants)
    check_invariants(invariants, trajectory.w0)
    problem = trajectory.origin.problem
    params, static = eqx.partition(trajectory.ws, eqx.is_inexact_array)

    def at(point: Params) -> Any:
        velocity = problem.velocity(eqx.combine(point, static))
        velocity = eqx.filter(velocity, eqx.is_inexact_array)
        told = {name: _at(h, point, static, velocity) for name, h in invariants.items()}
        return told, trees.norm(velocity)

    with stage_line("verify") as line:
        line.set_postfix_str("gradients at the saved points")
        told, speeds = jax.lax.map(at, jax.tree.map(jnp.asarray, params))
        told = jax.tree.map(np.asarray, told)
    fastest = float(np.max(np.asarray(speeds)))
    return {name: _told(fastest, *told[name]) for name in invariants}


def _told(
    fastest: float,
    values: np.ndarray,
    slopes: np.ndarray,
    sizes: np.ndarray,
    steepness: np.ndarray,
    scales: np.ndarray,
) -> Along:
    eps = float(np.finfo(values.dtype).eps)
    least = np.maximum(_FLOOR * eps**0.5 * fastest * steepness, np.finfo(float).tiny)
    with np.errstate(all="ignore"):  # what is not finite is told by `verify`
        return Along(values, slopes / np.maximum(sizes, least), scales)


def _at(
    h: InvariantFn, point: Params, static: Params, velocity: Params
) -> tuple[Array, ...]:
    """h, |⟨∇h, v⟩|, Σ_i |∂_i h v_i|, ‖∇h‖ of each entry, and the norm of h's pieces."""

    def flat(w: Params) -> Float[Array, " entries"]:
        value = jnp.ravel(jnp.asarray(h(eqx.combine(w, static))))
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise ValueError(f"a quantity must be real, of floats, not {value.dtype}")
        return value

    jacobian = jax.jacrev(flat)(point)
    rate = jnp.abs(jax.jvp(flat, (point,), (velocity,))[1])
    squares = jax.tree.map(jnp.square, jacobian)
    steepness = jnp.sqrt(_sizes(squares, jax.tree.map(jnp.ones_like, point)))
    scale = getattr(h, "scale", None)
    if scale is None:
        pieces = _sizes(jacobian, point)
    else:
        pieces = jnp.asarray(scale(eqx.combine(point, static)))
    length = jnp.linalg.norm(jnp.ravel(pieces))
    return flat(point), rate, _sizes(jacobian, velocity), steepness, length


def _sizes(jacobian: Params, direction: Params) -> Float[Array, " entries"]:
    """Σ_i |∂_i h d_i| of each entry."""

    def of(rows: Array, d: Array) -> Array:
        return jnp.sum(jnp.abs(rows * d), axis=tuple(range(1, rows.ndim)))

    leaves = jax.tree.leaves(jax.tree.map(of, jacobian, direction))
    return jnp.sum(jnp.stack(leaves), axis=0)
