"""Part 4: least squares trained until fitted, over depth, for two targets."""

import dataclasses
from typing import Any

import numpy as np

from .._study import Figure, ReportProgress, StudyResult
from ._runs import drift, flow, instance, until_fitted
from ._settings import Settings
from ._sweep_claims import PUBLISHED, claims


@dataclasses.dataclass(frozen=True)
class _Cell:
    """One instance of one target at one depth."""

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
        f"{settings.rank}. Right: of full rank. Crosses: Huh et al., size 32, "
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
    return _Cell(
        start=float(run.observed["rank"][0]),
        rank=given.rank(run.w1) if ok else float("nan"),
        target=given.target_rank,
        error=given.test_error(run.w1) if ok else float("nan"),
        loss=float(loss[-1] / loss[0]),
        time=float(run.ts[-1]),
        drift=drift(run),
        evidence=repr(run),
    )


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

    names = ("start", "rank", "target", "error", "loss", "time", "drift")
    return xarray.Dataset(
        {f"sweep_{name}": grid(name) for name in names if name != "target"}
        | {"sweep_target_rank": grid("target")},
        coords={
            "sweep_target": list(targets),
            "sweep_depth": list(settings.sweep_depths),
        },
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, axes = panels(2, sharey=True)
    depth = dataset["sweep_depth"].values
    for ax, target in zip(axes, dataset["sweep_target"].values, strict=True):
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
    axes[0].set_ylabel("effective rank ρ")
    axes[0].legend()
    return figure
