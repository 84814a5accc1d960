"""What the least squares sweep is held against."""

from typing import Any

import numpy as np

from .._claim import Claim
from .._statistics import mean_of
from ._settings import Settings, as_published

_SOURCE = "Huh et al. 2021, figure of least squares: effective rank at convergence"
# (target, depth) -> effective rank at the end of training.
PUBLISHED = {
    ("full rank", 1): 3.23,
    ("full rank", 32): 2.17,
    ("low rank", 1): 2.45,
    ("low rank", 32): 2.01,
}
# What the instances depend on. The paper does not say; these are calibrated.
_GIVEN = "dim rank sweep_samples gain t1 fitted"
# Spread of the five instances that the figure shows at each depth.
_TOLERANCE = 0.1
# target -> its effective rank, and two standard deviations over 300 targets drawn here.
_TARGETS = {"full rank": (3.23, 0.025), "low rank": (2.07, 0.034)}
_TARGET_NOTE = (
    "No map of rank 8 has more than log 8 = 2.079: the singular "
    "values of the paper's target are nearly equal, and how it was made is not said."
)


def claims(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    """Ranks of targets and at the end, whether all fitted, and what falls."""
    # A stop is located inside a step, to a part in a hundred at worst.
    fitted = dataset["sweep_loss"] <= 1.01 * settings.fitted
    found: list[Claim] = []
    if as_published(settings, "dim rank"):
        found += [_target(dataset, target) for target in _TARGETS]
    for (target, depth), expected in PUBLISHED.items():
        # Depth 1 tests nothing: the number of samples was chosen so that it agrees.
        if 1 < depth in settings.sweep_depths and as_published(settings, _GIVEN):
            at = {"sweep_target": target, "sweep_depth": depth}
            found.append(_compared(dataset.sel(at), fitted.sel(at), expected))
    found.append(_fitted(settings, fitted))
    if max(settings.sweep_depths) > min(settings.sweep_depths):
        found += _falls(settings, dataset, fitted)
    return tuple(found)


def _target(dataset: Any, target: str) -> Claim:
    expected, tolerance = _TARGETS[target]
    # The same targets at every depth.
    ranks = dataset["sweep_target_rank"].sel(sweep_target=target)
    at = mean_of(ranks.isel(sweep_depth=0))
    return Claim(
        f"sweep-target-rank-{target.split()[0]}",
        f"Effective rank of the {target} target, {at.over} (tolerance: two standard "
        "deviations over 300 targets).",
        "Huh et al. 2021, figure of least squares: the target",
        expected=expected,
        measured=at.mean,
        tolerance=tolerance,
        interval=at.interval,
        note=_TARGET_NOTE if target == "low rank" else "",
    )


def _compared(at: Any, fitted: Any, expected: float) -> Claim:
    target, depth = str(at["sweep_target"].values), int(at["sweep_depth"])
    rank, num = mean_of(at["sweep_rank"]), int(fitted.sum())
    which = "fitted map" if num == fitted.size else f"map at the end ({num} fitted)"
    return Claim(
        f"sweep-{target.replace(' ', '-')}-depth-{depth}",
        f"Effective rank of the {which}, {target} target, depth {depth}, {rank.over}.",
        _SOURCE,
        expected=expected,
        measured=rank.mean,
        tolerance=_TOLERANCE,
        interval=rank.interval,
        note=_rank_note(at, num, expected),
    )


def _rank_note(at: Any, num: int, expected: float) -> str:
    """Where along the runs the rank is the published one."""
    shares = at["sweep_share"].values
    passed = [
        share
        for along in at["sweep_along"].values
        for share in _crossings(shares, along - expected)
    ]
    fitted = f"Of the runs here {num} of {at['sweep_rank'].size} fitted."
    if not passed:
        return f"{fitted} In no run does the rank pass {expected} on the way."
    return (
        f"{fitted} On the way the rank passes {expected} where {min(passed):.1g} to "
        f"{max(passed):.1g} of the first loss is left, so that it depends on when "
        f"training ends. The paper does not say when{_shown_loss(at)}."
    )


def _shown_loss(at: Any) -> str:
    """What its figure shows of when training ended."""
    if (str(at["sweep_target"].values), int(at["sweep_depth"])) != ("full rank", 32):
        return ""
    there = at["sweep_along"].sel(sweep_share=0.4, method="nearest").mean(skipna=False)
    return (
        "; its figure shows a loss of 0.4 of a scale that it does not give. Where 0.4 "
        f"of the first loss is left, the rank here is {float(there):.2f}"
    )


def _crossings(shares: np.ndarray, gap: np.ndarray) -> list[float]:
    """The shares after which the gap has changed its sign."""
    return list(shares[1:][gap[:-1] * gap[1:] <= 0])


def _fitted(settings: Settings, fitted: Any) -> Claim:
    num = int((~fitted).sum())
    missed = ", ".join(
        f"{int(missing)} of {target} at depth {depth}"
        for target in fitted["sweep_target"].values
        for depth in fitted["sweep_depth"].values
        if (missing := (~fitted).sel(sweep_target=target, sweep_depth=depth).sum())
    )
    return Claim(
        "sweep-fitted",
        f"Gradient flow fits the data at every depth before t = {settings.t1:g} and "
        f"{settings.max_steps:,} steps: share of {fitted.size} runs.",
        "gflow: an implicit solver",
        expected=1.0,
        measured=float(fitted.mean()),
        kind="at_least",
        note=f"{num} of {fitted.size} did not: {missed}.",
    )


def _falls(settings: Settings, dataset: Any, fitted: Any) -> list[Claim]:
    """The deepest against the shallowest on the same data, where both fitted."""
    deep, shallow = max(settings.sweep_depths), min(settings.sweep_depths)
    found: list[Claim] = []
    for name, quantity, note in (
        ("rank", "effective rank", ""),
        ("test_error", "expected test loss", _ERROR_NOTE),
    ):
        variable = dataset[f"sweep_{name.removeprefix('test_')}"]
        ends = variable.where(fitted).sel(sweep_target="low rank")
        fall = mean_of(ends.sel(sweep_depth=deep) - ends.sel(sweep_depth=shallow))
        found.append(
            Claim(
                f"sweep-{name.replace('_', '-')}-falls",
                f"Fitting the same low-rank data, depth {deep} ends at a lower "
                f"{quantity} than depth {shallow}: difference where both fitted, "
                f"{fall.over}.",
                f"Huh et al. 2021: depth lowers the {quantity} after training",
                expected=0.0,
                measured=fall.mean,
                kind="at_most",
                interval=fall.interval,
                note=f"{fall.undecided} {note}".strip(),
            )
        )
    return found


_ERROR_NOTE = (
    "A lower rank did not go with a test loss that is surely lower; why is not "
    "established. Compare train-test-error-falls, of more instances."
)
