"""A solver as diffrax's own loop would use it."""

from typing import Any

import diffrax
import equinox as eqx

from ._guard import Guard
from ._newton_krylov import NewtonKrylov

# diffrax's placeholder for what is the controller's, which it does not export.
_FROM_CONTROLLER = NewtonKrylov().rtol


def ready(solver: Any, guard: Guard | None) -> Any:
    """The solver with what `diffeqsolve` fills in, for a loop of one's own.

    An implicit solver's root finder gets the controller's tolerances where it asks for
    them, and a Runge-Kutta solver loops over its stages in forward mode.

    ```python
    >>> import diffrax
    >>> from gflow.solvers import ready
    >>> print(ready(diffrax.Tsit5(), None).scan_kind)
    lax

    ```
    """
    if isinstance(solver, diffrax.AbstractWrappedSolver):
        inner = ready(solver.solver, guard)
        return eqx.tree_at(lambda s: s.solver, solver, inner)
    if isinstance(solver, diffrax.AbstractRungeKutta) and solver.scan_kind is None:
        solver = eqx.tree_at(
            lambda s: s.scan_kind, solver, "lax", is_leaf=lambda x: x is None
        )
    if not isinstance(solver, diffrax.AbstractImplicitSolver):
        return solver
    finder: Any = solver.root_finder
    open_ones = [
        name
        for name in ("rtol", "atol", "norm")
        if getattr(finder, name, None) is _FROM_CONTROLLER
    ]
    if not open_ones:
        return solver
    return eqx.tree_at(
        lambda s: [getattr(s.root_finder, name) for name in open_ones],
        solver,
        [getattr(guard, name) for name in open_ones],
    )
