"""Part 5: maps over initialization, rate ratio, depth and sparsity."""

import itertools
import math
from typing import Any

import numpy as np

from ...models import l1_minimizer
from .._study import Figure, ReportProgress, StudyResult
from ._map_cell import Cell, Place, instance, nearest, run_cell
from ._map_claims import map_claims
from ._map_figures import draw_descent, draw_error, draw_helps, draw_share, draw_time
from ._runs import method_name, relative
from ._settings import Settings

AXES = ("depth", "sparsity", "map_alpha", "map_method", "instance")


def maps(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Error, time and what the law predicts of them, on random instances."""
    methods = (None, *settings.map_kappas)
    cells: dict[Place, Cell] = {}
    grid = itertools.product(settings.depths, methods, settings.map_alphas)
    total = len(settings.depths) * len(methods) * len(settings.map_alphas)
    each = len(settings.sparsities) * settings.num_instances
    for k, (depth, kappa, alpha) in enumerate(grid):
        name = f"depth {depth}, {method_name(kappa)}, alpha = {alpha:g}"
        progress(f"maps, {k + 1} of {total} ({each} flows each): {name}")
        for sparsity, number in itertools.product(
            settings.sparsities, range(settings.num_instances)
        ):
            place = Place(depth, sparsity, alpha, kappa, number)
            descent = _with_descent(place, settings)
            cells[place] = run_cell(place, settings, seed, descent)
    dataset = _dataset(settings, cells, seed)
    return StudyResult(
        claims=map_claims(settings, dataset),
        dataset=dataset,
        figures=figures(settings),
        evidence=_evidence(cells),
    )


def _with_descent(place: Place, settings: Settings) -> bool:
    """Whether descent runs too: one instance at one scale and two methods."""
    return (
        place.instance == 0
        and place.alpha == nearest(settings.map_alphas, settings.alpha)
        and place.kappa in (None, nearest(settings.map_kappas, settings.kappa))
    )


def _dataset(settings: Settings, cells: dict[Place, Cell], seed: int) -> Any:
    import xarray

    methods = (None, *settings.map_kappas)
    instances = range(settings.num_instances)
    labels = (settings.depths, settings.sparsities, settings.map_alphas, methods)
    shape = (*map(len, labels), len(instances))
    places = [Place(*place) for place in itertools.product(*labels, instances)]

    def grid(name: str) -> Any:
        values = np.array([float(getattr(cells[p], name)) for p in places])
        return (AXES, values.reshape(shape))

    truth = [
        [_truth(settings, sparsity, seed + n) for n in instances]
        for sparsity in settings.sparsities
    ]
    radii = [
        [[_radius(x, depth) for x, _ in row] for row in truth]
        for depth in settings.depths
    ]
    names = ("error", "l1_norm", "time", "descent_time", "from_limit")
    names += ("log_contraction", "reached", "origin", "drawn", "steps")
    return xarray.Dataset(
        {f"map_{name}": grid(name) for name in names}
        | {
            "map_l1_error": (AXES[1::3], np.array([[e for _, e in r] for r in truth])),
            "map_radius": ((*AXES[:2], AXES[4]), np.array(radii)),
        },
        coords={
            "depth": list(settings.depths),
            "sparsity": list(settings.sparsities),
            "map_alpha": list(settings.map_alphas),
            "map_method": [method_name(kappa) for kappa in methods],
            # Plain flow has no rate ratio: nan.
            "map_kappa": ("map_method", [math.nan, *settings.map_kappas]),
        },
        attrs={"num_features": settings.num_features},
    )


def _truth(settings: Settings, sparsity: int, seed: int) -> tuple[np.ndarray, float]:
    """The true vector, and how far from it the l1 minimizer is."""
    data = instance(settings, sparsity, seed)
    x = np.asarray(data.x_true)
    return x, relative(l1_minimizer(data.A, data.y, nonnegative=True), x)


def _radius(x: np.ndarray, depth: int) -> float:
    """The norm of the weights that stand for x."""
    return float(np.sqrt(np.sum(x ** (2 / depth))))


def _evidence(cells: dict[Place, Cell]) -> dict[str, str]:
    """Of each depth and method, the flow with the most steps and the sums of all."""
    evidence: dict[str, str] = {}
    for depth, kappa in dict.fromkeys((p.depth, p.kappa) for p in cells):
        group = {p: c for p, c in cells.items() if (p.depth, p.kappa) == (depth, kappa)}
        worst = max(group, key=lambda place: group[place].steps)
        steps = sum(cell.steps for cell in group.values())
        reached = sum(cell.reached for cell in group.values())
        evidence[f"maps, depth {depth}, {method_name(kappa)}"] = (
            f"{len(group)} flows, {reached} fit the data, {steps} steps. Most steps: "
            f"alpha = {worst.alpha:g}, {worst.sparsity} nonzero, instance "
            f"{worst.instance}\n{group[worst].evidence}"
        )
    return evidence


def figures(settings: Settings) -> tuple[Figure, ...]:
    """What is drawn of this part."""
    sparsity = settings.sparsities[len(settings.sparsities) // 2]
    alpha = nearest(settings.map_alphas, settings.alpha)
    data = (
        f"{settings.num_instances} random instances ({settings.num_samples} equations, "
        f"{settings.num_features} unknowns)"
    )
    at = f"{data} with {sparsity} nonzero entries, x0 = alpha^2 at every depth"
    return (
        *_error_figures(settings, sparsity, at),
        Figure(
            "map_time",
            f"Median time at which the data are fitted (relative residual 1e-3) over "
            f"{at}, each flow on its own clock; the number is its decimal logarithm. "
            f"Gray: not fitted within {settings.map_max_steps} steps.",
            lambda dataset: draw_time(dataset, sparsity),
        ),
        Figure(
            "map_recovered",
            f"Share of {data} whose true vector is found (relative error below "
            f"{settings.recovered:g}), from alpha = {alpha:g}, against the number of "
            "its nonzero entries. The top row is what minimizing the l1 norm finds. "
            f"A flow not at its limit within {settings.map_max_steps} steps has not "
            "found it: deep nets with a large kappa wait at saddles.",
            lambda dataset: draw_share(dataset, alpha, settings.recovered),
        ),
        Figure(
            "map_descent",
            f"Time at which gradient descent (t = eta k, eta = {settings.eta:g}) fits "
            "the data against the time at which the flow does, one instance of every "
            f"depth and sparsity from alpha = {alpha:g}.",
            draw_descent,
        ),
    )


def _error_figures(settings: Settings, sparsity: int, at: str) -> tuple[Figure, Figure]:
    law = "kappa = 2 log(r/r0)/(r^2 - r0^2), r the norm of the true vector's weights"
    return (
        Figure(
            "map_error",
            f"Median relative error of the flow's limit over {at}; the number is its "
            "decimal logarithm. Gray: data not fitted within "
            f"{settings.map_max_steps} steps and t = {settings.t1:g}, in most "
            "instances.",
            lambda dataset: draw_error(dataset, sparsity),
        ),
        Figure(
            "map_helps",
            "Median ratio of the errors of the normalized and the plain limit over "
            f"{at}; the number is its decimal logarithm, blue where normalization "
            f"helps. The line is the law, drawn without any run: {law}. It "
            "tells help (above) from harm (below) left of the dotted line, r0 = r; "
            "right of that flows end away from the true vector, and its norm tells "
            "little. Gray: as in the map of errors.",
            lambda dataset: draw_helps(dataset, sparsity),
        ),
    )
