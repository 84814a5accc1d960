"""Fixed steps, which is what is done where no solver is at hand."""

import dataclasses
import time
from typing import Any

import jax
import numpy as np
from _host import flat_velocity
from _methods import Method, Solved, descent
from _problems import Case
from jax.flatten_util import ravel_pytree

_PROBE = 1 / 200


def euler(case: Case, limit: float = float("inf")) -> Method:
    """Gradient descent with step c/sharpness; the knob is c, stable below 2."""
    return _by_share(case, limit, descent, 1)


def rk4(case: Case, limit: float = float("inf")) -> Method:
    """The classical Runge-Kutta method with step c/sharpness, stable below 2.78."""
    return _by_share(case, limit, _classical, 4)


def _by_share(case: Case, limit: float, make: Any, stages: int) -> Method:
    assert case.sharpness is not None
    sharpness = case.sharpness
    method, probe = make(case), make(dataclasses.replace(case, t1=_PROBE * case.t1))

    def solve(share: float) -> Solved:
        num = int(np.ceil(case.t1 * sharpness / share))
        few = max(int(num * _PROBE), 1)
        first, second = _seconds(probe, few), _seconds(probe, few)
        if second / few * num > limit:
            nowhere = np.full_like(case.start, np.nan)
            return Solved(nowhere, 0, num, status="too slow", seconds=limit)
        clock = time.perf_counter()
        end = method(num).w
        seconds = time.perf_counter() - clock
        return Solved(
            end,
            stages * num,
            num,
            status="ok" if np.all(np.isfinite(end)) else "failed",
            seconds=seconds,
            compile_seconds=max(first - second, 0.0),
        )

    return solve


def _seconds(method: Method, num: float) -> float:
    clock = time.perf_counter()
    method(num)
    return time.perf_counter() - clock


def _classical(case: Case) -> Method:
    start, unravel = ravel_pytree(case.w0)
    f = flat_velocity(case.problem.velocity, unravel)

    def step(h: Any, y: Any) -> Any:
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + h / 2 * k2)
        k4 = f(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    @jax.jit
    def march(y: Any, h: Any, num: Any) -> Any:
        return jax.lax.fori_loop(0, num, lambda _, y: step(h, y), y)

    def solve(num_steps: float) -> Solved:
        num = round(num_steps)
        end = march(start, np.asarray(case.t1 / num), np.asarray(num))
        return Solved(np.asarray(end), 4 * num, num)

    return solve
