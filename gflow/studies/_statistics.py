"""Means, shares and powers, with what is known of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

Interval = tuple[float, float]


def worst(values: Any) -> float:
    """The largest value; NaN if one is, or if there is none.

    `max` would lose a NaN, and with it the run that failed.
    """
    every = np.ravel(np.asarray(values, dtype=float))
    return float(np.max(every)) if every.size else float("nan")


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
    """Of independent values, NaN where a run failed: say how many, by `Mean.over`."""
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


@dataclasses.dataclass(frozen=True)
class Paired:
    """Mean of differences and Student's 95 % interval of it; nan where one is nan."""

    mean: float
    low: float
    high: float

    @property
    def interval(self) -> Interval | None:
        """(low, high), or None where they are no numbers."""
        return (self.low, self.high) if np.isfinite(self.mean) else None


def paired(differences: Float[np.ndarray, " n"], shared: float = 0.0) -> Paired:
    """Of n ≥ 2 differences, independent of each other unless they are of folds.

    Folds of cross-validation train on data that they share, and their mean varies more
    than independent ones say: by s² (1/n + `shared`) instead of s²/n, `shared` being
    test data over training data (Nadeau, Bengio 2003), 1/(k - 1) for k folds of which
    all others train.
    """
    from scipy.stats import t

    n = len(differences)
    mean = float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) * np.sqrt(1 / n + shared)
    half = float(t.ppf(0.975, n - 1)) * error
    return Paired(mean, mean - half, mean + half)


def bootstrap(
    values: Any, statistic: Callable[[Any], Any], num: int, seed: int
) -> tuple[float, Interval]:
    """A statistic of values, and its 95 % interval over resamples.

    NaN where a value is not finite, or there is none.
    """
    every = np.asarray(values)
    if len(every) == 0 or not np.all(np.isfinite(every)):
        return float("nan"), (float("nan"), float("nan"))
    rng = np.random.default_rng([seed, len(every)])
    picks = rng.integers(len(every), size=(num, len(every)))
    found = [float(statistic(every[pick])) for pick in picks]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(statistic(every)), (float(low), float(high))


def wilson(successes: Any, num: int) -> tuple[Any, Any]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    z = 1.959964
    p = np.asarray(successes, float) / num
    center = (p + z**2 / (2 * num)) / (1 + z**2 / num)
    half = z / (1 + z**2 / num) * np.sqrt(p * (1 - p) / num + z**2 / (4 * num**2))
    return np.maximum(center - half, 0.0), np.minimum(center + half, 1.0)


def order(x: Any, y: Any) -> float:
    """The exponent p of y ~ x^p, by least squares on the logarithms.

    NaN of fewer than two points.
    """
    if len(x) < 2:
        return float("nan")
    return float(np.polyfit(np.log(np.asarray(x)), np.log(np.asarray(y)), 1)[0])
