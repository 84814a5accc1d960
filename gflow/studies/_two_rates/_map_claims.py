"""What the maps are claimed to show."""

from typing import Any

import numpy as np

from .._claim import Claim
from ._settings import Settings
from ._thresholds import Thresholds

_SOURCE = "computed for this project from seeds 0 to 3, draw order X, y, W, a"
_PAPER = "Razborov 2022: convergence extends well beyond the NTK regime"
# Ratio and width: how many of seeds 0 to 3 come to zero loss, at n = 50, d = 10.
_COUNTS = {
    (1.0, 4): 0,
    (1.0, 8): 3,
    (1.0, 16): 4,
    (0.0, 16): 3,
    (0.0, 32): 4,
}
# Width: median of the losses at which flows that do not converge rest; both rates 1.
_STUCK = {4: 2.5}
# Width: change of the kernel, and of activations, at zero loss; both rates 1. The
# means agree with these numbers to their digits, the medians do not.
_DRIFTS = {16: 2.45, 64: 0.52, 128: 0.20}
_FLIPS = {16: 0.16}


def map_claims(
    settings: Settings, num_samples: int, dataset: Any, found: Thresholds
) -> tuple[Claim, ...]:
    """The reference numbers where they apply, and the boundary."""
    prefix = f"map_{num_samples}"
    claims: list[Claim] = []
    is_reference = (num_samples, settings.dim) == (50, 10) and settings.num_seeds >= 4
    plain = (settings.labels, settings.initialization) == ("gaussian", "lecun")
    if is_reference and plain:
        four = dataset.isel(map_seed=slice(0, 4))
        claims += _counts(four, prefix, settings)
        if 1.0 in settings.ratios:
            claims += _numbers(four.sel(map_ratio=1.0), prefix, settings)
    claims += _boundary(settings, num_samples, found)
    claims.append(_invariants(settings, num_samples, dataset, prefix))
    if settings.frozen_first:
        claims.append(_rank(num_samples, dataset, prefix))
    return tuple(claims)


def _counts(four: Any, prefix: str, settings: Settings) -> list[Claim]:
    claims: list[Claim] = []
    for (ratio, width), count in _COUNTS.items():
        if ratio not in settings.ratios or width not in settings.widths:
            continue
        here = four.sel(map_ratio=ratio, map_width=width)
        found = float(here[f"{prefix}_converged"].sum())
        claims.append(
            Claim(
                f"count-m{width}-ratio{ratio:g}",
                f"Flows that come to zero loss, of four: n = 50, d = 10, width "
                f"{width}, rate ratio {ratio:g}.",
                _SOURCE,
                expected=count,
                measured=found,
                note="" if found == count else _when(here, prefix),
            )
        )
    return claims


def _when(here: Any, prefix: str) -> str:
    """How a count comes about: a late flow counts, and one that had a choice."""
    times = ", ".join(f"{time:.3g}" for time in here[f"{prefix}_time"].values)
    choices = here[f"{prefix}_undetermined"].values
    return (
        f"Times to zero loss by seed: {times} (nan: not within the budget). Kinks at "
        f"which the flow was not unique: {', '.join(f'{c:g}' for c in choices)}. A "
        "count differs where the horizon is shorter than the last time, or another way "
        "is taken at such a kink."
    )


def _numbers(four: Any, prefix: str, settings: Settings) -> list[Claim]:
    """Given with two digits; where a flow is stopped moves them a little too."""
    claims: list[Claim] = []
    at_zero = "at zero loss"
    kernel = f"change of the kernel |K(T) - K(0)|/|K(0)| {at_zero}"
    for name, numbers, how, what, tolerance in (
        ("loss", _STUCK, "median", "loss where flows come to rest", 0.05),
        ("drift", _DRIFTS, "mean", kernel, 0.03),
        ("flips", _FLIPS, "mean", f"share of activations flipped {at_zero}", 0.05),
    ):
        for width, expected in numbers.items():
            if width not in settings.widths:
                continue
            here = four[f"{prefix}_{name}"].sel(map_width=width)
            claims.append(
                Claim(
                    f"{name}-m{width}",
                    f"{how.capitalize()} over seeds 0 to 3 of the {what}: width "
                    f"{width}, both rates 1.",
                    _SOURCE,
                    expected=expected,
                    measured=float(getattr(here, how)()),
                    tolerance=tolerance,
                    kind="relative",
                )
            )
    return claims


def _boundary(settings: Settings, n: int, found: Thresholds) -> list[Claim]:
    per_width = (settings.dim + 1) / n
    width, interval = found.width
    claims = [
        Claim(
            f"boundary-parameters-n{n}",
            f"Parameters per example, m(d+1)/n, at the width from which on flows "
            f"converge (n = {n}, ratio {found.ratio:g}): geometric mean over seeds, "
            "with its 95 % bootstrap interval, is at most 4.",
            "computed for this project: zero loss comes at m(d+1)/n of 2 to 4",
            expected=4.0,
            measured=width * per_width,
            interval=(interval[0] * per_width, interval[1] * per_width),
            kind="at_most",
        ),
        Claim(
            f"boundary-drift-n{n}",
            f"At that width (n = {n}) the kernel changes by more than its own size: "
            "median over seeds, 95 % bootstrap interval.",
            _PAPER,
            expected=1.0,
            measured=found.drift[0],
            interval=_known(found.drift[1]),
            kind="at_least",
        ),
    ]
    # Where no net was wide enough to tell, nothing is claimed.
    if max(settings.widths) >= 8 * width:
        claims.append(_factor(settings, n, found))
    return claims


def _known(interval: tuple[float, float]) -> tuple[float, float] | None:
    """None for that of a value that nothing was measured of."""
    return interval if np.all(np.isfinite(interval)) else None


def _factor(settings: Settings, n: int, found: Thresholds) -> Claim:
    return Claim(
        f"boundary-factor-n{n}",
        "The width at which the kernel changes by less than 10 % is many times that "
        f"from which on flows converge (n = {n}): geometric mean over seeds of the "
        "factor, 95 % bootstrap interval. Seeds that do not come to 10 % count with "
        f"the largest width, {max(settings.widths)}.",
        _PAPER,
        expected=5.0,
        measured=found.lazy_factor[0],
        interval=_known(found.lazy_factor[1]),
        kind="at_least",
    )


def _invariants(settings: Settings, n: int, dataset: Any, prefix: str) -> Claim:
    return Claim(
        f"map-invariants-n{n}",
        f"Every neuron's invariant in every flow of the map, n = {n}: largest relative "
        f"drift, at most ten times the tolerance of {settings.rtol:g}.",
        "Razborov 2022",
        expected=0.0,
        measured=float(np.nanmax(dataset[f"{prefix}_invariant"], initial=0.0)),
        tolerance=10 * settings.rtol,
        kind="at_most",
    )


def _rank(n: int, dataset: Any, prefix: str) -> Claim:
    """With the first layer frozen, K₂ has rank at most m."""
    frozen = dataset.sel(map_ratio=np.inf)
    narrow = frozen.isel(map_width=np.flatnonzero(dataset.map_width.values < n))
    return Claim(
        f"frozen-first-n{n}",
        f"With the first layer frozen no net narrower than n = {n} comes to zero loss: "
        "how many do.",
        "derived: a linear model of m < n parameters",
        expected=0.0,
        measured=float(narrow[f"{prefix}_converged"].sum()),
    )
