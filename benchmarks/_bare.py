"""diffrax's own solvers in a bare `diffeqsolve`, as its users would run them."""

import dataclasses
import time
from typing import Any

import diffrax
import equinox as eqx
import jax
import numpy as np
from _counting import Count, Counted
from _host import flat_velocity
from _methods import ATOL_SHARE, Method, Solved
from _problems import Case
from jax.flatten_util import ravel_pytree

from gflow.solvers import num_gradients

_PROBE_STEPS, _INSTANT = 200, 1e-9


def bare(case: Case, solver: Any, limit: float = float("inf")) -> Method:
    """A diffrax solver at a relative tolerance, its controller diffrax's default.

    A compiled solve cannot be interrupted. It is given as many steps as fit the limit
    by the time that a first few take; then it is too slow. What an implicit solver
    evaluates is counted in a run of its own.
    """
    longest = 2**31 - 1
    if np.isfinite(limit):
        _solve(case, solver, 1e-3, _PROBE_STEPS)
        clock = time.perf_counter()
        steps = _solve(case, solver, 1e-3, _PROBE_STEPS).steps
        pace = (time.perf_counter() - clock) / steps
        longest = int(min(limit / pace, longest))
    clock = time.perf_counter()
    _solve(dataclasses.replace(case, t1=_INSTANT * case.t1), solver, 1e-3, longest)
    compile_seconds = time.perf_counter() - clock

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


def _solve(case: Case, solver: Any, rtol: float, longest: int) -> Solved:
    start, unravel = ravel_pytree(case.w0)
    end = _compiled(
        case.problem, solver, unravel, start, _array(case.t1), _array(rtol), longest
    )
    w, steps, result = jax.block_until_ready(end)
    steps = int(steps)
    status = "ok"
    if result != diffrax.RESULTS.successful:
        status = "too slow" if steps >= longest else "failed"
    return Solved(np.asarray(w), num_gradients(solver, steps), steps, status=status)


def _array(x: float) -> np.ndarray:
    # A Python number would be compiled in.
    return np.asarray(x)


@eqx.filter_jit
def _compiled(
    problem: Any,
    solver: Any,
    unravel: Any,
    start: Any,
    t1: Any,
    rtol: Any,
    longest: int,
) -> Any:
    flat = flat_velocity(problem.velocity, unravel)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: flat(y)),  # pyright: ignore[reportArgumentType]
        solver,
        0.0,
        t1,
        None,
        start,
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=ATOL_SHARE * rtol),
        adjoint=diffrax.ForwardMode(),
        max_steps=longest,
        throw=False,
    )
    assert solution.ys is not None
    return solution.ys[-1], solution.stats["num_steps"], solution.result
