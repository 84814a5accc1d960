"""What was measured, a record a run, and what reaching an error costs."""

import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

# What a run that got to the end is called, with and without a claim to its tolerance.
REACHED = ("ok", "qualified")


@dataclasses.dataclass(frozen=True)
class Record:
    """One run of a solver.

    `error` is None if it is not finite or the run did not reach the end; `products`
    are exact; `steps` is None where the solver does not tell. `digest` names the
    problem to the last bit.
    """

    problem: str
    seed: int
    digest: str
    solver: str
    knob: float
    status: str
    error: float | None
    steps: int | None
    gradients: int | None
    products: int
    seconds: float | None
    compile_seconds: float | None

    @property
    def key(self) -> tuple[str, str, float]:
        """What makes it the same run."""
        return self.digest, self.solver, self.knob

    @property
    def cost(self) -> float | None:
        """In gradients, a product counted as two; None if not counted."""
        return None if self.gradients is None else self.gradients + 2 * self.products


def read(path: Path) -> list[Record]:
    """The records of a file of json lines, none if there is no file.

    A last line that a killed run left unfinished is dropped; of a run measured twice
    the later record counts.
    """
    records: list[Record] = []
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for i, line in enumerate(lines):
        try:
            records.append(Record(**json.loads(line)))
        except json.JSONDecodeError:
            if i < len(lines) - 1:
                raise
            path.write_text("".join(f"{kept}\n" for kept in lines[:-1]))
    return list({record.key: record for record in records}.values())


def append(path: Path, record: Record) -> None:
    """Add a record, at once on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(record), allow_nan=False) + "\n")


Point = tuple[float, float]


def points(
    records: Iterable[Record], cost: Callable[[Record], float | None]
) -> list[Point]:
    """(error, cost) of the runs that reached the end."""
    return [
        (r.error, price)
        for r in records
        if r.status in REACHED
        and r.error is not None
        and (price := cost(r)) is not None
    ]


def envelope(found: Iterable[Point]) -> list[Point]:
    """The points that no other beats in both, smallest error first, cost falling."""
    kept: list[Point] = []
    for error, cost in sorted(found):
        if not kept or cost < kept[-1][1]:
            kept.append((error, cost))
    return kept


def cost_at(found: Iterable[Point], target: float) -> float | None:
    """The cost of reaching an error, between two points of the envelope log-log.

    Never extrapolated: None if no point reaches the error. If every point does, the
    cost of the cheapest, which bounds it from above.
    """
    kept = envelope(found)
    below = [point for point in kept if point[0] <= target]
    if not below:
        return None
    if len(below) == len(kept) or below[-1][0] == target:
        return below[-1][1]
    (e0, c0), (e1, c1) = below[-1], kept[len(below)]
    if e0 <= 0:
        return c0
    share = math.log(target / e0) / math.log(e1 / e0)
    return c0 * (c1 / c0) ** share


def median(costs: Sequence[float | None]) -> float | None:
    """The median over seeds; None where it falls on a seed that did not get there."""
    if not costs:
        return None
    middle = statistics.median_high(math.inf if c is None else c for c in costs)
    if math.isinf(middle):
        return None
    return statistics.median(math.inf if c is None else c for c in costs)


def compiling(records: Sequence[Record]) -> float | None:
    """The median over seeds of the seconds to compile; None if none are known."""
    seconds = {r.seed: r.compile_seconds for r in records}
    known = [s for s in seconds.values() if s is not None]
    return statistics.median(known) if known else None
