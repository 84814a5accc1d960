"""Part 6: what the scale of the first factors does to the rank at the end."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._results import Outcome
from ...trajectory import LossBelow
from .._claim import Claim
from .._statistics import mean_of
from .._study import Figure, ReportProgress, StudyResult
from ._methods import GRADIENT_METHODS, PUBLISHED
from ._runs import flow, instance
from ._settings import Settings


def scale(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Gradient flow on the data of the methods from factors of several scales."""
    depths = _depths(settings)
    ranks = np.full((len(settings.scales), len(depths), settings.method_seeds), np.nan)
    evidence: dict[str, str] = {}
    for i, j, n in np.ndindex(ranks.shape):
        name = f"scale {settings.scales[i]:g}, depth {depths[j]}, instance {n}"
        progress(f"initial {name} of {settings.method_seeds}")
        ranks[i, j, n], evidence[name] = _end(
            dataclasses.replace(settings, gain=settings.scales[i]), depths[j], seed + n
        )
    dataset = _dataset(settings, depths, ranks)
    return StudyResult(
        claims=claims_of(settings, dataset),
        dataset=dataset,
        figures=(figure(settings),),
        evidence=evidence,
    )


def _end(settings: Settings, depth: int, seed: int) -> tuple[float, str]:
    """The rank where the data are fitted, NaN if they were not, and the evidence.

    Fitted to a share of the loss of the zero map, which does not know the scale.
    """
    given = instance(settings, depth, settings.method_samples, settings.rank, seed)
    zero = given.problem.loss(jax.tree.map(jnp.zeros_like, given.w0))
    run = flow(settings, given, goal=LossBelow(settings.fitted * float(zero)))
    fitted = run.result is Outcome.loss_reached
    return given.rank(run.w1) if fitted else float("nan"), repr(run)


def _depths(settings: Settings) -> tuple[int, ...]:
    return tuple(sorted({min(settings.method_depths), max(settings.method_depths)}))


def _dataset(settings: Settings, depths: tuple[int, ...], ranks: np.ndarray) -> Any:
    import xarray

    return xarray.Dataset(
        {"scale_rank": (("scale_gain", "scale_depth", "scale_instance"), ranks)},
        coords={"scale_gain": list(settings.scales), "scale_depth": list(depths)},
    )


def claims_of(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    """Scale matters more in depth, where there are two of each."""
    low, high = min(settings.scales), max(settings.scales)
    shallow, deep = min(settings.method_depths), max(settings.method_depths)
    if low == high or shallow == deep:
        return ()
    ranks = dataset["scale_rank"]
    change = ranks.sel(scale_gain=high) - ranks.sel(scale_gain=low)
    more = mean_of(change.sel(scale_depth=deep) - change.sel(scale_depth=shallow))
    at_depth = mean_of(change.sel(scale_depth=deep))
    return (
        Claim(
            "scale-depth",
            f"Initial factors {high / low:.3g} times larger raise the rank of the "
            f"fitted map more at depth {deep} (by {at_depth.mean:.2f}) than at depth "
            f"{shallow}: difference of the two, {more.over}.",
            "Woodworth et al. 2020: the scale decides how rich training is, the more "
            "abruptly the deeper the net",
            expected=0.0,
            measured=more.mean,
            interval=more.interval,
            kind="at_least",
            note=more.undecided,
        ),
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "scale",
        "Effective rank of the map at which gradient flow has fitted the data of the "
        "methods, against the scale of the initial factors, whose entries are "
        f"N(0, scale²/n): mean and one standard deviation over {settings.method_seeds} "
        "instances. Crosses: the published ranks of gradient descent, Nesterov, Adam "
        "and L-BFGS at each depth, whose scale is not known, drawn at 1.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (ax,) = panels(1)
    for depth, color in zip(dataset["scale_depth"].values, COLORS, strict=False):
        at = dataset["scale_rank"].sel(scale_depth=depth)
        ax.errorbar(
            at["scale_gain"],
            at.mean("scale_instance"),
            at.std("scale_instance"),
            fmt="o-",
            color=color,
            capsize=3,
            label=f"depth {depth}",
        )
        known = [PUBLISHED[m].get(int(depth)) for m in GRADIENT_METHODS]
        ranks = [rank for rank in known if rank is not None]
        ax.plot([1.0] * len(ranks), ranks, "x", ms=8, mew=2, color=color)
    ax.plot([], [], "x", ms=8, color="gray", label="Huh et al.")
    ax.set(xlabel="scale of the initial factors", ylabel="effective rank ρ at the end")
    ax.set_title("Does the scale of the start decide the rank at the end?")
    ax.legend()
    return figure
