"""One step of a piecewise smooth flow as a chain of steps from kink to kink."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._crossings import Crossing, first_crossing, quadratic, quartic
from ._frame import Frame
from ._meeting import Place, meet
from ._mode import Mode
from ._tsit5 import MIDDLE, MIDDLE_TIME, Step, evaluate, tsit5

# A kink that the present velocities predict sooner than the step's end shortens the
# segment to this multiple of the time predicted.
_AIM = 1.15
# A held pair is let go when its multiplier is past its bound by more than the error of
# the quadratic c0 + c1 θ + c2 θ² that stands for it, about c2²/c1: its field then leads
# away from the kink for certain. The delay δ costs an error of order δ², and δ is of
# third order in the step.
_MARGIN, _MOST_MARGIN, _LEAST_POWER = 0.3, 1e-3, 0.575
# In units of the resolution of the state: 1e-12 in float64. The least margin, 1e-9
# there, is a power of it.
_ROUND_OFF = 4500


class Chain(eqx.Module):
    """Where a chain stands."""

    t: Float[Array, ""]
    place: Place
    error: Float[Array, " n"]
    # The length of the next segment, inf for all that is left.
    length: Float[Array, ""]
    starts: Float[Array, " s"]
    lengths: Float[Array, " s"]
    firsts: Float[Array, "s n"]
    coefficients: Float[Array, "s 4 n"]
    num_segments: Int[Array, ""]
    num_rounds: Int[Array, ""]
    fits: Bool[Array, ""]


def begin(t: Any, place: Place, max_segments: int) -> Chain:
    """A chain with no link."""
    n, dtype = place.flat.shape[0], place.flat.dtype
    zero = jnp.zeros((), int)
    far = jnp.asarray(jnp.inf, dtype)
    return Chain(
        t=jnp.asarray(t, dtype),
        place=place,
        error=jnp.zeros(n, dtype),
        length=far,
        starts=jnp.full(max_segments, far),
        lengths=jnp.ones(max_segments, dtype),
        firsts=jnp.zeros((max_segments, n), dtype),
        coefficients=jnp.zeros((max_segments, 4, n), dtype),
        num_segments=zero,
        num_rounds=zero,
        fits=jnp.asarray(True),
    )


def run(frame: Frame, chain: Chain, t1: Any) -> Chain:
    """Go to t1, or until there is no room for one more segment."""
    room = chain.starts.shape[0]

    def goes_on(chain: Chain) -> Any:
        return (chain.t < t1) & (chain.num_segments < room) & chain.fits

    return jax.lax.while_loop(goes_on, lambda c: _link(frame, c, t1), chain)


def _link(frame: Frame, chain: Chain, t1: Any) -> Chain:
    place, left = chain.place, t1 - chain.t
    h = jnp.minimum(chain.length, left)
    step = tsit5(
        frame.field(place.mode, place.inverse), chain.t, place.flat, place.rate, h
    )
    end = _end(frame, place, step)
    crossing = _first(frame, place, step, end, h)
    return _accepted(frame, chain, step, end, crossing, h, t1)


def _end(frame: Frame, place: Place, step: Step) -> Place:
    """The place at the end of a step that meets no kink."""
    mode = place.mode
    z, dz_dt = frame.switches(step.y1, step.k1, mode)
    signals = jnp.where(mode.held, frame.signals(step.y1, mode), 0)
    nu = step.extras[-1]
    own = jnp.take(mode.slopes, mode.pairs, mode="fill", fill_value=0)
    own = own + jnp.where(mode.held, nu / jnp.where(signals == 0, 1, signals), 0)
    kinks = frame.kinks
    own = jnp.clip(own, kinks.low, kinks.high)
    index = jnp.where(mode.held, mode.pairs, mode.slopes.shape[0])
    slopes = mode.slopes.at[index].set(own, mode="drop")
    new = Mode(mode.side, slopes, mode.pairs, mode.held)
    return Place(step.y1, step.k1, new, z, dz_dt, signals, place.inverse, place.tally)


def _first(frame: Frame, place: Place, step: Step, end: Place, h: Any) -> Crossing:
    """The first kink met, or multiplier at its bound, within a step."""
    mode, dtype = place.mode, place.flat.dtype
    middle = frame.values(evaluate(place.flat, step.coefficients, 0.5), mode)
    side = mode.side.astype(dtype)
    z = quartic(
        side * place.z,
        side * h * place.dz_dt,
        side * middle,
        side * end.z,
        side * h * end.dz_dt,
    )
    # A pair that has just come off its kink may lie on the wrong side by round-off.
    eps = jnp.finfo(dtype).eps
    lift = jnp.maximum(-z[0], 0) + 8 * eps * jnp.max(jnp.abs(place.z))
    z = z.at[0].add(lift)
    z = jnp.where(mode.side == 0, jnp.zeros_like(z).at[0].set(1), z)
    bounds = _multiplier_margins(frame, place, step, end)
    found = first_crossing(jnp.concatenate([z, *bounds], axis=1).astype(dtype))
    return eqx.tree_at(lambda c: c.hit, found, found.hit[: side.shape[0]])


def _multiplier_margins(
    frame: Frame, place: Place, step: Step, end: Place
) -> list[Array]:
    """g (λ - low) and g (high - λ) of the held pairs as polynomials in θ.

    Free of a division by g, which may pass through zero.
    """
    kinks, mode = frame.kinks, place.mode
    eps = float(jnp.finfo(place.flat.dtype).eps)
    own = jnp.take(mode.slopes, mode.pairs, mode="fill", fill_value=0)
    g_middle = jnp.where(mode.held, frame.signals(step.y_middle, mode), 0)
    out: list[Array] = []
    for room, sign in ((own - kinks.low, 1), (kinks.high - own, -1)):
        start = place.signals * room
        middle = g_middle * room + sign * step.extras[MIDDLE - 1]
        last = end.signals * room + sign * step.extras[-1]
        spread = jnp.maximum(jnp.abs(middle - start), jnp.abs(last - start))
        least = _ROUND_OFF * eps * place.signals * (kinks.high - kinks.low)
        margin = quadratic(start, middle, last, MIDDLE_TIME)
        bend = margin[2] ** 2 / jnp.where(margin[1] == 0, 1, jnp.abs(margin[1]))
        unsure = jnp.minimum(_MARGIN * bend, _MOST_MARGIN * spread)
        lift = jnp.maximum(-start, 0) + unsure + eps**_LEAST_POWER * spread + least
        margin = margin.at[0].add(lift)
        none = jnp.zeros_like(margin).at[0].set(1)
        out.append(jnp.where(mode.held, margin, none))
    return out


def _accepted(
    frame: Frame,
    chain: Chain,
    step: Step,
    end: Place,
    crossing: Crossing,
    h: Any,
    t1: Any,
) -> Chain:
    place, i = chain.place, chain.num_segments
    at = jnp.minimum(chain.t + crossing.theta * h, t1)

    def kink() -> Any:
        flat = evaluate(place.flat, step.coefficients, crossing.theta)
        mode = end.mode
        return meet(frame, at, flat, mode, crossing.hit, place.tally)

    def smooth() -> Any:
        return end, (jnp.asarray(True), jnp.zeros((), int))

    new, (fits, rounds) = jax.lax.cond(crossing.found, kink, smooth)
    whole = h >= t1 - chain.t
    t = jnp.where(crossing.found, at, jnp.where(whole, t1, chain.t + h))
    return Chain(
        t=t,
        place=new,
        error=chain.error + jnp.abs(step.error),
        length=jnp.where(crossing.found, _predicted(new), jnp.inf),
        starts=chain.starts.at[i].set(chain.t),
        lengths=chain.lengths.at[i].set(h),
        firsts=chain.firsts.at[i].set(place.flat),
        coefficients=chain.coefficients.at[i].set(step.coefficients),
        num_segments=i + 1,
        num_rounds=chain.num_rounds + rounds,
        fits=fits,
    )


def _predicted(place: Place) -> Any:
    """A little more than the time to the next kink at the present velocities."""
    side = place.mode.side.astype(place.z.dtype)
    distance, approach = side * place.z, -side * place.dz_dt
    comes = (distance > 0) & (approach > 0)
    times = jnp.where(comes, distance / jnp.where(comes, approach, 1), jnp.inf)
    return _AIM * jnp.min(times)
