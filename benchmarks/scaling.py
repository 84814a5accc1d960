"""How does the cost of a flow grow with its stiffness, and with its dimension?

    python benchmarks/scaling.py                    minutes to an hour
    python benchmarks/scaling.py --small            a smoke run, not kept
    python benchmarks/scaling.py --solvers BDF RKC --kinds stiffness

What is not measured anew stays in the table.

Stiffness: least squares of condition number ρT with the horizon T = ρT, so that the
slowest mode has just begun to move at the end; an exponent is fitted. Dimension: tanh
nets of 1e3 to 1e6 parameters on one sample of digits; each size runs in a process of
its own, whose largest resident memory is told.
"""

import argparse
import dataclasses
import itertools
import json
import multiprocessing
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from _problems import Case, digits_net, least_squares
from _solvers import SOLVERS, available
from _table import aligned, conditions, fill

_HERE = Path(__file__).parent
_RESULTS = _HERE / "results" / "scaling.json"
_RTOL = 1e-5
_MEGA = 2**20


@dataclasses.dataclass(frozen=True)
class Point:
    """One run: `size` is ρT, or the number of parameters."""

    kind: str
    solver: str
    size: float
    cost: int | None
    steps: int
    status: str
    error: float | None
    seconds: float | None
    memory_mb: float | None = None


def stiffness(solver: str, rho_t: float, limit: float) -> Point:
    """Least squares with ρ = 1, T = ρT and the slowest rate 1/ρT."""
    case = least_squares(0, 200, rho_t, rho_t, name="stiffness")
    assert case.exact is not None
    case = dataclasses.replace(case, reference=case.exact(case.t1))
    return _run("stiffness", case, solver, rho_t, limit)


def dimension(solver: str, width: int, limit: float) -> Point:
    """A tanh net with two hidden layers of this width, to t = 100."""
    case = digits_net(0, width)
    return _run("dimension", case, solver, case.start.size, limit)


def _run(kind: str, case: Case, name: str, size: float, limit: float) -> Point:
    solved = SOLVERS[name].make(case, limit)(_RTOL)
    error = None if case.reference is None else case.error(solved.w)
    cost = None
    if solved.gradients is not None:
        cost = solved.gradients + 2 * solved.products
    return Point(
        kind,
        name,
        float(size),
        cost,
        solved.steps,
        solved.status,
        error if error is None or np.isfinite(error) else None,
        solved.seconds,
    )


def apart(solver: str, width: int, limit: float) -> Point:
    """`dimension` in a fresh process, with the memory that it came to."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_apart, (solver, width, limit))


def _apart(solver: str, width: int, limit: float) -> Point:
    jax.config.update("jax_enable_x64", True)
    point = dimension(solver, width, limit)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MEGA
    return dataclasses.replace(point, memory_mb=peak)


def exponent(points: Sequence[Point]) -> float | None:
    """The slope of log cost against log size, by least squares."""
    done = [(p.size, p.cost) for p in points if p.status == "ok" and p.cost]
    if len(done) < 2:
        return None
    sizes, costs = np.log(np.array(done, float)).T
    return float(np.polyfit(sizes, costs, 1)[0])


def text(points: Sequence[Point]) -> str:
    """The table, and what it says of growth."""
    heads = ("kind", "solver", "size", "ge", "steps", "error", "s", "peak MB", "status")
    cells = [heads, *(_cells(p) for p in points)]
    lines = [aligned(cells), ""]
    for solver in dict.fromkeys(p.solver for p in points):
        mine = [p for p in points if p.solver == solver]
        slope = exponent([p for p in mine if p.kind == "stiffness"])
        shown = "-" if slope is None else f"{slope:.2f}"
        wide = [
            p.cost
            for p in mine
            if p.kind == "dimension" and p.status == "ok" and p.cost
        ]
        growth = f"{max(wide) / wide[0]:.2f}" if wide else "-"
        lines.append(
            f"{solver}: ge grows as (ρT)^{shown} (to be at most 0.5); largest over "
            f"smallest net {growth} (to be below 2.5)."
        )
    return "\n".join(lines)


def _cells(p: Point) -> tuple[str, ...]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else f"{value:{form}}"

    return (
        p.kind,
        p.solver,
        f"{p.size:.3g}",
        shown(p.cost, ","),
        f"{p.steps:,}",
        shown(p.error, ".1e"),
        shown(p.seconds, ".2g"),
        shown(p.memory_mb, ".0f"),
        p.status,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = ["Auto", "BDF", "RKC", "ROCK4", "Tsit5"]
    parser.add_argument("--solvers", nargs="+", choices=list(SOLVERS), default=default)
    kinds = ["stiffness", "dimension"]
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--small", action="store_true", help="short; writes nothing")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds a run")
    asked: Any = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    stiff = (1e2, 1e3) if asked.small else (1e2, 1e3, 1e4, 1e5, 1e6)
    # Two hidden layers of these widths make 1e3, 1e4, 1e5 and 1e6 parameters.
    widths = (6, 12) if asked.small else (12, 70, 280, 963)
    ways: dict[str, tuple[Any, Sequence[float]]] = {
        "stiffness": (stiffness, stiff),
        "dimension": (apart, widths),
    }
    points: list[Point] = []
    for kind, solver in itertools.product(
        asked.kinds, filter(available, asked.solvers)
    ):
        measure, sizes = ways[kind]
        for size in sizes:
            points.append(measure(solver, size, asked.limit))
            print(" ".join(_cells(points[-1])), flush=True)
            if not asked.small:
                keep(points)
    print(text(points))


def keep(points: Sequence[Point]) -> None:
    """What was measured, now and before, as json and as the table in the README."""
    old = json.loads(_RESULTS.read_text(encoding="utf-8")) if _RESULTS.exists() else {}
    fresh = {(p.kind, p.solver) for p in points}
    before = [Point(**p) for p in old.get("points", ())]
    kept = [p for p in before if (p.kind, p.solver) not in fresh] + list(points)
    kept.sort(key=lambda p: (p.kind == "dimension", list(SOLVERS).index(p.solver)))
    record = {
        "conditions": conditions(),
        "rtol": _RTOL,
        "points": [dataclasses.asdict(point) for point in kept],
    }
    _RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    fill(_HERE / "README.md", text(kept), "scaling")


if __name__ == "__main__":
    main()
