"""The choice of solver, its reason and its cost."""

import dataclasses
from typing import Any

import diffrax
import jax.numpy as jnp

from .._types import Params
from ..problem import Problem
from ..trajectory import Plan
from ._auto import Auto, Choice
from ._counting import CountingSolver

# Proportional and integral gain of the step-size control. An explicit step is kept at
# the end of its stability interval by a little proportional control; more of it lags
# behind a step that should grow with t, as on |w|^4, and errors then follow the
# tolerance less: measured on five closed forms, slope 0.78 at (0.2, 0.4), and 1.29 with
# none, (0, 1). An implicit step has no such end, and is rejected less by more of it.
# But the integral gain must stay: with 0.2 Kvaerno5's steps, whose error then is that
# of its nonlinear solve, shrank on a diagonal net until the run stalled.
_EXPLICIT_GAINS, _IMPLICIT_GAINS = (0.1, 0.6), (0.2, 0.4)
# Where the error of a step is of a higher order than that of the solution, errors at
# the end fall slower than the tolerance of a step. Below this one it is lowered for it.
_ANCHOR, _LEAST = 1e-3, 50


def choose(
    solver: diffrax.AbstractSolver[Any] | Auto,
    problem: Problem | None = None,
    w0: Params = None,
) -> Choice:
    """The solver to begin with, and the reason.

    | given | used | because |
    |---|---|---|
    | `Auto` | what it says | it may change along the run |
    | a solver with an error estimate | that solver | chosen by the caller |
    | a solver without | that solver in `diffrax.HalfSolver` | steps can adapt |

    **Arguments:**

    - `problem`: what is to be solved from w0, None if under a clock.
    """
    if isinstance(solver, Auto):
        return solver.first(problem, w0)
    if not isinstance(solver, diffrax.AbstractSolver):
        raise TypeError(f"solver must be a diffrax solver instance, not {solver!r}")
    if not isinstance(solver, diffrax.AbstractAdaptiveSolver):
        reason = "chosen by the caller; step doubling supplies its error estimate"
        solver = diffrax.HalfSolver(solver)
        return Choice(solver, Plan(_name(solver), reason))
    return Choice(solver, Plan(_name(solver), "chosen by the caller"))


def _name(solver: Any) -> str:
    """That of its class, and of what it wraps."""
    name = type(solver).__name__
    if isinstance(solver, diffrax.AbstractWrappedSolver):
        return f"{name}({_name(solver.solver)})"
    return name


def has_symmetric_derivative(problem: Problem) -> bool:
    """Whether the velocity's derivative is symmetric in an inner product that is known.

    It is where the metric is none or a diagonal that does not depend on w.
    """
    return problem.metric is None or problem.metric.weights() is not None


def controller(solver: Any, rtol: Any, atol: Any, norm: Any) -> diffrax.PIDController:
    """PI control of the error per step, to rtol |w| + atol in the given norm."""
    if getattr(solver, "owns_step", False):
        # It tells an error whose inverse is the factor: an integral gain of 1.
        return diffrax.PIDController(rtol=rtol, atol=atol, norm=norm)
    implicit = isinstance(solver, diffrax.AbstractImplicitSolver)
    pcoeff, icoeff = _IMPLICIT_GAINS if implicit else _EXPLICIT_GAINS
    return diffrax.PIDController(
        rtol=rtol, atol=atol, norm=norm, pcoeff=pcoeff, icoeff=icoeff
    )


def local_tolerances(solver: Any, rtol: Any, atol: Any) -> tuple[Any, Any]:
    """The tolerances of a step with which errors at the end follow those asked for.

    A method of order p that goes on with its own solution makes an error of order
    p + 1 in a step and of order p at the end: the latter falls as the tolerance of a
    step to the power p/(p + 1). One that goes on with the better of two solutions
    (Tsit5, ROCK4) judges its steps by an error of order p, and nothing is lost.
    """
    if not isinstance(solver, CountingSolver) or solver.extrapolates:
        return rtol, atol
    rtol, atol = jnp.asarray(rtol), jnp.asarray(atol)
    order: Any = solver.order(None)
    share = jnp.minimum(rtol / _ANCHOR, 1) ** (1 / order)
    share = jnp.maximum(
        share, jnp.minimum(_LEAST * jnp.finfo(rtol.dtype).eps / rtol, 1)
    )
    return share * rtol, share * atol


@dataclasses.dataclass(frozen=True)
class Evaluations:
    """Gradients and exact Hessian-vector products; None if a solver does not tell."""

    gradients: int | None = 0
    products: int | None = 0

    def __add__(self, other: "Evaluations") -> "Evaluations":
        """The sum, None where either is."""

        def plus(a: int | None, b: int | None) -> int | None:
            return None if a is None or b is None else a + b

        return Evaluations(
            plus(self.gradients, other.gradients), plus(self.products, other.products)
        )


def num_evaluations(
    solver: Any, num_attempts: int, gradients: int, products: int
) -> Evaluations:
    """What a solve took of so many attempted steps, with what its guard counted.

    The guard counts its own, and those that a `CountingSolver` tells.

    An explicit Runge-Kutta step takes as many gradients as its tableau has stages,
    less one where the last stage is the next step's first. The start takes three: one
    to see that anything moves, two to choose the first step; a `CountingSolver` what
    its state takes besides.
    """
    if isinstance(solver, CountingSolver):
        return Evaluations(3 + solver.num_gradients_init + gradients, products)
    if not isinstance(solver, diffrax.AbstractERK):
        return Evaluations(None, None)
    tableau: Any = solver.tableau
    if tableau.fsal:
        gradients += 1 + (tableau.num_stages - 1) * num_attempts
    else:
        gradients += tableau.num_stages * num_attempts
    return Evaluations(3 + gradients, products)
