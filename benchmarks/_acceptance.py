"""What the solvers were built to reach, held against what was measured."""

import dataclasses
from collections.abc import Iterable, Sequence

from _records import REACHED, Record, compiling, cost_at, median, points
from _solvers import SOLVERS

TARGETS = (1e-3, 1e-5, 1e-8)
STIFF = ("P1", "P2", "P3", "P5", "P6")
_COMPILE_LIMIT, _WRONG = 8.0, 100.0


@dataclasses.dataclass(frozen=True)
class Price:
    """What an error costs with a solver or the best of several; medians over seeds.

    None where it was not reached.
    """

    cost: float | None
    seconds: float | None


def price(
    records: Sequence[Record],
    problem: str,
    solvers: Iterable[str],
    target: float,
    seeds: Iterable[int] | None = None,
) -> Price:
    """The price of an error, the best of the solvers chosen seed by seed.

    **Arguments:**

    - `seeds`: those that count; by default all for which one of the solvers has run.
    """
    names = set(solvers)
    chosen = [r for r in records if r.problem == problem and r.solver in names]
    seeds = measured(records, problem, names) if seeds is None else seeds

    def at(measure: str) -> float | None:
        return median([_cheapest(chosen, seed, measure, target) for seed in seeds])

    return Price(at("cost"), at("seconds"))


def measured(
    records: Sequence[Record], problem: str, solvers: Iterable[str]
) -> set[int]:
    """The seeds of a problem for which one of the solvers has run."""
    names = set(solvers)
    return {r.seed for r in records if r.problem == problem and r.solver in names}


def _cheapest(
    records: Sequence[Record], seed: int, measure: str, target: float
) -> float | None:
    # Each solver is interpolated on its own: between the runs of two solvers there is
    # nothing.
    prices = [
        cost_at(points(runs, lambda r: getattr(r, measure)), target)
        for solver in dict.fromkeys(r.solver for r in records)
        if (runs := [r for r in records if (r.solver, r.seed) == (solver, seed)])
    ]
    return min((p for p in prices if p is not None), default=None)


def family(name: str) -> list[str]:
    """The solvers of a family."""
    return [solver for solver, entry in SOLVERS.items() if entry.family == name]


OWN = [name for name in family("own") if name != "Auto"]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A ratio of costs that must not exceed a bound; None where it was not measured.

    It is of medians over the seeds, so many, that both sides were measured on.
    """

    text: str
    ratio: float | None
    bound: float
    num_seeds: int

    @property
    def verdict(self) -> str:
        """Pass, FAIL, or not measured."""
        if self.ratio is None:
            return "not measured"
        return "pass" if self.ratio <= self.bound else "FAIL"


def claims(records: Sequence[Record], subject: Sequence[str]) -> list[Claim]:
    """What must hold of a solver, or of the best of several, as ratios of cost."""
    found: list[Claim] = []

    def add(
        problem: str, target: float, rivals: Sequence[str], rival: str, **bounds: float
    ) -> None:
        seeds = measured(records, problem, subject)
        seeds &= measured(records, problem, rivals)
        ours = price(records, problem, subject, target, seeds)
        theirs = price(records, problem, rivals, target, seeds)
        for measure, bound in bounds.items():
            a, b = getattr(ours, measure), getattr(theirs, measure)
            unit = "ge" if measure == "cost" else "time"
            text = f"{problem} at {target:.0e}: {unit} over that of {rival}"
            ratio = None if a is None or not b else a / b
            found.append(Claim(text, ratio, bound, len(seeds)))

    explicit, krylov = family("explicit"), family("cvode")
    for problem in ("P1", "P2", "P6"):
        add(problem, 1e-3, explicit, "explicit diffrax", cost=1 / 50, seconds=1 / 30)
    add("P5", 1e-3, explicit, "explicit diffrax", cost=1 / 30)
    add("P3", 1e-3, explicit, "explicit diffrax", cost=1 / 10)
    for target in TARGETS:
        add("P5-entropy", target, explicit, "explicit diffrax", cost=1.1)
    for problem in STIFF:
        for target in TARGETS[:2]:
            add(problem, target, krylov, "CVODE", cost=0.6, seconds=0.7)
        add(problem, TARGETS[2], krylov, "CVODE", cost=0.85)
    add("P5", 1e-3, ["Euler"], "Euler", cost=1 / 40)
    if list(subject) == ["Auto"]:
        for problem in sorted({r.problem for r in records}):
            for target in TARGETS:
                add(problem, target, OWN, "the best own", cost=1.5)
    return found


def wrong(records: Sequence[Record]) -> list[Record]:
    """Own runs that report success with an error above 100 times their tolerance."""
    return [
        r
        for r in records
        if SOLVERS[r.solver].family == "own"
        and r.status == "ok"
        and (r.error is None or r.error > _WRONG * r.knob)
    ]


def honesty(records: Sequence[Record], solver: str) -> list[str]:
    """How errors of successful runs follow the tolerance, and how many are none."""
    runs = [r for r in records if r.solver == solver]
    shares = [r.error / r.knob for r in runs if r.status == "ok" and r.error]
    if not shares:
        return []
    lines = [
        f"{len(shares)} successes of {solver}, errors {min(shares):.2g} to "
        f"{max(shares):.3g} times rtol"
    ]
    for knob in sorted({r.knob for r in runs}, reverse=True):
        at = [r for r in runs if r.knob == knob]
        failed = sum(r.status not in REACHED for r in at)
        if failed:
            lines.append(f"  no success at rtol {knob:g}: {failed} of {len(at)}")
    return lines


def slow_to_compile(records: Sequence[Record]) -> list[str]:
    """The own solvers that take above 8 s on a problem, medians over seeds."""
    lines: list[str] = []
    for solver in family("own"):
        mine = [r for r in records if r.solver == solver]
        for problem in dict.fromkeys(r.problem for r in mine):
            seconds = compiling([r for r in mine if r.problem == problem])
            if seconds is not None and seconds > _COMPILE_LIMIT:
                lines.append(f"  {solver} on {problem}: {seconds:.1f} s")
    return lines


def summary(records: Sequence[Record]) -> str:
    """All that must hold, with verdicts, as text."""
    lines: list[str] = []
    for title, subject in (("Auto", ["Auto"]), ("the best own solver", OWN)):
        lines.append(f"{title}:")
        found = claims(records, subject)
        lines += [
            f"  {claim.verdict:4} {claim.ratio:8.3g} (at most {claim.bound:.3g})  "
            f"{claim.text}, seeds: {claim.num_seeds}"
            for claim in found
            if claim.ratio is not None
        ]
        missing = sum(claim.ratio is None for claim in found)
        lines += [f"  not measured: {missing}"] if missing else []
    lines += honesty(records, "Auto")
    lines.append(f"success claimed with error above {_WRONG:g} x rtol:")
    lines += [
        f"  {r.solver} on {r.problem}, seed {r.seed}, rtol {r.knob:g}: {r.error}"
        for r in wrong(records)
    ] or ["  none"]
    lines.append(f"compiled for more than {_COMPILE_LIMIT:g} s:")
    lines += slow_to_compile(records) or ["  none"]
    return "\n".join(lines)
