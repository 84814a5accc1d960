"""What does gradient flow cost at equal error, with gflow and by other means?

    python benchmarks/flow_p1.py            the full table, some minutes
    python benchmarks/flow_p1.py --quick    a short horizon, under a minute, not kept

Each method is run over a grid of its knob, the cheapest setting that reaches a target
error is kept, and that one is timed.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffrax
import jax
import numpy as np
from _methods import (
    Case,
    Method,
    Solved,
    cases,
    descent,
    flow,
    flow_count,
    scipy_method,
)
from _table import Row, Trial, conditions, table, write

from gflow.solvers import Auto

_HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Effort:
    """How hard to look: horizon, target errors, tolerances tried, longest descent."""

    t1: float = 1e3
    targets: Sequence[float] = (1e-3, 1e-5, 1e-7)
    rtols: Sequence[float] = tuple(10 ** (-k / 2) for k in range(2, 21))
    max_descent: int = 5_000_000
    repeats: int = 5


QUICK = Effort(10.0, (1e-2, 1e-4), tuple(10.0**-k for k in range(2, 7)), 30_000, 1)


def measure(case: Case, effort: Effort) -> tuple[list[Row], dict[str, list[Trial]]]:
    """All rows of a problem, and every setting tried on the way."""
    kvaerno = diffrax.Kvaerno5()
    tuned: dict[str, tuple[Method, Any]] = {
        "gflow (Auto)": (flow(case, Auto()), None),
        "gflow (Tsit5)": (flow(case, diffrax.Tsit5()), None),
        "gflow (Kvaerno5)": (flow(case, kvaerno), kvaerno),
        "scipy LSODA": (scipy_method(case, "LSODA"), None),
        "scipy BDF": (scipy_method(case, "BDF"), None),
    }
    rows: list[Row] = []
    trials: dict[str, list[Trial]] = {}
    for name, (method, to_count) in tuned.items():
        blank = Row(case.name, name, 0.0, compile_seconds=compile_time(method, 1e-3))
        trials[name] = [tried(case, method, rtol) for rtol in effort.rtols]
        for target in effort.targets:
            row = dataclasses.replace(blank, target=target)
            rows.append(_tuned(case, method, to_count, trials[name], row, effort))
    name = "gradient descent"
    method = descent(case)
    blank = Row(case.name, name, 0.0, compile_seconds=compile_time(method, 1000))
    trials[name] = ladder(case, method, effort.max_descent)
    for target in effort.targets:
        row = dataclasses.replace(blank, target=target)
        rows.append(_descended(case, method, trials[name], row, effort))
    return _with_ratios(rows), trials


def compile_time(method: Method, knob: float) -> float:
    """Seconds that a first call takes beyond a second one."""
    jax.clear_caches()
    return max(_seconds(method, knob) - _seconds(method, knob), 0.0)


def _seconds(method: Method, knob: float) -> float:
    clock = time.perf_counter()
    method(knob)
    return time.perf_counter() - clock


def timed(method: Method, knob: float, repeats: int) -> float:
    """Median time of the whole call, compiled before."""
    return statistics.median(_seconds(method, knob) for _ in range(repeats))


def tried(case: Case, method: Method, knob: float) -> Trial:
    """Error and work at one setting."""
    solved: Solved = method(knob)
    work = solved.steps if solved.gradients is None else solved.gradients
    return Trial(knob, case.error(solved.w), work)


def _tuned(
    case: Case, method: Method, solver: Any, trials: list[Trial], row: Row, e: Effort
) -> Row:
    enough = [trial for trial in trials if trial.error <= row.target]
    if not enough:
        return row
    best = min(enough, key=lambda trial: trial.work)
    gradients, hvps = best.work, 0
    if solver is not None:
        count = flow_count(case, solver, best.knob)
        gradients, hvps = count.gradients, count.hvps
    return dataclasses.replace(
        row,
        error=best.error,
        setting=f"rtol {best.knob:.1e}",
        gradients=gradients,
        hvps=hvps,
        seconds=timed(method, best.knob, e.repeats),
    )


def ladder(case: Case, method: Method, longest: int) -> list[Trial]:
    """Gradient descent with ever more steps, twice as many each time."""
    nums = [1000]
    while 2 * nums[-1] <= longest:
        nums.append(2 * nums[-1])
    return [tried(case, method, num) for num in nums]


def steps_for(rungs: list[Trial], target: float) -> tuple[float, float]:
    """The steps that a target takes, and the order of convergence they rest on.

    The order is the one between the two rungs around the target, or between the last
    two if it lies beyond; one part in a hundred is added to be on the safe side.
    """
    reached = [i for i, rung in enumerate(rungs) if rung.error <= target]
    i = max(reached[0], 1) if reached else len(rungs) - 1
    coarse, fine = rungs[i - 1], rungs[i]
    p = float(np.log(coarse.error / fine.error) / np.log(fine.knob / coarse.knob))
    return 1.01 * fine.knob * (fine.error / target) ** (1 / p), p


def _descended(
    case: Case, method: Method, rungs: list[Trial], row: Row, effort: Effort
) -> Row:
    """Gradient descent at a target, extrapolated if that takes too many steps."""
    steps, p = steps_for(rungs, row.target)
    if not (p > 0 and np.isfinite(steps)):
        return row
    num = int(steps) + 1
    eta = f"eta {case.t1 / num:.1e}"
    if num <= effort.max_descent:
        return dataclasses.replace(
            row,
            error=tried(case, method, num).error,
            setting=eta,
            gradients=num,
            seconds=timed(method, num, effort.repeats),
        )
    last = rungs[-1].knob
    return dataclasses.replace(
        row,
        setting=f"{eta}, extrapolated: order {p:.2f}",
        gradients=num,
        seconds=timed(method, last, 1) * num / last,
        extrapolated=True,
    )


def _with_ratios(rows: list[Row]) -> list[Row]:
    base = {row.target: row for row in rows if row.method == "gflow (Auto)"}

    def ratio(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a / b

    return [
        dataclasses.replace(
            row,
            cost_ratio=ratio(row.cost, base[row.target].cost),
            seconds_ratio=ratio(row.seconds, base[row.target].seconds),
        )
        for row in rows
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short; writes nothing")
    quick = parser.parse_args(argv).quick
    jax.config.update("jax_enable_x64", True)
    effort = QUICK if quick else Effort()
    rows: list[Row] = []
    tried_all: dict[str, Any] = {}
    spreads: dict[str, float] = {}
    for case in cases(effort.t1):
        found, trials = measure(case, effort)
        rows += found
        tried_all[case.name] = {
            name: [trial.plain() for trial in some] for name, some in trials.items()
        }
        assert case.reference_spread is not None
        spreads[case.name] = case.reference_spread
    print(table(rows))
    if not quick:
        record = {
            "conditions": conditions(),
            "effort": dataclasses.asdict(effort),
            "reference_spread": spreads,
            "rows": [dataclasses.asdict(row) for row in rows],
            "trials": tried_all,
        }
        write(_HERE / "results" / "flow_p1.json", _HERE / "README.md", rows, record)


if __name__ == "__main__":
    main()
