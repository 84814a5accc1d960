"""Part 4: least squares trained until fitted, over depth, for two targets."""

import dataclasses
from typing import Any

import numpy as np

from .._study import Figure, ReportProgress, StudyResult
from ._runs import drift, flow, instance, until_fitted
from ._settings import Settings
from ._sweep_claims import PUBLISHED, claims

# Shares of the first loss at which the rank along a run is told.
_SHARES = np.geomspace(1, 1e-4, 41)


@dataclasses.dataclass(frozen=True)
class _Cell:
    """One instance of one target at one depth.

    `along` is the rank where each of `_SHARES` of the first loss is left, NaN where the
    run did not come to it.
    """

    along: np.ndarray
    start: float
    rank: float
    target: float
    error: float
    loss: float
    time: float
    drift: float
    evidence: str


def sweep(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Effective rank of fitted deep linear nets, of full- and low-rank targets."""
    ranks = {"low rank": settings.rank, "full rank": settings.dim}
    cells: dict[tuple[str, int, int], _Cell] = {}
    for depth in settings.sweep_depths:
        for target, rank in ranks.items():
            for n in range(settings.sweep_seeds):
                progress(
                    f"least squares, {target} target: depth {depth}, instance {n + 1} "
                    f"of {settings.sweep_seeds}"
                )
                cells[target, depth, n] = _cell(settings, depth, rank, seed + n)
    dataset = _dataset(settings, tuple(ranks), cells)
    return StudyResult(
        claims=claims(settings, dataset),
        dataset=dataset,
        figures=(figure(settings),),
        evidence={
            f"sweep, {target}, depth {depth}, instance {n}": cell.evidence
            for (target, depth, n), cell in cells.items()
        },
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "sweep",
        f"Gradient flow on {settings.sweep_samples} samples of a linear map of "
        f"size {settings.dim}, until the loss is {settings.fitted:g} of the "
        f"first or t = {settings.t1:g}: effective rank against depth, mean and "
        "one standard deviation. Left: target of rank "
        f"{settings.rank}. Right: of full rank. Below: the rank along the runs, "
        "against the loss that is left. Crosses: Huh et al., size 32, "
        "at depths 1 and 32. At depth 1 they are no test: the number of "
        "samples, which the paper does not give, was chosen so that the low-"
        "rank target agrees, and of the full-rank one any fitted map has the "
        "rank of a Gaussian matrix.",
        _draw,
    )


def _cell(settings: Settings, depth: int, rank: int, seed: int) -> _Cell:
    given = instance(settings, depth, settings.sweep_samples, rank, seed)
    run = flow(settings, given, goal=until_fitted(settings, given))
    loss = run.observed["loss"]
    # Where a run stopped short, the map it stopped at counts, as in the paper's figure;
    # the share of those that fitted is a claim of its own.
    ok = bool(np.isfinite(loss[-1]))
    share = loss / loss[0]
    return _Cell(
        along=rank_along(share, run.observed["rank"]),
        start=float(run.observed["rank"][0]),
        rank=given.rank(run.w1) if ok else float("nan"),
        target=given.target_rank,
        error=given.test_error(run.w1) if ok else float("nan"),
        loss=float(share[-1]),
        time=float(run.ts[-1]),
        drift=drift(run),
        evidence=repr(run),
    )


def rank_along(share: Any, rank: Any) -> np.ndarray:
    """The rank where each of `_SHARES` of the first loss is left.

    Interpolated in the logarithm of the loss, which falls; NaN beyond the last.
    """
    along = np.interp(-np.log(_SHARES), -np.log(share), rank)
    # A goal is located to a part in a hundred.
    return np.where(0.99 * share[-1] <= _SHARES, along, np.nan)


def _dataset(
    settings: Settings,
    targets: tuple[str, ...],
    cells: dict[tuple[str, int, int], _Cell],
) -> Any:
    import xarray

    axes = ("sweep_target", "sweep_depth", "sweep_instance")
    shape = (len(targets), len(settings.sweep_depths), settings.sweep_seeds)
    keys = [
        (target, depth, n)
        for target in targets
        for depth in settings.sweep_depths
        for n in range(settings.sweep_seeds)
    ]

    def grid(name: str) -> Any:
        values = np.array([getattr(cells[key], name) for key in keys])
        return (axes, values.reshape(shape))

    along = np.array([cells[key].along for key in keys])
    names = ("start", "rank", "target", "error", "loss", "time", "drift")
    return xarray.Dataset(
        {f"sweep_{name}": grid(name) for name in names if name != "target"}
        | {"sweep_target_rank": grid("target")}
        | {"sweep_along": ((*axes, "sweep_share"), along.reshape((*shape, -1)))},
        coords={
            "sweep_target": list(targets),
            "sweep_depth": list(settings.sweep_depths),
            "sweep_share": _SHARES,
        },
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, axes = panels(4, sharey=True)
    depth = dataset["sweep_depth"].values
    targets = dataset["sweep_target"].values
    for ax, target in zip(axes[2:], targets, strict=True):
        _draw_along(ax, dataset.sel(sweep_target=target), target)
    for ax, target in zip(axes[:2], targets, strict=True):
        at = dataset.sel(sweep_target=target)
        for name, label, style, color in (
            ("sweep_start", "at the start", "o--", COLORS[4]),
            ("sweep_rank", "at the end", "o-", COLORS[0]),
        ):
            mean, spread = (
                at[name].mean("sweep_instance"),
                at[name].std("sweep_instance"),
            )
            ax.errorbar(
                depth, mean, spread, fmt=style, color=color, capsize=3, label=label
            )
        truth = float(at["sweep_target_rank"].mean())
        ax.axhline(truth, color="black", ls=":", label="target")
        known = [(d, rank) for (t, d), rank in PUBLISHED.items() if t == target]
        ax.plot(
            *zip(*known, strict=True), "x", ms=9, color=COLORS[1], label="Huh et al."
        )
        ax.set(xlabel="depth L", title=f"Which rank fits a {target} target?")
    for ax in axes[::2]:
        ax.set_ylabel("effective rank ρ")
        ax.legend()
    return figure


def _draw_along(ax: Any, at: Any, target: str) -> None:
    """Mean rank along the runs of each depth, as far as all of them came."""
    from ...plots import COLORS

    for depth, color in zip(at["sweep_depth"].values, COLORS, strict=False):
        along = at["sweep_along"].sel(sweep_depth=depth)
        mean = along.mean("sweep_instance", skipna=False)
        ax.plot(at["sweep_share"], mean, color=color, label=f"depth {depth}")
    ax.set(xscale="log", xlabel="loss, share of the first")
    ax.set_title(f"How does the rank get there, {target} target?")
    ax.invert_xaxis()
