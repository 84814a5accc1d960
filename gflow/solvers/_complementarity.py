"""The box-constrained linear complementarity problem of kinks that meet at a point.

μ_q = g_q λ_q weighted multipliers · v = b - K μ normal velocities, K the Gram matrix
of the normals. Sought are μ in the box [g low, g high] with

    v = 0 inside,    v ≤ 0 where λ = low,    v ≥ 0 where λ = high,                 (1)

that is, each pair is held at 0, or has its slope and moves to the side of that slope.
For g > 0 these are the optimality conditions of min ½ μᵀKμ - bᵀμ over the box, a
convex problem: the speed that results is the least among all mixtures of the sides.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# A Gram matrix of normals that depend on each other is singular, but its range holds
# every b that can come up; this much ridge, relative to the diagonal, picks one μ.
_RIDGE = 1e-13
# What round-off may do to v and μ without being taken for a violation.
_SLACK = 64
# After so many block pivots that reduce no infeasibility, one at a time, least index
# first, which ends on every problem with one solution.
_PATIENCE = 8
_MAX_PIVOTS = 200
# Where more normals meet than there are directions, pivots on singular blocks may go in
# circles. After so many, a ridge that makes the solution unique, and slack to match:
# powers of the resolution, 1e-8 and 1e-6 in float64.
_SOFT_AFTER, _SOFT_RIDGE_POWER, _SOFT_SLACK_POWER = 40, 0.511, 0.3833
_MAX_ITERATIONS = 50

AT_LOW, HELD, AT_HIGH = -1, 0, 1


class Resolved(eqx.Module):
    """A solution of (1): status -1, 0, 1 for λ = low, between, high."""

    status: Int[Array, " c"]
    mu: Float[Array, " c"]
    v: Float[Array, " c"]
    num_pivots: Int[Array, ""]
    solved: Bool[Array, ""]


class _Problem(eqx.Module):
    """(1) for the pairs in `open_`; low and high are times g."""

    K: Float[Array, "c c"]
    b: Float[Array, " c"]
    low: Float[Array, " c"]
    high: Float[Array, " c"]
    open_: Bool[Array, " c"]


class _Pivots(eqx.Module):
    status: Int[Array, " c"]
    mu: Float[Array, " c"]
    v: Float[Array, " c"]
    bad: Bool[Array, " c"]
    num_pivots: Int[Array, ""]
    least_bad: Int[Array, ""]
    patience: Int[Array, ""]


def inverse_masked(
    K: Float[Array, "c c"], mask: Bool[Array, " c"]
) -> Float[Array, "c c"]:
    """The inverse of K within `mask`, zero outside of it.

    By Gauss-Jordan elimination without pivots, as K is positive semi-definite: for
    the few masked pairs in a room of size C it is cheaper than a factorization of all,
    and it compiles to plain loops.

    Cost: C² operations for each entry of the mask.
    """
    diagonal = jnp.diag(K)
    mask = mask & (diagonal > 0)
    # Unit diagonal: normals of all sizes are alike to the ridge.
    scale = jnp.where(mask, 1 / jnp.sqrt(jnp.where(mask, diagonal, 1)), 0)
    index = jnp.arange(len(scale))
    ridge = max(_RIDGE, 16 * float(jnp.finfo(K.dtype).eps))
    scaled = (scale[:, None] * K * scale[None, :]).at[index, index].set(1 + ridge)

    def sweep(i: Any, a: Array) -> Array:
        pivot = jnp.maximum(a[i, i], ridge)
        column = jnp.where(index == i, 0, a[:, i])
        row = jnp.where(index == i, 1, a[i]) / pivot
        rest = jnp.where((index == i)[None, :], 0, a) - column[:, None] * row
        return jnp.where((index == i)[:, None], row, rest)

    last = jnp.max(jnp.where(mask, index + 1, 0))
    swept = jax.lax.fori_loop(0, last, sweep, scaled)
    return scale[:, None] * swept * scale[None, :]


def solve_near(
    K: Float[Array, "c c"],
    inverse: Float[Array, "c c"],
    v: Float[Array, " c"],
    mask: Bool[Array, " c"],
) -> Float[Array, " c"]:
    """The ν, zero outside of `mask`, with (K ν)_q = v_q inside of it.

    Conjugate gradients with the inverse of a matrix near K for preconditioner: one
    iteration where it is that of K itself.

    Cost: C² operations for each iteration.
    """
    eps = jnp.finfo(K.dtype).eps
    goal = 16 * eps * jnp.max(jnp.abs(v))

    def unsolved(carry: Any) -> Any:
        _, r, _, _, count = carry
        return (jnp.max(jnp.abs(r)) > goal) & (count < _MAX_ITERATIONS)

    def iterate(carry: Any) -> Any:
        nu, r, p, rho, count = carry
        Kp = jnp.where(mask, K @ p, 0)
        curvature = p @ Kp
        alpha = jnp.where(curvature > 0, rho / curvature, 0)
        r = r - alpha * Kp
        z = inverse @ r
        new = r @ z
        turned = z + jnp.where(rho > 0, new / rho, 0) * p
        return nu + alpha * p, r, turned, new, count + 1

    r = jnp.where(mask, v, 0)
    z = inverse @ r
    start = (jnp.zeros_like(v), r, z, r @ z, 0)
    return jax.lax.while_loop(unsolved, iterate, start)[0]


def resolve(
    K: Float[Array, "c c"],
    b: Float[Array, " c"],
    bounds: tuple[Float[Array, " c"], Float[Array, " c"]],
    status: Int[Array, " c"],
    open_: Bool[Array, " c"],
) -> Resolved:
    """Solve (1) for the pairs in `open_`; the others keep the status given.

    Block principal pivoting, with single pivots where it makes no headway.

    **Arguments:**

    - `bounds`: g low and g high; the first is below the second where open.
    - `status`: a first guess, and the final word outside of `open_`.

    **Cost:** one inverse for each pivot, in most cases few.

    **References:** Júdice, Pires 1994 (Computers & Operations Research 21), for boxes
    and strictly monotone problems; Murty 1974 for the least-index rule.
    """
    problem = _Problem(K, b, *bounds, open_)
    mu, v, bad = _evaluated(problem, status, jnp.asarray(False))
    zero = jnp.zeros((), int)
    start = _Pivots(status, mu, v, bad, zero, jnp.sum(bad), zero + _PATIENCE)
    end = jax.lax.while_loop(
        lambda s: jnp.any(s.bad) & (s.num_pivots < _MAX_PIVOTS),
        lambda s: _pivoted(problem, s),
        start,
    )
    return Resolved(end.status, end.mu, end.v, end.num_pivots, ~jnp.any(end.bad))


def _pivoted(problem: _Problem, state: _Pivots) -> _Pivots:
    """After one block pivot, or a single one if blocks make no headway."""
    single = state.patience <= 0
    first = jnp.arange(len(problem.b)) == jnp.argmax(state.bad)
    flip = state.bad & (first | ~single)
    left = jnp.where(state.mu < problem.low, AT_LOW, AT_HIGH)
    to = jnp.where(state.status == HELD, left, HELD)
    status = jnp.where(flip, to, state.status)
    mu, v, bad = _evaluated(problem, status, state.num_pivots >= _SOFT_AFTER)
    num_bad = jnp.sum(bad)
    better = num_bad < state.least_bad
    return _Pivots(
        status,
        mu,
        v,
        bad,
        state.num_pivots + 1,
        jnp.minimum(num_bad, state.least_bad),
        jnp.where(better, _PATIENCE, state.patience - 1),
    )


def _evaluated(problem: _Problem, status: Array, soft: Any) -> tuple[Any, Any, Any]:
    """μ and v of a status, and which pairs violate (1); with the ridge if `soft`."""
    hard, b, low, high = problem.K, problem.b, problem.low, problem.high
    eps = float(jnp.finfo(hard.dtype).eps)
    K = hard + jnp.where(soft, eps**_SOFT_RIDGE_POWER, 0) * jnp.diag(jnp.diag(hard))
    pinned = jnp.where(status < 0, low, jnp.where(status > 0, high, 0.0))
    free = (status == HELD) & problem.open_
    pinned = jnp.where(free, 0, pinned)
    right = jnp.where(free, b - K @ pinned, 0)
    mu = inverse_masked(K, free) @ right + pinned
    v = jnp.where(free, 0, b - K @ mu)
    slack = jnp.where(soft, eps**_SOFT_SLACK_POWER, _SLACK * eps)
    bad = _infeasible(K, b, (low, high), status, mu, v, slack)
    return mu, v, bad & problem.open_


def _infeasible(
    K: Array,
    b: Array,
    bounds: tuple[Array, Array],
    status: Array,
    mu: Array,
    v: Array,
    slack: Any,
) -> Array:
    low, high = bounds
    width = slack * jnp.abs(high - low)
    size = slack * (jnp.abs(b) + jnp.abs(K) @ jnp.abs(mu))
    outside = (mu < low - width) | (mu > high + width)
    wrong = jnp.where(status < 0, v > size, v < -size)
    return jnp.where(status == HELD, outside, wrong)
