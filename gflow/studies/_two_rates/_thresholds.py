"""The width at which flows begin to converge, with an interval over seeds."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._statistics import Interval, bootstrap
from ._settings import Settings

# A kernel that moves by less than this may count as standing still.
LAZY = 0.1


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """At one ratio, each with its 95 % bootstrap interval over seeds.

    NaN where a seed does not converge at the largest width: its threshold is beyond.

    - `width`: geometric mean over seeds of the threshold width m*.
    - `all_width`: least width from which on all seeds converge, without interval; NaN
        if not even at the largest.
    - `num_beyond`, `num_below`: seeds that do not converge at the largest width, and
        that converge at all.
    - `drift`: median over seeds of the kernel's change at the first width above m*.
    - `lazy_factor`: geometric mean of (width at which the change falls to 10 %)/m*; a
        lower bound, as a seed that does not come there counts with the largest width.
    - `num_not_lazy`: how many seeds do not.
    - `firsts`: for each seed the first width above m*, and the kernel's change there.
    """

    ratio: float
    widths: tuple[float, ...]
    width: tuple[float, Interval]
    all_width: float
    num_beyond: int
    num_below: int
    drift: tuple[float, Interval]
    lazy_factor: tuple[float, Interval]
    num_not_lazy: int
    firsts: tuple[tuple[float, float], ...]

    def variables(self, prefix: str) -> dict[str, Any]:
        """For a dataset: value, low, high."""
        return {f"{prefix}_threshold_all_width": ((), self.all_width)} | {
            f"{prefix}_threshold_{name}": ("map_bound", [value, *interval])
            for name, (value, interval) in (
                ("width", self.width),
                ("drift", self.drift),
                ("lazy_factor", self.lazy_factor),
            )
        }


def main_ratio(ratios: Sequence[float]) -> float:
    """The ratio of the claims: 1 where it was asked for, or else the first."""
    return 1.0 if 1.0 in ratios else ratios[0]


def thresholds(dataset: Any, prefix: str, settings: Settings) -> Thresholds:
    """From a map, at its main ratio."""
    by_width = along_widths(dataset, prefix)
    converged, drift = by_width["converged"].values, by_width["drift"].values
    widths = by_width.width.values.astype(float)
    logs = np.array([_log_threshold(row, widths) for row in converged])
    firsts = np.array(
        [
            _first(row, drifts, widths)
            for row, drifts in zip(converged, drift, strict=True)
        ]
    )
    lazy = np.array([_log_lazy(row, widths) for row in drift])
    num = settings.num_resamples

    def of(values: Any, statistic: Any) -> tuple[float, Interval]:
        return bootstrap(values, statistic, num, seed=0)

    return Thresholds(
        main_ratio(settings.ratios),
        tuple(widths),
        width=of(logs, lambda v: np.exp(np.mean(v))),
        all_width=_all_width(converged, widths),
        num_beyond=int(np.sum(converged[:, -1] < 1)),
        num_below=int(np.sum((converged > 0).all(axis=1))),
        drift=of(firsts[:, 1], np.median),
        lazy_factor=of(lazy - logs, lambda v: np.exp(np.mean(v))),
        num_not_lazy=int(np.sum(~(drift[:, -1] <= LAZY))),
        firsts=tuple((float(width), float(moved)) for width, moved in firsts),
    )


def along_widths(dataset: Any, prefix: str) -> Any:
    """What is known of the flows at the main ratio, (seed, width), at rising widths.

    Those of the map and, under `wide_...`, those of the widths beside it.
    """
    import xarray

    here = dataset.sel(map_ratio=main_ratio(dataset.map_ratio.values.tolist()))
    wide = prefix.replace("map", "wide")
    found = {
        name: xarray.concat(
            [
                here[f"{prefix}_{name}"].rename(map_width="width"),
                dataset[f"{wide}_{name}"].rename(wide_width="width"),
            ],
            "width",
        )
        for name in ("converged", "loss", "drift", "flips")
    }
    return xarray.Dataset(found).sortby("width").transpose("map_seed", "width")


def _log_threshold(converged: Any, widths: Any) -> float:
    """Log of the geometric mean of the last width that fails and the next.

    A seed that fails at none counts with the least width: its threshold is lower. Of
    one that fails at the largest it is not known: NaN.
    """
    failed = np.flatnonzero(converged < 1)
    if len(failed) == 0:
        return float(np.log(widths[0]))
    last = failed[-1]
    if last == len(widths) - 1:
        return float("nan")
    return float(0.5 * np.log(widths[last] * widths[last + 1]))


def _all_width(converged: Any, widths: Any) -> float:
    """The first width after the last at which a seed fails."""
    failed = np.flatnonzero((converged < 1).any(axis=0))
    first = failed[-1] + 1 if len(failed) else 0
    return float(widths[first]) if first < len(widths) else float("nan")


def _first(converged: Any, drift: Any, widths: Any) -> tuple[float, float]:
    """The first width from which on all converge, and the kernel's change there."""
    failed = np.flatnonzero(converged < 1)
    first = failed[-1] + 1 if len(failed) else 0
    return (widths[first], drift[first]) if first < len(drift) else (np.nan, np.nan)


def _log_lazy(drift: Any, widths: Any) -> float:
    """Log of the width at which the change falls to 10 %, by a line in log and log."""
    above = np.flatnonzero(~(drift <= LAZY))
    if len(above) == 0:
        return float(np.log(widths[0]))
    last = above[-1]
    if last == len(widths) - 1 or not np.isfinite(drift[last]):
        return float(np.log(widths[min(last + 1, len(widths) - 1)]))
    x, y = np.log(widths[last : last + 2]), np.log(drift[last : last + 2])
    return float(np.interp(-np.log(LAZY), -y, x))
