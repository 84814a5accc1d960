"""A claim of a paper as an executable check."""

import dataclasses
import math
from typing import Any, Literal, get_args

Kind = Literal["relative", "absolute", "at_most", "at_least", "factor"]


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a source says, what was measured, and whether the two agree.

    With measured value m, expected value e and tolerance τ the claim holds if

        relative:  |m - e| ≤ τ |e|         at_most:   m ≤ e + τ
        absolute:  |m - e| ≤ τ             at_least:  m ≥ e - τ
        factor:    1/τ ≤ m/e ≤ τ

    and never if m or τ is NaN. Of a measurement with an interval, the end that is worse
    for the claim stands for m in a bound.

    **Arguments:**

    - `name`: short, the same in every run, so that runs can be compared.
    - `statement`: one sentence for a reader who has not seen the code.
    - `source`: author, year, equation or table, or what it was derived from.
    - `expected`, `measured`, `tolerance`, `kind`: as above.
    - `interval`: (low, high) around the measured value, at the level that the statement
        names, or None.
    - `note`: the reason found why it fails, recorded only where it does.

    **Raises:** `ValueError` if the kind is unknown, or the expected value or the
    tolerance cannot decide anything (not finite, a negative tolerance, a factor < 1),
    or the interval is not one. A tolerance that was measured may be NaN, as what was
    measured may.

    ```python
    >>> from gflow.studies import Claim
    >>> claim = Claim("slope", "The gap is of first order.", "Hairer 1993",
    ...               expected=1.0, measured=1.02, tolerance=0.05, kind="absolute")
    >>> claim.holds
    True

    ```
    """

    name: str
    statement: str
    source: str
    expected: float
    measured: float
    tolerance: float = 0.0
    kind: Kind = "absolute"
    interval: tuple[float, float] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = ", ".join(get_args(Kind))
            raise ValueError(f"a claim's kind is one of {kinds}, not {self.kind!r}")
        # 0-d arrays come in from jax and numpy; a claim keeps plain numbers.
        for field in ("expected", "measured", "tolerance"):
            object.__setattr__(self, field, float(getattr(self, field)))
        if not math.isfinite(self.expected):
            raise ValueError(f"claim {self.name!r} expects {self.expected}")
        least = 1.0 if self.kind == "factor" else 0.0
        if self.tolerance < least or self.tolerance == math.inf:
            raise ValueError(f"claim {self.name!r} has tolerance {self.tolerance}")
        if self.interval is not None:
            low, high = map(float, self.interval)
            if not low <= high:
                raise ValueError(f"claim {self.name!r} has interval {low} to {high}")
            object.__setattr__(self, "interval", (low, high))

    @property
    def holds(self) -> bool:
        """The verdict."""
        m, e, tau = self.measured, self.expected, self.tolerance
        low, high = self.interval or (m, m)
        # Each comparison is false for m = NaN; no negation may stand before one.
        match self.kind:
            case "relative":
                return abs(m - e) <= tau * abs(e)
            case "absolute":
                return abs(m - e) <= tau
            case "at_most":
                return m <= e + tau and high <= e + tau
            case "at_least":
                return m >= e - tau and low >= e - tau
            case "factor":
                return e != 0 and 1 / tau <= m / e <= tau

    def record(self) -> dict[str, Any]:
        """The claim as plain data, with its verdict and its numbers as shown."""
        return {
            **dataclasses.asdict(self),
            "note": "" if self.holds else self.note,
            "holds": self.holds,
            "shown": {
                "expected": self._shown_expected(),
                "measured": self._shown_measured(),
                "tolerance": self._shown_tolerance(),
            },
        }

    def _shown_expected(self) -> str:
        sign = {"at_most": "≤ ", "at_least": "≥ "}.get(self.kind, "")
        # Of a bound, the value that decides.
        margin = {"at_most": self.tolerance, "at_least": -self.tolerance}
        return f"{sign}{self._shown(self.expected + margin.get(self.kind, 0.0))}"

    def _shown_measured(self) -> str:
        shown = self._shown(self.measured)
        if self.interval is None:
            return shown
        low, high = map(self._shown, self.interval)
        return f"{shown} ({low} to {high})"

    def _shown(self, value: float) -> str:
        # As many digits as the tolerance can tell apart.
        tight = self.kind == "absolute" and 0 < self.tolerance < 1e-4
        return f"{value:.7g}" if tight else f"{value:.4g}"

    def _shown_tolerance(self) -> str:
        if self.kind == "relative":
            return f"{100 * self.tolerance:.3g} %"
        if self.kind == "factor":
            return f"factor {self.tolerance:.3g}"
        return f"{self.tolerance:.3g}" if self.tolerance else "none"
