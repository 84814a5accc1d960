"""Part 6: what the scale of the first factors does to the rank at the end."""

from typing import Any

import numpy as np

from .._claim import Claim
from .._statistics import mean_of
from .._study import Figure, ReportProgress, StudyResult
from ._methods import GIVEN, PUBLISHED, SOURCE
from ._runs import flow, instance, until_fitted
from ._settings import Settings, as_published

_GRADIENT_METHODS = ("gradient descent", "nesterov", "adam", "l-bfgs")


def scale(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Gradient flow on the data of the methods from factors of several scales."""
    depths = _depths(settings)
    ranks = np.full((len(settings.scales), len(depths), settings.method_seeds), np.nan)
    evidence: dict[str, str] = {}
    for (i, j, n), _ in np.ndenumerate(ranks):
        gain, depth = settings.scales[i], depths[j]
        name = f"scale {gain:g}, depth {depth}, instance {n}"
        progress(f"initial {name} of {settings.method_seeds}")
        given = instance(
            settings,
            depth,
            settings.method_samples,
            settings.rank,
            seed + n,
            gain=gain,
        )
        run = flow(settings, given, goal=until_fitted(settings, given))
        evidence[name] = repr(run)
        if run.result.ok:
            ranks[i, j, n] = given.rank(run.w1)
    dataset = _dataset(settings, depths, ranks)
    return StudyResult(
        claims=claims_of(settings, dataset),
        dataset=dataset,
        figures=(figure(settings),),
        evidence=evidence,
    )


def _depths(settings: Settings) -> tuple[int, ...]:
    return tuple(sorted({min(settings.method_depths), max(settings.method_depths)}))


def _dataset(settings: Settings, depths: tuple[int, ...], ranks: np.ndarray) -> Any:
    import xarray

    return xarray.Dataset(
        {"scale_rank": (("scale_gain", "scale_depth", "scale_instance"), ranks)},
        coords={"scale_gain": list(settings.scales), "scale_depth": list(depths)},
    )


def claims_of(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    """Scale matters more in depth, and by enough to explain published ranks."""
    ranks = dataset["scale_rank"]
    low, high = min(settings.scales), max(settings.scales)
    shallow, deep = min(settings.method_depths), max(settings.method_depths)
    change = ranks.sel(scale_gain=high) - ranks.sel(scale_gain=low)
    claims: list[Claim] = []
    if low < high and shallow < deep:
        more = mean_of(change.sel(scale_depth=deep) - change.sel(scale_depth=shallow))
        claims.append(
            Claim(
                "scale-depth",
                f"Initial factors {high / low:.3g} times larger raise the rank at the "
                f"end more at depth {deep} than at depth {shallow}: difference of the "
                f"two changes, {more.over}.",
                "derived: factors c times larger begin at a map c^L times larger",
                expected=0.0,
                measured=more.mean,
                interval=more.interval,
                kind="at_least",
            )
        )
    known = [PUBLISHED[m][deep] for m in _GRADIENT_METHODS if deep in PUBLISHED[m]]
    if known and as_published(settings, GIVEN):
        at = ranks.sel(scale_depth=deep)
        ends = [mean_of(at.sel(scale_gain=gain)).mean for gain in (low, high)]
        within = [ends[0] <= rank <= ends[1] for rank in known]
        claims.append(
            Claim(
                "scale-published",
                f"The scale, which the paper does not give, can account for what it "
                f"shows: of the {len(known)} published ranks of methods with gradients "
                f"at depth {deep}, those between the ranks at which the flow ends from "
                f"scales {low:g} ({ends[0]:.2f}) and {high:g} ({ends[1]:.2f}).",
                SOURCE,
                expected=float(len(known)),
                measured=float(sum(within)) if np.all(np.isfinite(ends)) else np.nan,
            )
        )
    return tuple(claims)


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "scale",
        "Effective rank at which gradient flow ends on the data of the methods, "
        "against the scale of the initial factors, whose entries are N(0, scale²/n): "
        f"mean and one standard deviation over {settings.method_seeds} instances. "
        "Crosses: the published ranks of gradient descent, Nesterov, Adam and L-BFGS, "
        "whose scale is not known, drawn at 1.",
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
        known = [PUBLISHED[m].get(int(depth)) for m in _GRADIENT_METHODS]
        ranks = [rank for rank in known if rank is not None]
        ax.plot([1.0] * len(ranks), ranks, "x", ms=8, color="black", zorder=3)
    ax.plot([], [], "x", ms=8, color="black", label="Huh et al.")
    ax.set(xlabel="scale of the initial factors", ylabel="effective rank ρ at the end")
    ax.set_title("Does the scale of the start decide the rank at the end?")
    ax.legend()
    return figure
