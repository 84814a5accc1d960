"""One compiled stretch of a flow under a clock.

diffrax's own loop saves and ends at given values of its variable. Under a clock that
is s, and the values are given in t(s), a component of the state: so here is a loop of
the same solver and the same controller that looks for them inside each step.
"""

import dataclasses
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp

from ._clocked_inside import clocked_flow, is_met, last_reached, state_when
from ._stretch import Checkpoint, Setting, Stride, strong
from .flows import Clocked
from .solvers import Reported, ready


class _Walk(eqx.Module):
    """What the loop carries: where it stands, what it has saved, why it must stop."""

    checkpoint: Checkpoint
    ts: Any
    states: Any
    count: Any
    result: Any


@eqx.filter_jit
def advance_clocked(
    setting: Setting,
    checkpoint: Checkpoint,
    t1: Any,
    times: Any,
    num_due: Any,
    budget: Any,
    *,
    max_saved_steps: int | None,
) -> tuple[Checkpoint, Any, Any, Any, Any]:
    """As `advance`: integrate to t1, to a stop, or until `budget` steps were tried.

    It may also end when `num_due` times are saved. If the last step goes beyond them,
    the checkpoint remembers it, and tells as time reached the last one saved.

    **Arguments:**

    - `times`: flow times to save at, of which the first `num_due` count; or None to
        save accepted steps.
    """
    num = max_saved_steps if times is None else len(times)
    assert num is not None
    end = jnp.asarray(num) if times is None else num_due
    walk = _Walk(
        dataclasses.replace(checkpoint, t=clocked_flow(setting).time(checkpoint.state)),
        jnp.full(num, jnp.inf, checkpoint.t.dtype),
        jax.tree.map(lambda x: jnp.zeros((num, *x.shape), x.dtype), checkpoint.state),
        jnp.zeros((), int),
        diffrax.RESULTS.successful,
    )
    if times is not None:
        walk = _save_times(setting, walk, times, num_due)

    def goes_on(walk: _Walk) -> Any:
        at, guard = walk.checkpoint, walk.checkpoint.controller_state
        assert at.stride is not None
        return (
            (walk.result == diffrax.RESULTS.successful)
            & (guard.num_accepted + guard.num_rejected < budget)
            & (walk.count < end)
            & (at.t < t1)
            & ~at.stride.met
        )

    def body(walk: _Walk) -> _Walk:
        walk, accepted = _attempt(setting, walk, budget)
        if times is None:
            return _save_step(walk, accepted, t1)
        return _save_times(setting, walk, times, num_due)

    walk = _while(goes_on, body, walk)
    full = walk.count >= end
    horizon = jnp.inf if times is None else times[num_due - 1]
    reached, fired = last_reached(
        setting, walk.checkpoint, t1, jnp.where(full, horizon, jnp.inf)
    )
    # What ended the walk is found again when the rest of the step is saved.
    result = diffrax.RESULTS.where(full, diffrax.RESULTS.successful, walk.result)
    return strong(reached), walk.ts, walk.states, result, fired


def looked_at_again(setting: Setting, checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with its last step judged by the stops of another setting."""
    met = eqx.filter_jit(is_met)(setting, checkpoint.t, checkpoint.state)
    return eqx.tree_at(lambda c: c.stride.met, checkpoint, met)


def saved_in_part(setting: Setting, checkpoint: Checkpoint) -> bool:
    """Whether the last step goes beyond the time that has been handed over."""
    flow = setting.flow
    if checkpoint.stride is None or not isinstance(flow, Clocked):
        return False
    return bool(flow.time(checkpoint.state) > checkpoint.t)


def _while(goes_on: Any, body: Any, walk: _Walk) -> _Walk:
    """A while loop on the arrays of the walk; solvers may carry other things."""
    arrays, static = eqx.partition(walk, eqx.is_array)

    def step(arrays: Any) -> Any:
        return eqx.filter(body(eqx.combine(arrays, static)), eqx.is_array)

    arrays = jax.lax.while_loop(
        lambda arrays: goes_on(eqx.combine(arrays, static)), step, arrays
    )
    return eqx.combine(arrays, static)


def _attempt(setting: Setting, walk: _Walk, budget: Any) -> tuple[_Walk, Any]:
    """The walk after one attempted step, and whether it was accepted."""
    flow, guard, at = clocked_flow(setting), setting.guard(budget), walk.checkpoint
    solver = ready(setting.reporting_solver, guard)
    terms = flow.terms(setting.static)
    zero, length = jnp.zeros_like(at.t), at.controller_state.dt.astype(at.t.dtype)
    state, error, dense_info, solver_state, solver_result = solver.step(
        terms, zero, length, at.state, setting.problem, at.solver_state, False
    )
    accepted, _, _, _, judgment, result = guard.adapt_step_size(
        zero,
        length,
        at.state,
        state,
        setting.problem,
        _weighed(setting, error, at.state, state),
        solver.error_order(terms),
        at.controller_state,
    )
    t = flow.time(state)
    stride = Stride(length, dense_info, (t - at.t) / length, is_met(setting, t, state))
    taken = Checkpoint(t, state, solver_state, judgment, stride)
    old = dataclasses.replace(at, controller_state=judgment)
    at = jax.tree.map(
        lambda a, b: jnp.where(accepted, a, b) if eqx.is_array(b) else b, taken, old
    )
    failed = accepted & ~diffrax.is_okay(solver_result)
    result = diffrax.RESULTS.where(failed, solver_result, result)
    result = diffrax.RESULTS.where(
        _stands_still(at), diffrax.RESULTS.dt_min_reached, result
    )
    return dataclasses.replace(walk, checkpoint=at, result=result), accepted


def _stands_still(at: Checkpoint) -> Any:
    """Whether the next step is below the resolution of flow time."""
    assert at.stride is not None
    info = jnp.finfo(at.t.dtype)
    passing = at.controller_state.dt * at.stride.pace
    return passing <= jnp.maximum(2 * info.eps * at.t, info.tiny)


def _weighed(setting: Setting, error: Any, before: Any, after: Any) -> Any:
    """The error with that of time told such that the controller sees δt / (rtol t).

    The controller will divide it by atol + rtol |tau|; but time has no absolute
    tolerance, and tau = log(1 + t / t_ref) is off by δt / t once past one.
    """
    if isinstance(error, Reported):
        inner = _weighed(setting, error.error, before, after)
        return dataclasses.replace(error, error=inner)
    error = jax.tree.map(lambda x: jnp.where(jnp.isnan(x), jnp.inf, x), error)
    rtol, atol = setting.tolerances
    tiny = jnp.finfo(rtol.dtype).tiny
    seen = atol + rtol * jnp.maximum(jnp.abs(before.tau), jnp.abs(after.tau))
    wanted = rtol * jnp.clip(jnp.abs(after.tau), tiny / rtol, 1)
    return eqx.tree_at(lambda e: e.tau, error, error.tau * (seen / wanted))


def _save_step(walk: _Walk, accepted: Any, t1: Any) -> _Walk:
    """The walk with the end of an accepted step saved, unless the run ends inside."""
    at, k = walk.checkpoint, walk.count
    assert at.stride is not None
    inside = accepted & (at.t < t1) & ~at.stride.met
    return dataclasses.replace(
        walk,
        ts=walk.ts.at[k].set(jnp.where(inside, at.t, jnp.inf)),
        states=jax.tree.map(lambda xs, x: xs.at[k].set(x), walk.states, at.state),
        count=k + inside,
    )


def _save_times(setting: Setting, walk: _Walk, times: Any, num_due: Any) -> _Walk:
    """The walk with the times that its last step has passed saved."""
    at = walk.checkpoint

    def due(walk: _Walk) -> Any:
        return (walk.count < num_due) & (times[walk.count] <= at.t)

    def save(walk: _Walk) -> _Walk:
        k = walk.count
        state = state_when(setting, at, times[k])
        return dataclasses.replace(
            walk,
            ts=walk.ts.at[k].set(times[k]),
            states=jax.tree.map(lambda xs, x: xs.at[k].set(x), walk.states, state),
            count=k + 1,
        )

    return _while(due, save, walk)
