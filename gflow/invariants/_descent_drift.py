"""What the steps of gradient descent make of quantities.

h a quantity · v = -G^-1 ∇L · η the step size. Of one step

    h(w + η v) - h(w) = η ⟨∇h, v⟩ + ½ η² vᵀ∇²h v + O(η³).

The first term is 0 for what gradient flow conserves, whatever the step; the second is
the leading order of the drift of a law.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import _trees as trees
from .._types import InvariantFn, Invariants, Params
from ..problem import Problem
from ..steppers import GradientDescent
from ..trajectory import Trajectory, stage_line


class DescentDrift(NamedTuple):
    """Sums over the steps up to each of K saved points.

    **Fields:** `first`, `leading`: name -> (K, entries), of both terms; `path`, (K,),
    of η‖v‖ over ‖w‖; `cubes`, of its third powers.
    """

    first: dict[str, Any]
    leading: dict[str, Any]
    path: Any
    cubes: Any


def descent_drift(trajectory: Trajectory, invariants: Invariants) -> DescentDrift:
    """Both terms along a run of gradient descent, whose steps are made once more.

    **Cost:** of each step one gradient and two derivatives of each h along v.
    """
    stepper, problem = trajectory.origin.law, trajectory.origin.problem
    assert isinstance(stepper, GradientDescent)
    num = trajectory.stats["num_steps"]
    times = np.asarray(stepper.times(num)(np.arange(num + 1)))
    saved = np.searchsorted((times[1:] + times[:-1]) / 2, trajectory.ts)
    params, static = eqx.partition(trajectory.w0, eqx.is_inexact_array)
    setting = problem, stepper, static, dict(invariants)
    params = jax.tree.map(jnp.asarray, params)
    with stage_line("verify") as line:
        line.set_postfix_str("the steps once more")
        at = jax.tree.map(np.asarray, _sums(*setting, params, jnp.asarray(saved)))
    return DescentDrift(*at)


class _Sums(eqx.Module):
    k: Any
    w: Params
    drift: DescentDrift


@eqx.filter_jit
def _sums(
    problem: Problem,
    stepper: GradientDescent,
    static: Params,
    invariants: dict[str, InvariantFn],
    params: Params,
    saved: Any,
) -> DescentDrift:
    def step(now: _Sums) -> _Sums:
        grad = problem.grad(eqx.combine(now.w, static))
        v = problem.descent(now.w, grad)
        eta = stepper.eta if stepper.eta.ndim == 0 else stepper.eta[now.k]
        terms = {name: _terms(h, now.w, static, v) for name, h in invariants.items()}
        length = eta * trees.norm(v) / trees.norm(now.w)
        more = DescentDrift(
            {name: eta * slope for name, (slope, _) in terms.items()},
            {name: eta**2 / 2 * bend for name, (_, bend) in terms.items()},
            length,
            length**3,
        )
        w, _ = stepper.step(problem, now.w, grad, now.k)
        sums = jax.tree.map(lambda a, b: a + b.astype(a.dtype), now.drift, more)
        return _Sums(now.k + 1, w, sums)

    def to(now: _Sums, k: Any) -> tuple[_Sums, DescentDrift]:
        now = jax.lax.while_loop(lambda at: at.k < k, step, now)
        return now, now.drift

    zeros = {
        name: jnp.zeros_like(_terms(h, params, static, params)[0])
        for name, h in invariants.items()
    }
    none = jnp.zeros((), trees.dtype(params))
    start = _Sums(jnp.zeros((), int), params, DescentDrift(zeros, zeros, none, none))
    return jax.lax.scan(to, start, saved)[1]


def _terms(h: InvariantFn, w: Params, static: Params, v: Params) -> tuple[Array, Array]:
    """⟨∇h, v⟩ and vᵀ∇²h v of each entry."""

    def slope(w: Params) -> Array:
        flat = lambda w: jnp.ravel(jnp.asarray(h(eqx.combine(w, static))))  # noqa: E731
        return jax.jvp(flat, (w,), (v,))[1]

    return jax.jvp(slope, (w,), (v,))
