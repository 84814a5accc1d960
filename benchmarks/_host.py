"""A flow's right side as solvers outside jax call it: compiled, counted, timed."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from _counting import Count
from _problems import Case
from jax.flatten_util import ravel_pytree


class TooSlow(Exception):
    """A run used up its time."""


class HostField:
    """dy/dt = f(y) and its Jacobian's products on flat numpy arrays.

    Compiled at construction; `compile_seconds` is what that took. Counts what is
    evaluated, from inside the callbacks, as `Count` does. After `limit` seconds from
    `restart` an evaluation raises `TooSlow`.
    """

    def __init__(self, case: Case, limit: float = float("inf")) -> None:
        clock = time.perf_counter()
        start, unravel = ravel_pytree(case.w0)
        flat = flat_velocity(case.problem.velocity, unravel)
        self._velocity = jax.jit(flat)
        self._product = jax.jit(lambda y, v: jax.jvp(flat, (y,), (v,))[1])
        self._jacobian = jax.jit(jax.jacfwd(flat))
        self.start = np.asarray(start)
        jax.block_until_ready(self._velocity(self.start))
        self.compile_seconds = time.perf_counter() - clock
        self._limit = limit
        self.restart()

    def compile_product(self) -> None:
        """Ahead of the first product, and not counted."""
        clock = time.perf_counter()
        jax.block_until_ready(self._product(self.start, self.start))
        self.compile_seconds += time.perf_counter() - clock

    def restart(self) -> None:
        """Counts and clock at zero."""
        self.count = Count()
        self._clock = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since `restart`."""
        return time.perf_counter() - self._clock

    def _look(self) -> None:
        if self.seconds > self._limit:
            raise TooSlow

    def velocity(self, y: np.ndarray) -> np.ndarray:
        """f(y): one gradient."""
        self._look()
        self.count.gradients += 1
        return np.asarray(self._velocity(y))

    def product(self, y: np.ndarray, v: np.ndarray) -> np.ndarray:
        """f'(y) v by automatic differentiation: one product."""
        self._look()
        self.count.hvps += 1
        return np.asarray(self._product(y, v))

    def jacobian(self, y: np.ndarray) -> np.ndarray:
        """f'(y), dense: as many products as there are parameters."""
        self._look()
        self.count.hvps += len(y)
        return np.asarray(self._jacobian(y))


def flat_velocity(
    velocity: Callable[[Any], Any], unravel: Callable[[Any], Any]
) -> Callable[[Any], Any]:
    """The velocity of flat parameters, for jax."""
    return lambda y: ravel_pytree(velocity(unravel(y)))[0]
