"""Gradient flow as the stiff ODE that it is: simulate, verify, certify, compare.

Names load on first use, so that `gflow --help` and `gflow list` need no jax.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .invariants import Invariant as Invariant
    from .problem import (
        EmpiricalRisk as EmpiricalRisk,
        Metric as Metric,
        Objective as Objective,
        Problem as Problem,
        Rates as Rates,
    )

_HOMES = {
    "invariants": ("Invariant",),
    "problem": ("EmpiricalRisk", "Metric", "Objective", "Problem", "Rates"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
_PACKAGES = ("diagnostics", "invariants", "models", "plots", "studies")

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
