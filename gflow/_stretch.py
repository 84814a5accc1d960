"""One compiled stretch of a flow: from a checkpoint to the next."""

import dataclasses
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx

from . import _trees as trees
from ._types import Params
from .flows import Clocked, Flow
from .problem import Problem
from .solvers import (
    Balance,
    Choice,
    CountingSolver,
    Filippov,
    Guard,
    GuardState,
    Reporting,
    controller,
    local_tolerances,
    ready,
)
from .trajectory import Watch

# Bisection is to end when the interval is down to the resolution of time. optimistix
# ends it when the margin, too, is below the same `atol`; in this unit it always is.
_MARGIN_UNIT, _LEAST_INTERVAL = 1e-25, 1e-18


class Stride(eqx.Module):
    """An accepted step under a clock, with what it takes to look inside."""

    length: Any
    dense_info: Any
    # Flow time that passed, over the step's length.
    pace: Any
    # Whether a stop was met in it.
    met: Any


class Checkpoint(eqx.Module):
    """Where a flow stands between two stretches; enough to go on to the same bits."""

    t: Any
    state: Any
    solver_state: Any
    controller_state: GuardState
    # Under a clock, the last step, of which not all may have been saved.
    stride: Stride | None = None


class Setting(eqx.Module):
    """A flow, how it is integrated, and what ends it: all that a stretch rests on.

    Tolerances, rates, data and thresholds are arrays, so that changing them reuses
    the compiled stretch.
    """

    problem: Problem
    flow: Flow
    static: Params
    solver: Any
    rtol: Any
    atol: Any
    # |L(w0)|, and the largest of the parameters w0.
    loss_scale: Any
    largest: Any
    # The number of parameters.
    size: int = eqx.field(static=True)
    watch: Watch

    def using(self, choice: Choice) -> "Setting":
        """The same with the solver chosen."""
        rtol = jnp.maximum(self.rtol, choice.least_rtol).astype(self.rtol.dtype)
        atol = jnp.maximum(self.atol, choice.least_atol).astype(self.atol.dtype)
        return dataclasses.replace(self, solver=choice.solver, rtol=rtol, atol=atol)

    @property
    def reporting_solver(self) -> Any:
        """The solver in the problem's geometry and with what of w does not move.

        If it can tell of its work, it does.
        """
        if not isinstance(self.solver, CountingSolver):
            return self.solver
        return Reporting(self.solver.placed(self.problem, self.static))

    @property
    def tolerances(self) -> tuple[Any, Any]:
        """Those of a step, relative and absolute."""
        return local_tolerances(self.solver, self.rtol, self.atol)

    @property
    def tolerance(self) -> Any:
        """rtol, and atol relative to the largest of the parameters."""
        return self.rtol + self.atol / jnp.maximum(self.largest, self.atol)

    def guard(self, budget: Any) -> Guard:
        """The step-size controller with a budget of attempted steps."""
        flow, static = self.flow, self.static

        def loss(state: Any, problem: Problem) -> Any:
            return problem.loss(eqx.combine(flow.params(state), static))

        def energy_rate(t: Any, state: Any, problem: Problem) -> Any:
            return jnp.asarray(flow.energy(flow.terms(static).vf(t, state, problem)))

        def norm(scaled_error: Any) -> Any:
            # The audit's own component is watched, not controlled: it must not bend
            # the trajectory that it audits.
            size = optx.rms_norm(flow.params(scaled_error))
            # An error in flow time weighs as much as one in all parameters.
            clocked = isinstance(flow, Clocked)
            return jnp.maximum(size, jnp.abs(scaled_error.tau)) if clocked else size

        def elapsed(h: Any, y0: Any, y1: Any) -> Any:
            return flow.time(y1) - flow.time(y0) if isinstance(flow, Clocked) else h

        balance = Balance(
            loss=loss,
            energy=lambda state: jnp.asarray(flow.energy(state)),
            energy_rate=energy_rate,
            elapsed=elapsed,
            tolerance=self.tolerance,
            size=self.size,
        )
        return Guard(  # pyright: ignore[reportCallIssue] (rtol and so on are properties)
            inner=controller(self.solver, *self.tolerances, norm),
            balance=balance,
            monotone=flow.monotone,
            loss_scale=self.loss_scale,
            budget=jnp.asarray(budget),
        )

    @eqx.filter_jit
    def velocity(self, t: Any, state: Any) -> Params:
        """dw/dt at a state."""
        flow = self.flow.flow if isinstance(self.flow, Clocked) else self.flow
        return flow.params(self.motion(t, state))

    def motion(self, t: Any, state: Any) -> Any:
        """The derivative of a state in t: of w, and of what else the law moves."""
        flow = self.flow
        if isinstance(flow, Clocked):
            flow, state = flow.flow, state.inner
        return flow.terms(self.static).vf(t, state, self.problem)

    def event(self) -> diffrax.Event | None:
        """The first of the located stops, as diffrax wants it."""
        if not self.watch.stops:
            return None

        def least(t: Any, y: Any, args: Problem, **_: Any) -> Any:
            w = eqx.combine(self.flow.params(y), self.static)
            return _MARGIN_UNIT * jnp.min(self.watch.margins(t, w, args))

        eps = float(jnp.finfo(self.rtol.dtype).eps)
        root_finder = optx.Bisection(rtol=4 * eps, atol=_LEAST_INTERVAL, flip=True)
        return diffrax.Event(least, root_finder, False)


@eqx.filter_jit
def start(setting: Setting, t0: Any, t1: Any, state: Any) -> tuple[Checkpoint, Any]:
    """The checkpoint at t0, and how fast the state moves there. Cost: two gradients."""
    terms = setting.flow.terms(setting.static)
    solver, pace = setting.reporting_solver, None
    begin, length = t0, t1 - t0
    if isinstance(setting.flow, Clocked):
        # Only the length of a step counts in s, so each begins at zero.
        pace = setting.flow.pace(setting.static, state, setting.problem)
        begin, length = jnp.zeros_like(t0), length / pace
    order = solver.error_order(terms)
    # From zero, where no first step is too short for the resolution of time.
    dt, controller_state = setting.guard(0).init(
        terms, 0 * t0, length, state, None, setting.problem, solver.func, order
    )
    solver_state = solver.init(terms, begin, begin + dt, state, setting.problem)
    checkpoint = Checkpoint(t0, state, solver_state, controller_state)
    if pace is not None:
        checkpoint = _with_stride(setting, checkpoint, pace)
    # Not the norm: the energy moves at ‖∇L‖², whose square overflows early.
    return strong(checkpoint), trees.largest(setting.motion(t0, state))


def _with_stride(setting: Setting, checkpoint: Checkpoint, pace: Any) -> Checkpoint:
    """The checkpoint with a stride of no length."""
    zero = jnp.zeros_like(checkpoint.t)
    shapes = eqx.filter_eval_shape(
        ready(setting.reporting_solver, setting.guard(0)).step,
        setting.flow.terms(setting.static),
        zero,
        zero,
        checkpoint.state,
        setting.problem,
        checkpoint.solver_state,
        False,
    )
    dense_info = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes[2])
    stride = Stride(zero, dense_info, pace, jnp.asarray(False))
    return dataclasses.replace(checkpoint, stride=stride)


@eqx.filter_jit
def advance(
    setting: Setting,
    checkpoint: Checkpoint,
    t1: Any,
    times: Any,
    budget: Any,
    *,
    max_saved_steps: int | None,
) -> tuple[Checkpoint, Any, Any, Any, Any]:
    """Integrate to t1, to a stop, or until `budget` steps have been tried.

    **Arguments:**

    - `times`: save times in [checkpoint.t, t1], or None to save accepted steps, at
        most `max_saved_steps` of them before control comes back.

    **Returns:** the checkpoint reached; the saved times and states, `inf` where not
    reached; diffrax's result; whether a stop fired.
    """
    sub = diffrax.SubSaveAt(steps=times is None, ts=times)
    event, guard = setting.event(), setting.guard(budget)
    solution = diffrax.diffeqsolve(
        setting.flow.terms(setting.static),
        # diffrax itself looks into one wrapper only.
        ready(setting.reporting_solver, guard),
        checkpoint.t,
        t1,
        checkpoint.controller_state.dt,
        checkpoint.state,
        setting.problem,
        saveat=diffrax.SaveAt(
            subs=[sub, diffrax.SubSaveAt(t1=True)],
            solver_state=True,
            controller_state=True,
        ),
        stepsize_controller=guard,
        adjoint=diffrax.ForwardMode(),
        event=event,
        max_steps=max_saved_steps,
        throw=False,
        solver_state=checkpoint.solver_state,
        controller_state=checkpoint.controller_state,
    )
    assert isinstance(solution.controller_state, GuardState)
    assert solution.ts is not None
    assert solution.ys is not None
    reached = Checkpoint(
        solution.ts[1][0],
        jax.tree.map(lambda x: x[0], solution.ys[1]),
        solution.solver_state,
        solution.controller_state,
    )
    fired = jnp.asarray(False if event is None else solution.event_mask)
    return strong(reached), solution.ts[0], solution.ys[0], solution.result, fired


def strong(checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint without weak types."""
    # Python scalars and weakly typed arrays would compile the first stretch, which has
    # them, apart from the others, which do not.
    return jax.tree.map(
        lambda x: jax.lax.convert_element_type(x, jnp.result_type(x)), checkpoint
    )


# A step refused was longer than the next; this many times the next sees its cause.
_BACK = 100


def is_crowded(setting: Setting, checkpoint: Checkpoint) -> bool:
    """Whether just ahead more values are held at zero than the solver has room for."""
    if not isinstance(setting.solver, Filippov):
        return False
    return bool(_crowded_ahead(setting, checkpoint))


@eqx.filter_jit
def _crowded_ahead(setting: Setting, checkpoint: Checkpoint) -> Any:
    # diffrax drops the state of a step that is refused: it is tried again.
    solver, t = setting.reporting_solver.solver, checkpoint.t
    there = t + _BACK * checkpoint.controller_state.dt
    terms, old = setting.flow.terms(setting.static), checkpoint.solver_state
    args = terms, t, there, checkpoint.state, setting.problem, old, False
    return solver.attempt(*args)[3].crowded
