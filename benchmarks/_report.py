"""The table of costs, the verdicts and the figures, from the records alone."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from _acceptance import OWN, TARGETS, claims, price, summary
from _figures import draw
from _records import Record, compiling
from _solvers import SOLVERS
from _table import aligned, conditions, fill


def costs(records: Sequence[Record]) -> str:
    """Cost and seconds at each target, a row for each problem and solver."""
    heads = ["problem", "solver"]
    heads += [f"ge at {target:.0e}" for target in TARGETS]
    heads += [f"s at {target:.0e}" for target in TARGETS]
    rows = [[*heads, "compile s", "seeds"]]
    for problem in dict.fromkeys(r.problem for r in records):
        for solver in SOLVERS:
            chosen = [r for r in records if (r.problem, r.solver) == (problem, solver)]
            if chosen:
                rows.append(_row(chosen, problem, solver))
    return aligned(rows)


def _row(chosen: Sequence[Record], problem: str, solver: str) -> list[str]:
    prices = [price(chosen, problem, [solver], target) for target in TARGETS]
    return [
        problem,
        solver,
        *(_shown(p.cost, ",.0f") for p in prices),
        *(_shown(p.seconds, ".2g") for p in prices),
        _shown(compiling(chosen), ".1f"),
        str(len({r.seed for r in chosen})),
    ]


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def report(records: Sequence[Record]) -> str:
    """The table and the verdicts."""
    return f"{costs(records)}\n\n{summary(records)}"


def publish(records: Sequence[Record], folder: Path) -> None:
    """The summary as json, the table and the verdicts in the README, the figures."""
    plain = {
        "conditions": conditions(),
        "claims": {
            name: [
                {**dataclasses.asdict(claim), "verdict": claim.verdict}
                for claim in claims(records, subject)
            ]
            for name, subject in (("Auto", ["Auto"]), ("best own", OWN))
        },
        "prices": {
            problem: {
                solver: {
                    f"{target:.0e}": dataclasses.asdict(
                        price(records, problem, [solver], target)
                    )
                    for target in TARGETS
                }
                for solver in dict.fromkeys(r.solver for r in records)
            }
            for problem in dict.fromkeys(r.problem for r in records)
        },
    }
    path = folder / "results" / "work_precision.json"
    path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    draw(records, folder / "figures", "work_precision")
    text = f"{costs(records)}\n\n```\n{summary(records)}\n```"
    fill(folder / "README.md", text, "work-precision")
