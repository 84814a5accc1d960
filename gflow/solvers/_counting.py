"""Solvers that tell the work of each attempted step."""

import abc
from typing import Any

import diffrax
import equinox as eqx
from jaxtyping import Array, Int


class Work(eqx.Module):
    """What an attempted step took, rejected or not.

    `gradients` counts evaluations of the field, those of difference quotients
    included; `products` counts exact Jacobian-vector products, each worth about two.
    """

    gradients: Int[Array, ""]
    products: Int[Array, ""]


class CountingSolver(diffrax.AbstractAdaptiveSolver[Any]):
    """A diffrax solver whose steps take a number of evaluations that varies.

    diffrax throws the solver's state away when a step is rejected, and its counts
    with it; `attempt` hands them out beside the step. `step` is for diffrax.
    """

    @abc.abstractmethod
    def attempt(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        args: Any,
        solver_state: Any,
        made_jump: Any,
    ) -> tuple[Any, Any, Any, Any, diffrax.RESULTS, Work]:
        """What `step` returns, and the work it took."""

    def step(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        args: Any,
        solver_state: Any,
        made_jump: Any,
    ) -> tuple[Any, Any, Any, Any, diffrax.RESULTS]:
        """One attempted step, as diffrax wants it."""
        return self.attempt(terms, t0, t1, y0, args, solver_state, made_jump)[:5]

    def report(self, solver_state: Any) -> dict[str, Any]:
        """Name -> scalar array: what the solver has to say of the steps so far."""
        del solver_state
        return {}
