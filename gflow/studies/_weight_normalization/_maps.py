"""Part 5: depth and sparsity on random instances."""

import dataclasses
import itertools
from typing import Any

import numpy as np

from ...models import DiagonalNet, sparse_random
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._runs import (
    descend,
    method_name,
    relative,
    run_to_limit,
    time_of,
    with_kappa,
    x_end,
)
from ._settings import Settings


@dataclasses.dataclass(frozen=True)
class _Cell:
    """One random instance at one depth and sparsity, by one method."""

    error: float
    descent_error: float
    time: float
    descent_time: float
    reached: bool
    evidence: str


def maps(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Reconstruction error and time, plain and normalized, over depth and sparsity."""
    methods = (None, settings.kappa)
    cells: list[_Cell] = []
    evidence: dict[str, str] = {}
    for depth, sparsity, kappa in itertools.product(
        settings.depths, settings.sparsities, methods
    ):
        name = f"depth {depth}, {sparsity} nonzero, {method_name(kappa)}"
        progress(f"random instances: {name}")
        for n in range(settings.num_instances):
            cells.append(_cell(settings, depth, sparsity, kappa, seed + n))
            evidence[f"{name}, instance {n}"] = cells[-1].evidence
    dataset = _dataset(settings, cells, methods)
    return StudyResult(
        claims=_claims(settings, dataset),
        dataset=dataset,
        figures=(
            Figure(
                "maps",
                f"Random instances ({settings.num_samples} equations, "
                f"{settings.num_features} unknowns) from alpha = {settings.alpha:g}, "
                f"median over {settings.num_instances} instances a point, against the "
                "number of nonzero entries, for each depth. Left: relative error of "
                "the flow's limit. Right: time at which the relative residual is 1e-3, "
                "each flow on its own clock; crosses: the same by gradient descent "
                f"with eta = {settings.eta:g}, on the clock t = eta k.",
                _draw,
            ),
        ),
        evidence=evidence,
    )


def _cell(
    settings: Settings, depth: int, sparsity: int, kappa: float | None, seed: int
) -> _Cell:
    data = sparse_random(
        settings.num_features, settings.num_samples, sparsity, seed=seed
    )
    assert data.x_true is not None
    model = with_kappa(DiagonalNet(settings.num_features, depth), kappa)
    # The same initial x at every depth, so that depths compare at equal scale.
    w0 = model.init((settings.alpha**2) ** (1 / depth))
    residual = settings.coarse_residual
    end = run_to_limit(
        model, w0, data.A, data.y, settings, residual=residual, throw=False
    )
    descent = descend(model, w0, data.A, data.y, settings)
    reached = end.run.result.ok
    error = relative(x_end(model, end.run), data.x_true)
    return _Cell(
        error=error if reached else float("nan"),
        descent_error=relative(x_end(model, descent), data.x_true),
        time=end.time_fitted,
        descent_time=time_of(descent),
        reached=reached,
        evidence=f"{end.run!r}\n{descent!r}",
    )


def _claims(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    time, descent_time = dataset["map_time_fitted"], dataset["map_descent_time_fitted"]
    claims = [
        Claim(
            "maps-reached",
            "Flows on random instances reach a relative residual of "
            f"{settings.coarse_residual:g} within {settings.max_steps} steps: share. "
            "Those that do not are left out of the medians.",
            "gflow: an implicit solver with a dense Jacobian",
            expected=0.8,
            measured=float(dataset["map_reached"].mean()),
            kind="at_least",
        ),
        Claim(
            "maps-descent-time",
            "Gradient descent fits the data (relative residual 1e-3) at the flow's "
            "time: median relative difference over all cells.",
            "backward error analysis: of first order in eta",
            expected=0.0,
            measured=float(np.nanmedian(np.abs(descent_time.values / time.values - 1))),
            tolerance=0.05,
            kind="at_most",
        ),
    ]
    if 2 in settings.depths:
        error = dataset["map_error"].sel(depth=2)
        plain, normalized = error.isel(map_method=0), error.isel(map_method=1)
        claims.append(
            Claim(
                "maps-normalization-helps",
                f"At depth 2 and alpha = {settings.alpha:g}, normalization with kappa "
                f"= {settings.kappa:g} lowers the reconstruction error: median over "
                "instances and sparsities of error normalized over error plain.",
                "Chou, Rauhut, Ward 2023: the bias persists at practical scale",
                expected=0.5,
                measured=float(np.nanmedian(normalized.values / plain.values)),
                kind="at_most",
            )
        )
    return tuple(claims)


def _dataset(settings: Settings, cells: list[_Cell], methods: Any) -> Any:
    import xarray

    axes = ("depth", "sparsity", "map_method", "instance")
    depths, sparsities = settings.depths, settings.sparsities
    shape = (len(depths), len(sparsities), len(methods), settings.num_instances)

    def grid(name: str) -> Any:
        values = np.array([float(getattr(cell, name)) for cell in cells])
        return (axes, values.reshape(shape))

    return xarray.Dataset(
        {
            "map_error": grid("error"),
            "map_descent_error_fitted": grid("descent_error"),
            "map_time_fitted": grid("time"),
            "map_descent_time_fitted": grid("descent_time"),
            "map_reached": grid("reached"),
        },
        coords={
            "depth": list(depths),
            "sparsity": list(sparsities),
            "map_method": [method_name(kappa) for kappa in methods],
        },
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, right) = panels(2)
    median = dataset.median("instance")
    for depth, color in zip(dataset.depth.values, COLORS, strict=False):
        for method, line in zip(dataset.map_method.values, ("--", "-"), strict=True):
            at, x = {"depth": depth, "map_method": method}, dataset.sparsity
            label = f"depth {depth}, {method}"
            style = {"linestyle": line, "color": color}
            left.plot(x, median["map_error"].sel(at), "o", label=label, **style)
            right.plot(x, median["map_time_fitted"].sel(at), "o", **style)
            steps = median["map_descent_time_fitted"].sel(at)
            right.plot(x, steps, "x", color="black", zorder=3)
    for ax in (left, right):
        ax.set(yscale="log", xlabel="nonzero entries of the true vector")
        ax.set_xticks(dataset.sparsity.values)
    left.set(title="Who finds the sparse vector?", ylabel="relative error of the limit")
    right.set_title("How soon are the data fitted? (x: descent)")
    right.set_ylabel("time t to residual 1e-3")
    figure.legend(
        loc="outside lower center", ncols=len(dataset.depth), handlelength=3.0
    )
    return figure
