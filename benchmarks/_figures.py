"""Work-precision diagrams: what an error costs, a panel for each problem."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from _records import REACHED, Record
from _solvers import SOLVERS

mpl.use("Agg")
import matplotlib.pyplot as plt

# Own solvers stand out by their width, each family has a line style, and variants of a
# method share its color and differ in their markers. Told apart without red and green.
_STYLES = {"own": "-", "explicit": "--", "dense": ":", "cvode": "-.", "fixed": ":"}
_COLORS = {
    "Auto": "black",
    "BDF": "#0072B2",
    "RKC": "#009E73",
    "ROCK4": "#56B4E9",
    "Tsit5": "#D55E00",
    "Dopri8": "#E69F00",
    "CVODE": "#CC79A7",
    "Euler": "#B0A000",
    "RK4": "#B0A000",
}
_OTHERS, _MARKERS = "#777777", "o^vsDPX*"
_FLOOR, _CEILING = 1e-11, 2.0


def draw(records: Sequence[Record], folder: Path, name: str) -> list[Path]:
    """Cost and seconds against error, medians over seeds; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for measure, label in (
        ("cost", "gradients + 2 products"),
        ("seconds", "seconds, compiled before"),
    ):
        figure = _figure(records, measure, label)
        paths.append(folder / f"{name}_{measure}.png")
        figure.savefig(paths[-1], dpi=110, bbox_inches="tight")
        plt.close(figure)
    return paths


def _figure(records: Sequence[Record], measure: str, label: str) -> Any:
    problems = list(dict.fromkeys(r.problem for r in records))
    rows = -(-len(problems) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(12, 4 * rows), squeeze=False)
    present = [name for name in SOLVERS if any(r.solver == name for r in records)]
    looks = _looks(present)
    handles: dict[str, Any] = {}
    for ax, problem in zip(axes.flat, problems, strict=False):
        for solver in present:
            chosen = [r for r in records if (r.problem, r.solver) == (problem, solver)]
            curve = _curve(chosen, measure)
            if not curve:
                continue
            xs, ys = zip(*curve, strict=True)
            (handles[solver],) = ax.loglog(xs, ys, label=solver, **looks[solver])
        ax.set_title(problem)
        ax.set_xlim(_CEILING, _FLOOR)
        ax.set_xlabel("relative error at t1")
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
    for ax in list(axes.flat)[len(problems) :]:
        ax.axis("off")
    figure.tight_layout()
    free = len(problems) % 2 == 1
    where = axes.flat[-1].get_position() if free else (0.5, 0)
    figure.legend(
        handles.values(),
        handles,
        loc="center" if free else "upper center",
        bbox_to_anchor=where,
        ncols=2 if free else 5,
    )
    return figure


def _looks(solvers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line properties of each solver."""
    looks: dict[str, dict[str, Any]] = {}
    used: dict[str, int] = {}
    for solver in solvers:
        kind = SOLVERS[solver].family
        color = _COLORS.get(solver.replace(",", "").split()[0], _OTHERS)
        used[color] = used.get(color, -1) + 1
        looks[solver] = {
            "linestyle": _STYLES[kind],
            "marker": _MARKERS[used[color] % len(_MARKERS)],
            "color": color,
            "linewidth": 2.5 if kind == "own" else 1.2,
            "markersize": 6,
        }
    return looks


def _curve(records: Sequence[Record], measure: str) -> list[tuple[float, float]]:
    """(median error, median cost) at each knob that every seed finished."""
    curve: list[tuple[float, float]] = []
    seeds = {r.seed for r in records}
    for knob in sorted({r.knob for r in records}, reverse=True):
        at = [r for r in records if r.knob == knob and r.status in REACHED]
        errors = [r.error for r in at if r.error is not None]
        costs = [c for r in at if (c := getattr(r, measure)) is not None]
        if len(errors) == len(costs) == len(seeds):
            curve.append((statistics.median(errors), statistics.median(costs)))
    return curve
