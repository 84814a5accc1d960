"""The choice of solver, its reason and its cost."""

from typing import Any

import diffrax

from ..trajectory import Plan

# Proportional and integral gain of the step-size control. An explicit step is kept at
# the end of its stability interval by a little proportional control; more of it lags
# behind a step that should grow with t, as on |w|^4, and errors then follow the
# tolerance less: measured on five closed forms, slope 0.78 at (0.2, 0.4), and 1.29 with
# none, (0, 1). An implicit step has no such end, and is rejected less by more of it.
# But the integral gain must stay: with 0.2 Kvaerno5's steps, whose error then is that
# of its nonlinear solve, shrank on P1 until the run stalled.
_EXPLICIT_GAINS, _IMPLICIT_GAINS = (0.1, 0.6), (0.2, 0.4)
# A solver that chooses its steps itself tells an error whose inverse is the factor.
_OWN_GAINS = (0.0, 1.0)


def choose(solver: diffrax.AbstractSolver[Any] | None) -> tuple[Any, Plan]:
    """The solver to use, with the reason.

    | given | used | because |
    |---|---|---|
    | nothing | Tsit5 | explicit and of order 5: cheapest while the flow is not stiff |
    | a solver with an error estimate | that solver | chosen by the caller |
    | a solver without | that solver in `diffrax.HalfSolver` | steps can adapt |
    """
    if solver is None:
        tsit5 = diffrax.Tsit5()
        return tsit5, Plan(
            "Tsit5", "explicit, order 5: the default for non-stiff flows"
        )
    if not isinstance(solver, diffrax.AbstractSolver):
        raise TypeError(f"solver must be a diffrax solver instance, not {solver!r}")
    if not isinstance(solver, diffrax.AbstractAdaptiveSolver):
        name = f"HalfSolver({type(solver).__name__})"
        reason = "chosen by the caller; step doubling supplies its error estimate"
        return diffrax.HalfSolver(solver), Plan(name, reason)
    return solver, Plan(type(solver).__name__, "chosen by the caller")


def controller(solver: Any, rtol: Any, atol: Any, norm: Any) -> diffrax.PIDController:
    """PI control of the error per step, to rtol |w| + atol in the given norm."""
    implicit = isinstance(solver, diffrax.AbstractImplicitSolver)
    pcoeff, icoeff = _IMPLICIT_GAINS if implicit else _EXPLICIT_GAINS
    if getattr(solver, "owns_step", False):
        pcoeff, icoeff = _OWN_GAINS
    return diffrax.PIDController(
        rtol=rtol, atol=atol, norm=norm, pcoeff=pcoeff, icoeff=icoeff
    )


def num_gradients(solver: Any, num_attempts: int) -> int | None:
    """Gradients that a solve of so many attempted steps took; None if not known.

    An explicit Runge-Kutta step takes as many as its tableau has stages, less one
    where the last stage is the next step's first. The start takes three: one to see
    that anything moves, two to choose the first step.
    """
    if not isinstance(solver, diffrax.AbstractERK):
        return None
    tableau: Any = solver.tableau
    if tableau.fsal:
        return 3 + 1 + (tableau.num_stages - 1) * num_attempts
    return 3 + tableau.num_stages * num_attempts
