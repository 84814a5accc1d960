"""Inside the last step of a flow under a clock: its state at a time or at a stop.

The step is in s, and times are given in t(s), a component of the state: so they are
looked for on the step's dense output.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ._stretch import Checkpoint, Setting
from .flows import Clocked

# More halvings of a bracket than any float has bits below it.
_HALVINGS = 80


def clocked_flow(setting: Setting) -> Clocked:
    """The flow, which is one under a clock."""
    assert isinstance(setting.flow, Clocked)
    return setting.flow


def is_met(setting: Setting, t: Any, state: Any) -> Any:
    """Whether a stop is met at a state."""
    if not setting.watch.stops:
        return jnp.asarray(False)
    w = eqx.combine(clocked_flow(setting).params(state), setting.static)
    return jnp.min(setting.watch.margins(t, w, setting.problem)) <= 0


def state_when(setting: Setting, at: Checkpoint, t: Any) -> Any:
    """The state at flow time t inside the last step."""
    s = _moment(setting, at, clocked_flow(setting).tau(t))
    return _inside(setting, at).evaluate(s)


def last_reached(
    setting: Setting, at: Checkpoint, t1: Any, horizon: Any
) -> tuple[Checkpoint, Any]:
    """The checkpoint to hand back, and whether a stop fired.

    It stands at the end or at the stop if one lies in the last step, not beyond the
    `horizon` to which that step is saved.
    """
    stride, flow = at.stride, clocked_flow(setting)
    assert stride is not None
    inside = _inside(setting, at)
    over = at.t >= t1
    s_end = jnp.where(over, _moment(setting, at, flow.tau(t1)), stride.length)
    t_end = jnp.where(over, t1, jnp.inf)
    s_stop = stride.length
    if setting.watch.stops:
        s_stop = jax.lax.cond(stride.met, lambda: _stop(setting, at), lambda: s_stop)
    t_stop = jnp.where(stride.met, flow.time(inside.evaluate(s_stop)), jnp.inf)
    fired = t_stop <= t_end
    t_last = jnp.minimum(t_stop, t_end)
    ended = (over | stride.met) & (t_last <= horizon)
    there = inside.evaluate(jnp.where(fired, s_stop, s_end))
    state = jax.tree.map(lambda a, b: jnp.where(ended, a, b), there, at.state)
    t = jnp.where(ended, t_last, jnp.minimum(at.t, horizon))
    return dataclasses.replace(at, t=t, state=state), ended & fired


def _moment(setting: Setting, at: Checkpoint, tau: Any) -> Any:
    """s inside the last step at which tau is passed, by regula falsi (Illinois)."""
    assert at.stride is not None
    inside, length = _inside(setting, at), at.stride.length
    close = 2 * jnp.finfo(tau.dtype).eps * jnp.abs(tau)

    def apart(bracket: Any) -> Any:
        low, high, below, above, k = bracket
        far = jnp.minimum(-below, above) > close
        return far & (high > low) & (k < _HALVINGS)

    def narrow(bracket: Any) -> Any:
        low, high, below, above, k = bracket
        # Every third cut is in the middle, which bounds their number.
        s = jnp.where(k % 3 == 2, 0.5, -below / (above - below)) * (high - low) + low
        s = jnp.clip(s, low, high)
        miss = inside.evaluate(s).tau - tau
        left = miss < 0
        return (
            jnp.where(left, s, low),
            jnp.where(left, high, s),
            jnp.where(left, miss, below / 2),
            jnp.where(left, above / 2, miss),
            k + 1,
        )

    zero = jnp.zeros_like(length)
    below = inside.evaluate(zero).tau - tau
    above = inside.evaluate(length).tau - tau
    start = (zero, length, below, above, jnp.zeros((), int))
    low, high, *_ = jax.lax.while_loop(apart, narrow, start)
    ends = jnp.stack([low, high])
    misses = [jnp.abs(inside.evaluate(s).tau - tau) for s in (low, high)]
    return ends[jnp.argmin(jnp.stack(misses))]


def _stop(setting: Setting, at: Checkpoint) -> Any:
    """s inside the last step at which the first stop is met, by bisection."""
    assert at.stride is not None
    inside = _inside(setting, at)

    def halve(_: Any, bracket: Any) -> Any:
        low, high = bracket
        s = (low + high) / 2
        state = inside.evaluate(s)
        met = is_met(setting, clocked_flow(setting).time(state), state)
        return jnp.where(met, low, s), jnp.where(met, s, high)

    bracket = jnp.zeros_like(at.stride.length), at.stride.length
    return jax.lax.fori_loop(0, _HALVINGS, halve, bracket)[1]


def _inside(setting: Setting, at: Checkpoint) -> Any:
    assert at.stride is not None
    length = at.stride.length
    return setting.reporting_solver.interpolation_cls(
        t0=jnp.zeros_like(length), t1=length, **at.stride.dense_info
    )
