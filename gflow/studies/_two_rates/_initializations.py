"""Part 3: initializations and labels compared."""

import itertools
from typing import Any

import numpy as np

from ...models import two_layer_instance
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._runs import Cell, run_cell, table
from ._settings import Settings

# After the papers that `relu_init` names, in the form given there: the ratio η₂/η₁,
# and a name for legends.
_SETTINGS = {
    ("lecun", 1.0): "LeCun, both layers",
    ("zero_output", 1.0): "zero output, both layers",
    ("oymak", 0.0): "Oymak, first layer only",
    ("oymak", 1.0): "Oymak, both layers",
}
_AXES = ("init_kind", "init_labels", "init_width", "init_seed")


def initializations(
    settings: Settings, first_seed: int, progress: ReportProgress
) -> StudyResult:
    """Share, time and kernel change for each initialization, labels and width."""
    cells: list[Cell] = []
    evidence: dict[str, str] = {}
    shape = (
        len(_SETTINGS),
        len(settings.compared_labels),
        len(settings.compared_widths),
        settings.num_compared,
    )
    for (kind, ratio), labels, width, seed in itertools.product(
        _SETTINGS,
        settings.compared_labels,
        settings.compared_widths,
        range(first_seed, first_seed + settings.num_compared),
    ):
        name = f"{_SETTINGS[kind, ratio]}, {labels} labels, width {width}, seed {seed}"
        progress(f"initialization: {name} ({len(cells) + 1} of {int(np.prod(shape))})")
        data = two_layer_instance(
            settings.compared_samples,
            settings.dim,
            width,
            labels=labels,
            initialization=kind,
            seed=seed,
        )
        cells.append(run_cell(data, ratio, settings))
        evidence[f"initialization, {name}"] = cells[-1].evidence
    dataset = _dataset(settings, first_seed, cells, shape)
    return StudyResult(
        claims=_claims(settings, dataset),
        dataset=dataset,
        figures=(figure(settings),),
        evidence=evidence,
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "initializations",
        "Three initializations (LeCun's; zero output after Nguyen 2021; Oymak after "
        "Oymak, Soltanolkotabi 2020, see relu_init) on n = "
        f"{settings.compared_samples} examples in d = {settings.dim} dimensions, at "
        f"width {settings.compared_widths[-1]}, by "
        "labels: Gaussian and their signs, independent of the data, and the direction "
        "that the mean kernel learns slowest. Left: time at which the loss "
        f"comes to {settings.zero:g} of |y|^2/2. Right: how far the kernel has "
        "moved by then. A dot for each seed that converges; the number above "
        "is how many of them do.",
        _draw,
    )


def _claims(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    width = settings.compared_widths[-1]
    both = [label for (_, ratio), label in _SETTINGS.items() if ratio > 0]
    here = dataset.sel(init_width=width, init_kind=both)
    claims = [
        Claim(
            "init-both-layers",
            f"With both layers trained, flows at width {width} come to zero loss from "
            "each initialization and under each kind of labels: least share over them.",
            "Razborov 2022: convergence for adversarial labels",
            expected=1.0,
            measured=float(here["init_converged"].mean("init_seed").min()),
            kind="at_least",
        )
    ]
    if {"gaussian", "least"} <= set(settings.compared_labels):
        claims += _adversary(width, dataset.sel(init_width=width))
    return tuple(claims)


def _adversary(width: int, dataset: Any) -> list[Claim]:
    """Labels along the least eigenvector against labels that know nothing."""

    def ratio(name: str, kind: str) -> float:
        # A flow that never comes to zero loss takes for ever.
        here = dataset[f"init_{name}"].sel(init_kind=kind).fillna(np.inf)
        least = here.sel(init_labels="least") / here.sel(init_labels="gaussian")
        return float(least.median(skipna=False))

    lecun, alone = _SETTINGS["lecun", 1.0], _SETTINGS["oymak", 0.0]
    moved = ratio("drift", lecun)
    found = (
        "A kernel that stood still would learn them slowest; this one moves, and "
        f"{moved:.3g} times as far as under Gaussian labels (median over seeds of the "
        "ratio). For a kernel that moves little see init-adversary-costs-time."
    )
    return [
        Claim(
            "init-adversary",
            "Labels along the direction that the mean kernel learns slowest cost time "
            f"(LeCun, both layers, width {width}): median over seeds of the time to "
            f"zero loss, over that under Gaussian labels{_unfinished(dataset, lecun)}.",
            "gflow: a kernel that stood still would learn them at its least rate",
            expected=1.0,
            measured=ratio("time", lecun),
            kind="at_least",
            note=found,
        ),
        Claim(
            "init-adversary-costs-time",
            "Where the first layer alone is trained, so that the kernel moves little, "
            f"the same labels cost time (Oymak, width {width}): median over seeds of "
            "the time to zero loss, over that under Gaussian labels"
            f"{_unfinished(dataset, alone)}.",
            "gflow: a kernel that stood still would learn them at its least rate",
            expected=1.0,
            measured=ratio("time", alone),
            kind="at_least",
        ),
    ]


def _unfinished(dataset: Any, kind: str) -> str:
    """How many flows of the comparison took for ever."""
    here = dataset["init_converged"].sel(init_kind=kind)
    here = here.sel(init_labels=["least", "gaussian"])
    missed = int((here < 1).sum())
    if not missed:
        return ""
    return f" ({missed} of {here.size} flows do not come there, and count as for ever)"


def _dataset(
    settings: Settings, first_seed: int, cells: list[Cell], shape: tuple[int, ...]
) -> Any:
    import xarray

    return xarray.Dataset(
        table("init", _AXES, shape, cells),
        coords={
            "init_kind": list(_SETTINGS.values()),
            "init_labels": list(settings.compared_labels),
            "init_width": list(settings.compared_widths),
            "init_seed": list(range(first_seed, first_seed + settings.num_compared)),
        },
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, right) = panels(2)
    here = dataset.isel(init_width=-1)
    kinds, labels = here.init_kind.values, here.init_labels.values
    for k, (label, color) in enumerate(zip(labels, COLORS, strict=False)):
        for row, kind in enumerate(kinds):
            at = here.sel(init_kind=kind, init_labels=label)
            done = at["init_converged"].values > 0
            place = row + 0.22 * (k - (len(labels) - 1) / 2)
            y = np.full(done.sum(), place)
            name = f"{label} labels" if row == 0 else None
            left.plot(at["init_time"].values[done], y, "o", color=color, label=name)
            right.plot(100 * at["init_drift"].values[done], y, "o", color=color)
            right.annotate(
                f"{done.sum()} of {len(done)}",
                (1.01, place),
                xycoords=("axes fraction", "data"),
                color=color,
                va="center",
                fontsize=9,
                annotation_clip=False,
            )
    left.set_yticks(range(len(kinds)), kinds)
    right.set_yticks(range(len(kinds)), [""] * len(kinds))
    for ax in (left, right):
        ax.set_ylim(-0.6, len(kinds) - 0.4)
        # Logarithms of nothing cannot be drawn.
        if np.any(here["init_converged"] > 0):
            ax.set_xscale("log")
        # Of little more than a decade matplotlib labels so many that they overlap.
        ax.xaxis.set_minor_formatter("")
    left.set(title="How long does it take?", xlabel="time t to zero loss")
    right.set(title="How far does the kernel move?", xlabel="change of K, percent")
    figure.legend(loc="outside lower center", ncols=len(labels))
    return figure
