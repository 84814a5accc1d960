"""diffrax's own solvers in a bare `diffeqsolve`, as its users would run them."""

import dataclasses
import time
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from _counting import Count, Counted
from _host import flat_velocity
from _methods import ATOL_SHARE, Method, Solved
from _problems import Case
from jax.flatten_util import ravel_pytree

from gflow.solvers import num_evaluations

_PROBE_STEPS, _LONGEST, _INSTANT = 200, 2**31 - 1, 1e-9


def bare(case: Case, solver: Any, limit: float = float("inf")) -> Method:
    """A diffrax solver at a relative tolerance, its controller diffrax's default.

    A compiled solve cannot be interrupted. It is given as many steps as fit the limit
    by the time that a first few take; then it is too slow. What an implicit solver
    evaluates is counted in a run of its own.
    """
    clock = time.perf_counter()
    _solve(dataclasses.replace(case, t1=_INSTANT * case.t1), solver, 1e-3, _LONGEST)
    compile_seconds = time.perf_counter() - clock
    pace = min(_seconds_a_step(case, solver) for _ in range(3))
    longest = int(min(limit / pace, _LONGEST))

    def solve(rtol: float) -> Solved:
        clock = time.perf_counter()
        solved = _solve(case, solver, rtol, longest)
        seconds = time.perf_counter() - clock
        if solved.gradients is None and solved.status == "ok":
            count = Count()
            counted = dataclasses.replace(case, problem=Counted(case.problem, count))
            _solve(counted, solver, rtol, longest)
            jax.effects_barrier()
            solved = dataclasses.replace(
                solved, gradients=count.gradients, products=count.hvps
            )
        return dataclasses.replace(
            solved, seconds=seconds, compile_seconds=compile_seconds
        )

    return solve


def _seconds_a_step(case: Case, solver: Any) -> float:
    clock = time.perf_counter()
    steps = _solve(case, solver, 1e-3, _PROBE_STEPS).steps
    return (time.perf_counter() - clock) / steps


def _solve(case: Case, solver: Any, rtol: float, longest: int) -> Solved:
    start, unravel = ravel_pytree(case.w0)
    given = (np.asarray(x) for x in (case.t1, rtol, longest))
    end = _compiled(case.problem, solver, unravel, start, *given)
    w, steps, result = jax.block_until_ready(end)
    steps = int(steps)
    status = "ok"
    if result != diffrax.RESULTS.successful:
        status = "too slow" if steps >= longest else "failed"
    return Solved(
        np.asarray(w),
        num_evaluations(solver, steps, 0, 0).gradients,
        steps,
        status=status,
    )


class Budgeted(diffrax.AbstractAdaptiveStepSizeController[Any, Any]):
    """A step-size controller that ends the solve after so many attempted steps.

    diffrax's own `max_steps` is part of the program: each bound would compile anew.
    """

    inner: diffrax.PIDController
    budget: Any

    @property
    def rtol(self) -> Any:
        """The wrapped controller's."""
        return self.inner.rtol

    @property
    def atol(self) -> Any:
        """The wrapped controller's."""
        return self.inner.atol

    @property
    def norm(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The wrapped controller's."""
        return self.inner.norm

    def wrap(self, direction: Any) -> "Budgeted":
        """For diffrax."""
        return eqx.tree_at(lambda s: s.inner, self, self.inner.wrap(direction))

    def init(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        dt0: Any,
        args: Any,
        func: Any,
        error_order: Any,
    ) -> tuple[Any, Any]:
        """The wrapped controller's first step."""
        tnext, state = self.inner.init(terms, t0, t1, y0, dt0, args, func, error_order)
        return tnext, (state, jnp.zeros((), int))

    def adapt_step_size(
        self,
        t0: Any,
        t1: Any,
        y0: Any,
        y1_candidate: Any,
        args: Any,
        y_error: Any,
        error_order: Any,
        controller_state: Any,
    ) -> Any:
        """The wrapped controller's verdict, and whether the budget is used up."""
        state, tried = controller_state
        *verdict, state, result = self.inner.adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, state
        )
        used_up = tried + 1 >= self.budget
        result = diffrax.RESULTS.where(
            used_up, diffrax.RESULTS.max_steps_reached, result
        )
        return *verdict, (state, tried + 1), result


@eqx.filter_jit
def _compiled(
    problem: Any,
    solver: Any,
    unravel: Any,
    start: Any,
    t1: Any,
    rtol: Any,
    longest: Any,
) -> Any:
    flat = flat_velocity(problem.velocity, unravel)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: flat(y)),  # pyright: ignore[reportArgumentType]
        solver,
        0.0,
        t1,
        None,
        start,
        stepsize_controller=Budgeted(  # pyright: ignore[reportCallIssue]
            inner=diffrax.PIDController(rtol=rtol, atol=ATOL_SHARE * rtol),
            budget=longest,
        ),
        adjoint=diffrax.ForwardMode(),
        max_steps=None,
        throw=False,
    )
    assert solution.ys is not None
    return solution.ys[-1], solution.stats["num_steps"], solution.result
