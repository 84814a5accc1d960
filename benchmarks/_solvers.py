"""The solvers that are compared: how each is made, with which knobs, and how far."""

import dataclasses
import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import diffrax
from _bare import bare
from _cvode import cvode
from _fixed import euler, rk4
from _methods import Method, flow, scipy_method
from _problems import Case

import gflow

_RTOLS = tuple(10.0**-k for k in range(1, 12))
# Where stability holds the steps the tolerance hardly matters, and each run is long;
# and a method of order 2 is not for small errors.
_FEW_RTOLS, _LOOSE_RTOLS = _RTOLS[1::2], _RTOLS[:6]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A solver in the comparison.

    - `family`: "own", "explicit", "dense", "cvode" or "fixed".
    - `make`: `(case, limit in seconds) -> method`.
    - `knobs`: relative tolerances, or shares of 1/sharpness, loosest first.
    - `largest`: the number of parameters up to which it is run.
    """

    family: str
    make: Callable[[Case, float], Method]
    knobs: Sequence[float] = _RTOLS
    largest: float = float("inf")

    def feasible(self, case: Case) -> bool:
        """Whether a case is small enough."""
        return case.start.size <= self.largest


def own(name: str, **options: Any) -> Callable[[Case, float], Method]:
    """A solver of gflow by name."""

    def make(case: Case, limit: float) -> Method:
        method = flow(case, getattr(gflow.solvers, name)(**options), limit)
        compile_seconds: float | None = None

        def solve(rtol: float) -> Any:
            nonlocal compile_seconds
            solved = method(rtol)
            if compile_seconds is None:
                compile_seconds = solved.compile_seconds
            return dataclasses.replace(solved, compile_seconds=compile_seconds)

        return solve

    return make


def _bare(solver: Any) -> Callable[[Case, float], Method]:
    return lambda case, limit: bare(case, solver, limit)


def _scipy(name: str) -> Callable[[Case, float], Method]:
    return lambda case, limit: scipy_method(case, name, limit)


def _cvode(exact: bool, krylov_dim: int) -> Callable[[Case, float], Method]:
    return lambda case, limit: cvode(
        case, exact=exact, krylov_dim=krylov_dim, limit=limit
    )


# CVODE's default is 5. GMRES is not restarted, so that a space too small for the
# spectrum costs steps: the best depends on the problem.
_KRYLOV_DIMS = (5, 20, 100)

_SHARES_RK4, _SHARES_EULER = (2.0, 1.0, 0.5, 0.25), (1.0, 0.5, 0.4)

SOLVERS: dict[str, Entry] = {
    "Auto": Entry("own", own("Auto")),
    "BDF": Entry("own", own("BDF")),
    "BDF, 0 vectors": Entry("own", own("BDF", num_ritz=0)),
    "BDF, 80 vectors": Entry("own", own("BDF", num_ritz=80)),
    "RKC": Entry("own", own("RKC"), _LOOSE_RTOLS),
    "ROCK4": Entry("own", own("ROCK4")),
    "Tsit5": Entry("explicit", _bare(diffrax.Tsit5()), _FEW_RTOLS),
    "Dopri8": Entry("explicit", _bare(diffrax.Dopri8()), _FEW_RTOLS),
    "Kvaerno5": Entry("dense", _bare(diffrax.Kvaerno5()), largest=500),
    "scipy LSODA": Entry("dense", _scipy("LSODA"), largest=2_100),
    "scipy BDF": Entry("dense", _scipy("BDF"), largest=2_100),
    **{
        f"CVODE {kind}, {dim}": Entry("cvode", _cvode(kind == "products", dim))
        for kind in ("quotients", "products")
        for dim in _KRYLOV_DIMS
    },
    "RK4": Entry("fixed", rk4, _SHARES_RK4),
    "Euler": Entry("fixed", euler, _SHARES_EULER),
}


def available(name: str) -> bool:
    """Whether this machine has what the solver needs."""
    if SOLVERS[name].family == "cvode":
        return importlib.util.find_spec("sksundae") is not None
    return True
