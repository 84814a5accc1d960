"""The rows of a benchmark as a table, as json and in the README."""

import dataclasses
import datetime
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffrax
import jax
import numpy as np
import scipy

import gflow as gf

BEGIN, END = "<!-- table begins -->", "<!-- table ends -->"


@dataclasses.dataclass(frozen=True)
class Row:
    """The cheapest way that a method has to reach a target error.

    `cost` is gradients + 2 Hessian-vector products; `cost_ratio` and `seconds_ratio`
    are over gflow's default at the same target. None where nothing tried reached it.
    """

    problem: str
    method: str
    target: float
    error: float | None = None
    setting: str = "not reached"
    gradients: int | None = None
    hvps: int = 0
    seconds: float | None = None
    compile_seconds: float | None = None
    extrapolated: bool = False
    cost_ratio: float | None = None
    seconds_ratio: float | None = None

    @property
    def cost(self) -> int | None:
        """In gradients; a product by automatic differentiation is worth two."""
        return None if self.gradients is None else self.gradients + 2 * self.hvps


@dataclasses.dataclass(frozen=True)
class Trial:
    """One setting of a method, tried: what it cost, and the error it left."""

    knob: float
    error: float
    work: int

    def plain(self) -> dict[str, float | None]:
        """For json, which knows no infinity."""
        error = self.error if np.isfinite(self.error) else None
        return {"knob": self.knob, "error": error, "work": self.work}


_HEADS = (
    "problem",
    "method",
    "target",
    "error",
    "setting",
    "gradients",
    "HVPs",
    "× default",
    "seconds",
    "× default",
    "compile s",
)


def table(rows: Sequence[Row]) -> str:
    """The rows, aligned; what does not depend on the machine comes first."""
    return aligned([_HEADS, *(_cells(row) for row in rows)])


def aligned(cells: Sequence[Sequence[str]]) -> str:
    """A table in markdown, its first line the heads."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    about = "~" if row.extrapolated else ""

    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else f"{about}{value:{form}}"

    compiling = "-" if row.compile_seconds is None else f"{row.compile_seconds:.1f}"
    return (
        row.problem,
        row.method,
        f"{row.target:.0e}",
        shown(row.error, ".1e"),
        row.setting,
        shown(row.gradients, ",d" if not row.extrapolated else ".1e"),
        f"{row.hvps:,d}",
        shown(row.cost_ratio, ".2g"),
        shown(row.seconds, ".2g"),
        shown(row.seconds_ratio, ".2g"),
        compiling,
    )


def conditions() -> dict[str, str]:
    """When, with which versions and on what the numbers were taken."""
    names = {"gflow": gf, "jax": jax, "diffrax": diffrax, "scipy": scipy, "numpy": np}
    return {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        **{name: str(module.__version__) for name, module in names.items()},
        "machine": f"{platform.machine()} {jax.default_backend()}",
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def write(results: Path, readme: Path, rows: Sequence[Row], record: Any) -> None:
    """Keep the record as json, and the table between the marks of the README."""
    results.parent.mkdir(exist_ok=True)
    text = json.dumps(record, indent=1, allow_nan=False)
    results.write_text(text + "\n", encoding="utf-8")
    fill(readme, table(rows))


def fill(readme: Path, text: str, name: str = "table") -> None:
    """Put a text, and when and where it was taken, between marks of the README."""
    begin, end = (f"<!-- {name} {word} -->" for word in ("begins", "ends"))
    head, rest = readme.read_text(encoding="utf-8").split(begin)
    tail = rest.split(end)[1]
    taken = ", ".join(f"{key} {value}" for key, value in conditions().items())
    page = f"{head}{begin}\n{text}\n\nTaken: {taken}.\n{end}{tail}"
    readme.write_text(page, encoding="utf-8")
