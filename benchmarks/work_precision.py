"""What does an error cost, by solvers made for gradient flow and by their peers?

    python benchmarks/work_precision.py                    everything: hours
    python benchmarks/work_precision.py --problems P1 P6 --solvers BDF Tsit5
    python benchmarks/work_precision.py --small            a smoke run: minutes
    python benchmarks/work_precision.py --report           from what was measured

Each run is a record, written as it ends to `results/work_precision.jsonl`; a record
that is there already is not measured again. `--small` keeps its own file and leaves
the README as it is.
"""

import argparse
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
from _methods import Method
from _problems import PROBLEMS, Case
from _records import REACHED, Record, append, read
from _references import digest, referenced
from _report import publish, report
from _solvers import SOLVERS, available

_HERE = Path(__file__).parent
# Once an error is this small, tighter tolerances answer no question that is asked.
_ENOUGH = 1e-9
# After so many runs in a row that took too long, tighter ones are not tried.
_PATIENCE = 2


def ladder(
    case: Case, name: str, limit: float, known: dict[tuple[str, str, float], Record]
) -> Iterator[tuple[Record, bool]]:
    """The runs of one solver on one case, loosest first, and whether each is new."""
    entry, mark, slow, method = SOLVERS[name], digest(case), 0, None
    for knob in entry.knobs:
        record = known.get((mark, name, knob))
        fresh = record is None
        if record is None:
            if method is None:
                # What another solver compiled is not to be had for nothing.
                jax.clear_caches()
                method = entry.make(case, limit)
            record = _measured(case, mark, name, method, knob)
        yield record, fresh
        slow = slow + 1 if record.status == "too slow" else 0
        small = record.error is not None and record.error < _ENOUGH
        if slow == _PATIENCE or (small and entry.family != "explicit"):
            return


def _measured(case: Case, mark: str, name: str, method: Method, knob: float) -> Record:
    solved = method(knob)
    error = case.error(solved.w) if solved.status in REACHED else math.inf
    return Record(
        problem=case.name,
        seed=case.seed,
        digest=mark,
        solver=name,
        knob=knob,
        status=solved.status,
        error=error if math.isfinite(error) else None,
        steps=solved.steps,
        gradients=solved.gradients,
        products=solved.products,
        seconds=solved.seconds,
        compile_seconds=solved.compile_seconds,
    )


def line(record: Record) -> str:
    """A record for the terminal."""
    error = "-" if record.error is None else f"{record.error:.2e}"
    cost = "-" if record.cost is None else f"{record.cost:,}"
    seconds = "-" if record.seconds is None else f"{record.seconds:.2f}"
    return (
        f"{record.problem:10} {record.seed} {record.solver:20} {record.knob:<8.0e} "
        f"error {error:9} ge {cost:>11} {seconds:>8} s  {record.status}"
    )


def measure(
    problems: Sequence[str],
    solvers: Sequence[str],
    seeds: Sequence[int],
    path: Path,
    *,
    small: bool,
    limit: float,
    retry: bool = False,
) -> None:
    """Run what is not on record yet, and put it there."""
    known = {
        record.key: record
        for record in read(path)
        if not (retry and record.status == "too slow")
    }
    for seed in seeds:
        for problem in problems:
            case = referenced(PROBLEMS[problem](seed, small=small))
            print(
                f"{problem} seed {seed}: {case.start.size} parameters, reference known "
                f"to {case.reference_spread:.1e}, sharpness {case.sharpness:.3g}, "
                f"load {os.getloadavg()[0]:.1f}"
            )
            for name in solvers:
                if not SOLVERS[name].feasible(case):
                    continue
                for record, fresh in ladder(case, name, limit, known):
                    if fresh:
                        append(path, record)
                        print(line(record), flush=True)


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS))
    parser.add_argument("--solvers", nargs="+", choices=list(SOLVERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--small", action="store_true", help="short; keeps no table")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds a run")
    parser.add_argument("--retry", action="store_true", help="what was too slow")
    parser.add_argument("--results", type=Path, help="another file of records")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, keep."""
    asked = _parsed(argv)
    jax.config.update("jax_enable_x64", True)
    # Compile times are to be those of a first use.
    jax.config.update("jax_enable_compilation_cache", False)
    kind = "work_precision_small" if asked.small else "work_precision"
    path: Path = asked.results or _HERE / "results" / f"{kind}.jsonl"
    if not asked.report:
        solvers: list[str] = asked.solvers or list(SOLVERS)
        absent = [name for name in solvers if not available(name)]
        if absent:
            print(f"not available here: {', '.join(absent)}")
        measure(
            asked.problems or list(PROBLEMS),
            [name for name in solvers if name not in absent],
            asked.seeds,
            path,
            small=asked.small,
            limit=asked.limit,
            retry=asked.retry,
        )
    order = list(PROBLEMS)
    records = sorted(read(path), key=lambda record: order.index(record.problem))
    print(report(records))
    if not asked.small and asked.results is None:
        publish(records, _HERE)


if __name__ == "__main__":
    main()
