"""Means over instances, with how many went in and Student's interval."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from .._statistics import Interval, paired


@dataclasses.dataclass(frozen=True)
class Mean:
    """Mean of the finite values, and Student's 95 % interval of it.

    Of one value the interval is everything; of none the mean is NaN too.
    """

    mean: float
    interval: Interval
    count: int
    num: int

    @property
    def over(self) -> str:
        """For a statement: over how many instances the mean is."""
        of = "" if self.count == self.num else f" of {self.num}"
        return f"mean over {self.count}{of} instances, 95 % interval"

    @property
    def undecided(self) -> str:
        """For a note: that the interval holds 0, if it does."""
        low, high = self.interval
        if low <= 0 <= high:
            return f"The interval holds 0: {self.count} instances do not decide it."
        return ""


def mean_of(values: Any) -> Mean:
    """Of independent values, NaN where a run failed."""
    every = np.ravel(np.asarray(values, dtype=float))
    finite = every[np.isfinite(every)]
    if len(finite) < 2:
        mean = float(finite[0]) if len(finite) else float("nan")
        return Mean(mean, (-np.inf, np.inf), len(finite), len(every))
    found = paired(finite)
    return Mean(found.mean, (found.low, found.high), len(finite), len(every))


def half_width(values: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "..."]:
    """Half of Student's 95 % interval of the mean over the first axis, n ≥ 2."""
    from scipy.stats import t

    n = len(values)
    return t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / n**0.5
