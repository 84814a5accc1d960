"""CVODE's BDF with GMRES, through a binding of SUNDIALS.

It needs scikit-sundae, in the extra `verify`. GMRES is not preconditioned and all of
CVODE's own constants are left as they are.
"""

from typing import Any

import numpy as np
from _host import HostField, TooSlow
from _methods import ATOL_SHARE, Method, Solved
from _problems import Case

_MAX_STEPS = 100_000_000


def cvode(
    case: Case,
    *,
    exact: bool,
    krylov_dim: int | None = None,
    limit: float = float("inf"),
    atol_share: float = ATOL_SHARE,
) -> Method:
    """CVODE at a relative tolerance.

    **Arguments:**

    - `exact`: whether GMRES multiplies by the exact Jacobian, each time a product, or
        by a difference quotient, each time a gradient.
    - `krylov_dim`: vectors in GMRES; default CVODE's own, 5.
    - `limit`: seconds after which a run is given up.
    """
    # An extra, absent from the environment that the types are checked in.
    from sksundae.cvode import (  # pyright: ignore[reportMissingImports]
        CVODE,
        CVODEJacTimes,
    )

    field, steps = HostField(case, limit), _Steps()

    def velocity(t: float, y: np.ndarray, dy_dt: np.ndarray) -> None:
        steps.see(t)
        dy_dt[:] = field.velocity(y)

    def product(_t: float, y: Any, _dy: Any, v: Any, Jv: np.ndarray) -> None:
        Jv[:] = field.product(y, v)

    if exact:
        field.compile_product()

    def solve(rtol: float) -> Solved:
        solver = CVODE(
            velocity,
            rtol=rtol,
            atol=rtol * atol_share,
            linsolver="gmres",
            krylov_dim=krylov_dim,
            max_num_steps=_MAX_STEPS,
            jactimes=CVODEJacTimes(None, product) if exact else None,
        )
        field.restart()
        steps.restart()
        w, status = np.full_like(field.start, np.nan), "too slow"
        try:
            solver.init_step(0.0, field.start)
            end: Any = solver.step(case.t1, "normal", case.t1)
            w, status = end.y, "ok" if end.success else str(end.message)
        except TooSlow:
            pass
        return Solved(
            w,
            gradients=field.count.gradients,
            steps=steps.num,
            products=field.count.hvps,
            status=status,
            seconds=field.seconds,
            compile_seconds=field.compile_seconds,
        )

    return solve


class _Steps:
    """Attempted steps, counted by the times at their ends.

    The binding does not hand out CVODE's own count. All that a step evaluates, the
    difference quotients too, is at its end; the choice of the first step adds a few.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """None yet."""
        self.num, self._last = 0, 0.0

    def see(self, t: float) -> None:
        """The field is evaluated at t."""
        self.num += t != self._last
        self._last = t
