"""What happens where switching functions reach zero: cross, slide, or leave."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..problem import take
from ._complementarity import AT_HIGH, AT_LOW, HELD, inverse_masked, resolve
from ._frame import Frame, params_of
from ._mode import Mode, Tally, count

# Rounds of multipliers against slopes: kinks of several layers depend on each other.
_MAX_ROUNDS = 12
# Slopes that change by less have settled: a power of the resolution, 1e-11 in float64.
_SETTLED_POWER = 0.7


class Place(eqx.Module):
    """A state with its mode, and all that a step from there begins with."""

    flat: Float[Array, " n"]
    rate: Float[Array, " n"]
    mode: Mode
    z: Float[Array, " p"]
    dz_dt: Float[Array, " p"]
    signals: Float[Array, " c"]
    # Of the Gram matrix of the held pairs at the last kink.
    inverse: Float[Array, "c c"]
    tally: Tally


class _Round(eqx.Module):
    slopes: Float[Array, " p"]
    status: Int[Array, " c"]
    rate: Float[Array, " n"]
    signals: Float[Array, " c"]
    change: Float[Array, ""]
    undetermined: Int[Array, ""]
    solved: Bool[Array, ""]
    count: Int[Array, ""]


def meet(
    frame: Frame, t: Any, flat: Array, mode: Mode, hit: Bool[Array, " p"], tally: Tally
) -> tuple[Place, Any]:
    """The place after a meeting with kinks, and whether all of them found room.

    All pairs at zero, those held and those that have just come (`hit`), are resolved
    together. A pair with g > 0 (a convex kink) enters the complementarity problem; one
    with g ≤ 0 repels, so that a pair which comes to it crosses, and a pair held on it
    leaves to a side that nothing determines.

    **Cost:** one gradient, and one more for each round where layers interact.
    """
    num_pairs, room = hit.shape[0], mode.pairs.shape[0]
    together = hit | mode.held_mask()
    pairs = jnp.nonzero(together, size=room, fill_value=num_pairs)[0]
    here = pairs < num_pairs
    listed = Mode(mode.side, mode.slopes, pairs, here)
    flat = frame.projected(flat, listed, here)
    last = _resolved(frame, t, flat, listed)
    new = Mode(
        mode.side.at[pairs].set(last.status.astype(mode.side.dtype), mode="drop"),
        last.slopes,
        pairs,
        here & (last.status == HELD),
    )
    tally = count(tally, mode, new, last.undetermined, (~last.solved).astype(int))
    z, dz_dt = frame.switches(flat, last.rate, new)
    K = frame.gram(flat, frame.normals(flat, new))
    inverse = inverse_masked(K, new.held)
    place = Place(flat, last.rate, new, z, dz_dt, last.signals, inverse, tally)
    return place, (jnp.sum(together) <= room, last.count)


def either_way(frame: Frame, place: Place) -> Int[Array, ""]:
    """How many repelling kinks the place lies on that the flow may leave to both sides.

    On a kink with g < 0 the field of the upper side exceeds that of the lower by
    K |g| (high - low) in dz/dt: both may lead away, or one of them past the kink.
    """
    kinks, mode = frame.kinks, place.mode
    K = jnp.diag(frame.gram(place.flat, frame.normals(place.flat, mode)))
    side, v = take(mode.side, mode.pairs), take(place.dz_dt, mode.pairs)
    gap = K * place.signals * (kinks.high - kinks.low)
    return jnp.sum((side != HELD) & (gap < 0) & (side * v + gap <= 0)).astype(int)


def _resolved(frame: Frame, t: Any, flat: Array, listed: Mode) -> _Round:
    single = frame.kinks.num_calls(frame.w(flat)) == 1
    limit = 1 if single else _MAX_ROUNDS
    first = _round(frame, t, flat, listed, listed.slopes, jnp.asarray(0))
    if single:
        return first

    def again(last: _Round) -> _Round:
        return _round(frame, t, flat, listed, last.slopes, last.count)

    least = float(jnp.finfo(flat.dtype).eps) ** _SETTLED_POWER

    def unsettled(last: _Round) -> Any:
        return (last.change > least) & (last.count < limit)

    last = jax.lax.while_loop(unsettled, again, first)
    settled = last.change <= 1e3 * least
    # The first round sees the signals of held pairs as they were.
    return eqx.tree_at(
        lambda r: (r.solved, r.undetermined),
        last,
        (last.solved & settled, first.undetermined),
    )


def _round(
    frame: Frame, t: Any, flat: Array, listed: Mode, slopes: Array, count: Any
) -> _Round:
    """Resolve the kinks with Gram matrix and signals taken at the slopes given."""
    kinks, pairs, here = frame.kinks, listed.pairs, listed.held
    at = Mode(listed.side, slopes, pairs, here)
    dy = frame.smooth(t, flat, slopes)
    normals = frame.normals(flat, at)
    K = frame.gram(flat, normals)
    v = jnp.where(here, normals.push(params_of(dy)), 0)
    g = jnp.where(here, frame.signals(flat, at), 0)
    own = take(slopes, pairs)
    b = v + K @ (g * own)
    bounds = g * kinks.low, g * kinks.high
    side = jnp.take(listed.side, pairs, mode="fill", fill_value=AT_LOW).astype(int)
    attracts = here & (g > 0) & (jnp.diag(K) > 0)
    nearer = jnp.where(own > 0.5 * (kinks.low + kinks.high), AT_HIGH, AT_LOW)
    across = jnp.where(side == HELD, nearer, -side)
    status = jnp.where(attracts, HELD, jnp.where(here, across, AT_LOW))
    found = resolve(K, b, bounds, status, attracts)
    # A repelling kink that would send the pair back was only touched.
    back = here & ~attracts & _against(found.status, found.v, K, b, found.mu)
    status = jnp.where(back, -found.status, found.status)
    found = resolve(K, b, bounds, status, attracts)
    wrong = here & ~attracts & _against(found.status, found.v, K, b, found.mu)
    inside = jnp.clip(found.mu / jnp.where(attracts, g, 1), kinks.low, kinks.high)
    ends = jnp.where(found.status < 0, kinks.low, kinks.high).astype(own.dtype)
    multipliers = jnp.where(here & (found.status == HELD), inside, ends)
    kappa = jnp.where(here, g * (multipliers - own), 0)
    return _Round(
        slopes=slopes.at[pairs].set(multipliers, mode="drop"),
        status=found.status,
        rate=frame.pushed(flat, dy, normals, K, v, kappa),
        signals=g,
        change=jnp.max(jnp.where(here, jnp.abs(multipliers - own), 0)),
        undetermined=jnp.sum(here & ~attracts & (side == HELD)).astype(int),
        solved=found.solved & ~jnp.any(wrong),
        count=count + 1,
    )


def _against(status: Array, v: Array, K: Array, b: Array, mu: Array) -> Array:
    slack = 64 * jnp.finfo(K.dtype).eps * (jnp.abs(b) + jnp.abs(K) @ jnp.abs(mu))
    return jnp.where(status < 0, v > slack, v < -slack)
