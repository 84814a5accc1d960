"""Solvers that tell the work of each attempted step."""

import abc
from typing import Any, ClassVar

import diffrax
import equinox as eqx
from jaxtyping import Array, Int

from .._types import Params
from ..problem import Problem


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

    `extrapolates` says whether the solution that goes on is of a higher order than the
    one that its error estimate is of; `num_gradients_init` is what `init` takes.
    """

    extrapolates: ClassVar[bool] = True
    num_gradients_init: ClassVar[int] = 1

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

    def placed(self, problem: Problem, static: Params) -> "CountingSolver":
        """The solver in a problem's geometry, told the leaves of w that do not move."""
        del problem, static
        return self

    def report(self, solver_state: Any) -> dict[str, Any]:
        """Name -> scalar array: what the solver has to say of the steps so far."""
        del solver_state
        return {}

    def carried(self, fresh: Any, old: Any) -> Any:
        """The state of a fresh start, with what `report` is to tell of an older one."""
        del old
        return fresh


class Reported(eqx.Module):
    """An error estimate with the work of the step that it belongs to."""

    error: Any
    work: Work


class Reporting(
    diffrax.AbstractWrappedSolver[Any], diffrax.AbstractAdaptiveSolver[Any]
):
    """Wraps a `CountingSolver` so that a `Guard` hears of the work of every attempt.

    Its error estimate is a `Reported`, which no other controller understands.
    """

    solver: CountingSolver

    @property
    def term_structure(self) -> Any:
        """The wrapped solver's."""
        return self.solver.term_structure

    @property
    def interpolation_cls(self) -> Any:  # pyright: ignore
        """The wrapped solver's."""
        return self.solver.interpolation_cls

    @property
    def root_finder(self) -> Any:
        """The wrapped solver's, if it is implicit."""
        solver: Any = self.solver
        return solver.root_finder

    def order(self, terms: Any) -> Any:
        """The wrapped solver's."""
        return self.solver.order(terms)

    def error_order(self, terms: Any) -> Any:
        """The wrapped solver's."""
        return self.solver.error_order(terms)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        """The wrapped solver's."""
        return self.solver.init(terms, t0, t1, y0, args)

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
        """The wrapped solver's attempt, its work told with its error."""
        attempt = self.solver.attempt
        y1, error, dense, state, result, work = attempt(
            terms, t0, t1, y0, args, solver_state, made_jump
        )
        return y1, Reported(error, work), dense, state, result

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """The wrapped solver's."""
        return self.solver.func(terms, t0, y0, args)
