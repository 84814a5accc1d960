"""Differences of pairs, with the interval of their mean."""

import dataclasses

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Paired:
    """Mean of differences and Student's 95 % interval of it; nan where one is nan."""

    mean: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high), or None where they are no numbers."""
        return (self.low, self.high) if np.isfinite(self.mean) else None


def paired(differences: Float[np.ndarray, " n"]) -> Paired:
    """Of n ≥ 2 differences that are independent of each other."""
    from scipy.stats import t

    n = len(differences)
    mean = float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) / np.sqrt(n)
    half = float(t.ppf(0.975, n - 1)) * error
    return Paired(mean, mean - half, mean + half)
