"""Part 2: where the flows converge, over width, samples and the ratio of the rates."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...models import two_layer_instance
from .._parallel import Divided
from .._study import Figure, ReportProgress, StudyResult
from ._map_claims import map_claims
from ._map_figures import draw_boundary, draw_map
from ._runs import Cell, run_cell, table
from ._settings import Settings
from ._thresholds import main_ratio, thresholds


def ratios_of(settings: Settings) -> tuple[float, ...]:
    """The rate ratios, infinity for a frozen first layer."""
    return (*settings.ratios, *((np.inf,) if settings.frozen_first else ()))


def maps(settings: Settings, seed: int, num_samples: int) -> Divided:
    """One map: widths by ratios, with seeds, at one number of samples.

    Its pieces are its widths: nets of one width share a program, so that dividing
    further would compile it more than once.
    """
    rows = [
        *((width, ratios_of(settings)) for width in settings.widths),
        *((width, (main_ratio(settings.ratios),)) for width in settings.beside),
    ]
    return Divided(
        [
            partial(_row, settings, seed, num_samples, width, ratios)
            for width, ratios in rows
        ],
        # Wide nets on many examples take the most steps, and the dearest.
        [num_samples * width for width, _ in rows],
        partial(_joined, settings, seed, num_samples),
    )


def _row(
    settings: Settings,
    first_seed: int,
    num_samples: int,
    width: int,
    ratios: Sequence[float],
    progress: ReportProgress,
) -> dict[str, Cell]:
    """All seeds of these ratios at one width, by name."""
    cells: dict[str, Cell] = {}
    seeds = range(first_seed, first_seed + settings.num_seeds)
    for ratio, seed in itertools.product(ratios, seeds):
        name = f"n = {num_samples}, width {width}, ratio {ratio:g}, seed {seed}"
        of = f"{len(cells) + 1} of {len(ratios) * settings.num_seeds} at this width"
        progress(f"map: {name} ({of})")
        data = two_layer_instance(
            num_samples,
            settings.dim,
            width,
            labels=settings.labels,
            initialization=settings.initialization,
            seed=seed,
        )
        cells[name] = run_cell(data, ratio, settings)
    return cells


def _joined(
    settings: Settings, seed: int, num_samples: int, rows: Sequence[dict[str, Cell]]
) -> StudyResult:
    prefix = f"map_{num_samples}"
    cells = {name: cell for row in rows for name, cell in row.items()}
    dataset = _dataset(settings, seed, num_samples, list(cells.values()))
    found = thresholds(dataset, prefix, settings)
    return StudyResult(
        claims=map_claims(settings, num_samples, dataset, found),
        dataset=dataset.assign(found.variables(prefix)),
        figures=figures(settings, num_samples),
        evidence={f"map, {name}": cell.evidence for name, cell in cells.items()},
    )


def _dataset(settings: Settings, seed: int, num_samples: int, cells: list[Cell]) -> Any:
    import xarray

    shape = (len(settings.widths), len(ratios_of(settings)), settings.num_seeds)
    on_map, wide = cells[: np.prod(shape)], cells[np.prod(shape) :]
    axes, rest = ("map_width", "map_ratio", "map_seed"), ("wide_width", "map_seed")
    return xarray.Dataset(
        table(f"map_{num_samples}", axes, shape, on_map)
        | table(f"wide_{num_samples}", rest, (-1, settings.num_seeds), wide),
        coords={
            "map_width": list(settings.widths),
            "wide_width": list(settings.beside),
            "map_ratio": list(ratios_of(settings)),
            "map_seed": list(range(seed, seed + settings.num_seeds)),
        },
        attrs={"dim": settings.dim, "zero": settings.zero},
    )


def figures(settings: Settings, num_samples: int) -> tuple[Figure, ...]:
    """The map of one number of samples; with the largest, the boundary on all."""
    found = [
        Figure(
            f"map-{num_samples}",
            f"n = {num_samples} examples in d = {settings.dim} dimensions, "
            f"{settings.labels} labels, {settings.initialization} initialization, "
            f"{settings.num_seeds} seeds a cell, over width m and rate ratio "
            "eta_2/eta_1 (infinity: first layer frozen). A flow converges if its loss "
            f"comes to {settings.zero:g} of |y|^2/2 by t = {settings.t1:g} within "
            f"{settings.max_steps} steps. The dashed line is m(d+1) = n, as many "
            "parameters as examples. Top right: share of instances on which the "
            "model that is linear at the start would converge by the same time; "
            "in parentheses the share on which the kernel stayed so near to its start, "
            "at all saved times, that this alone proves convergence (|K(t) - K(0)| < "
            "least eigenvalue of K(0)). Below: change of the kernel in percent, and of "
            "the activations, medians over seeds.",
            partial(draw_map, prefix=f"map_{num_samples}"),
        )
    ]
    if num_samples == max(settings.samples):
        found.append(
            Figure(
                "boundary",
                "Both layers trained, ratio 1 (or the first ratio asked for). Left: "
                "share of seeds that converge, against parameters per example, one "
                "curve for each n; the shaded band is Wilson's 95 % interval. Right: "
                "change of the kernel of the flows that converge, median over seeds; "
                "the dotted line is 10 %, where a kernel regime might begin.",
                draw_boundary,
            )
        )
    return tuple(found)
