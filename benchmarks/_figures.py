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

# Own solvers stand out; a color for each solver, a line style for each family.
_STYLES = {"own": "-", "explicit": "--", "dense": ":", "cvode": "-.", "fixed": ":"}
_MARKERS = {"own": "o", "explicit": "s", "dense": "^", "cvode": "D", "fixed": "x"}
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
    colors = dict(zip(SOLVERS, plt.get_cmap("tab20")(range(20)), strict=False))
    handles: dict[str, Any] = {}
    for ax, problem in zip(axes.flat, problems, strict=False):
        for solver in present:
            chosen = [r for r in records if (r.problem, r.solver) == (problem, solver)]
            curve = _curve(chosen, measure)
            if not curve:
                continue
            kind = SOLVERS[solver].family
            (handles[solver],) = ax.loglog(
                *zip(*curve, strict=True),
                _STYLES[kind],
                marker=_MARKERS[kind],
                color=colors[solver],
                linewidth=2.5 if kind == "own" else 1.2,
                markersize=5,
                label=solver,
            )
        ax.set_title(problem)
        ax.set_xlim(_CEILING, _FLOOR)
        ax.set_xlabel("relative error at t1")
        ax.set_ylabel(label)
        ax.grid(alpha=0.3)
    for ax in list(axes.flat)[len(problems) :]:
        ax.axis("off")
    figure.legend(
        handles.values(), handles, loc="upper center", ncols=5, bbox_to_anchor=(0.5, 0)
    )
    figure.tight_layout()
    return figure


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
