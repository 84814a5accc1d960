"""Gradient flow as the stiff ODE that it is: simulate, verify, certify, compare.

Names load on first use, so that `gflow --help` and `gflow list` need no jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._results import (
        Outcome as Outcome,
        RunError as RunError,
        RunInterrupted as RunInterrupted,
    )
    from ._simulate import simulate as simulate
    from .flows import (
        ArcLength as ArcLength,
        Clock as Clock,
        Flow as Flow,
        GradientFlow as GradientFlow,
        LogTime as LogTime,
        LossTime as LossTime,
    )
    from .invariants import Invariant as Invariant
    from .problem import (
        EmpiricalRisk as EmpiricalRisk,
        Objective as Objective,
        Problem as Problem,
    )
    from .steppers import (
        Comparison as Comparison,
        Stepper as Stepper,
        compare as compare,
        from_optax as from_optax,
        gradient_descent as gradient_descent,
        iterate as iterate,
    )
    from .trajectory import (
        Diverged as Diverged,
        LossBelow as LossBelow,
        MaxSteps as MaxSteps,
        Save as Save,
        Stationary as Stationary,
        Target as Target,
        Trajectory as Trajectory,
        WallClock as WallClock,
    )

_HOMES = {
    "_results": ("Outcome", "RunError", "RunInterrupted"),
    "_simulate": ("simulate",),
    "flows": (
        "ArcLength",
        "Clock",
        "Flow",
        "GradientFlow",
        "LogTime",
        "LossTime",
    ),
    "invariants": ("Invariant",),
    "problem": ("EmpiricalRisk", "Objective", "Problem"),
    "steppers": (
        "Comparison",
        "Stepper",
        "compare",
        "from_optax",
        "gradient_descent",
        "iterate",
    ),
    "trajectory": (
        "Diverged",
        "LossBelow",
        "MaxSteps",
        "Save",
        "Stationary",
        "Target",
        "Trajectory",
        "WallClock",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_PACKAGES = (
    "diagnostics",
    "flows",
    "invariants",
    "linalg",
    "models",
    "plots",
    "problem",
    "solvers",
    "steppers",
    "studies",
    "trajectory",
)

__version__ = "0.1.0"
__all__ = [*_HOME, *_PACKAGES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _HOME:
        raise AttributeError(f"module 'gflow' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
