"""Part 5: depth and sparsity on random instances."""

import itertools
from typing import Any

import numpy as np

from ...models import DiagonalNet, sparse_random
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._runs import method_name, relative, run_to_limit, time_to, with_kappa, x_end
from ._settings import Settings


def maps(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Reconstruction error and time, plain and normalized, over depth and sparsity."""
    methods = (None, settings.kappa)
    shape = (
        len(settings.depths),
        len(settings.sparsities),
        len(methods),
        settings.num_instances,
    )
    error, time = np.full(shape, np.nan), np.full(shape, np.nan)
    reached = np.zeros(shape, dtype=bool)
    evidence: dict[str, str] = {}
    cells = itertools.product(
        enumerate(settings.depths), enumerate(settings.sparsities), enumerate(methods)
    )
    for (i, depth), (j, sparsity), (k, kappa) in cells:
        name = f"depth {depth}, {sparsity} nonzero, {method_name(kappa)}"
        progress(f"random instances: {name}")
        for n in range(settings.num_instances):
            at = (i, j, k, n)
            error[at], time[at], reached[at], text = _cell(
                settings, depth, sparsity, kappa, seed + n
            )
            evidence[f"{name}, instance {n}"] = text
    return StudyResult(
        claims=_claims(settings, error, reached),
        dataset=_dataset(settings, error, time, methods),
        figures=(
            Figure(
                "maps",
                f"Random instances ({settings.num_samples} equations, "
                f"{settings.num_features} unknowns) from alpha = {settings.alpha:g}, "
                "median over instances: relative error of the limit (left) and time to "
                "a relative residual of 1e-3 (right) against the number of nonzero "
                "entries, for each depth.",
                _draw,
            ),
        ),
        evidence=evidence,
    )


def _cell(
    settings: Settings, depth: int, sparsity: int, kappa: float | None, seed: int
) -> tuple[float, float, bool, str]:
    data = sparse_random(
        settings.num_features, settings.num_samples, sparsity, seed=seed
    )
    assert data.x_true is not None
    model = with_kappa(DiagonalNet(settings.num_features, depth), kappa)
    # The same initial x at every depth, so that depths compare at equal scale.
    w0 = model.init((settings.alpha**2) ** (1 / depth))
    run = run_to_limit(
        model,
        w0,
        data.A,
        data.y,
        settings,
        residual=settings.coarse_residual,
        throw=False,
    )
    coarse = 0.5 * (1e-3 * float(np.linalg.norm(data.y))) ** 2
    error = relative(x_end(model, run), data.x_true)
    return error, time_to(run, coarse), run.result.ok, repr(run)


def _claims(
    settings: Settings, error: np.ndarray, reached: np.ndarray
) -> tuple[Claim, ...]:
    depth2 = [i for i, depth in enumerate(settings.depths) if depth == 2]
    ratios = error[depth2, :, 1] / error[depth2, :, 0]
    claims = [
        Claim(
            "maps-reached",
            f"Every run on a random instance reaches a relative residual of "
            f"{settings.coarse_residual:g}: share.",
            "gflow",
            expected=1.0,
            measured=float(np.mean(reached)),
        )
    ]
    if ratios.size:
        claims.append(
            Claim(
                "maps-normalization-helps",
                f"At depth 2 and alpha = {settings.alpha:g}, normalization with kappa "
                f"= {settings.kappa:g} lowers the reconstruction error: median over "
                "instances and sparsities of error normalized over error plain.",
                "Chou, Rauhut, Ward 2023: the bias persists at practical scale",
                expected=0.5,
                measured=float(np.median(ratios)),
                kind="at_most",
            )
        )
    return tuple(claims)


def _dataset(
    settings: Settings, error: np.ndarray, time: np.ndarray, methods: Any
) -> Any:
    import xarray

    axes = ("depth", "sparsity", "map_method", "instance")
    return xarray.Dataset(
        {"map_error": (axes, error), "map_time_to_residual_1e-3": (axes, time)},
        coords={
            "depth": list(settings.depths),
            "sparsity": list(settings.sparsities),
            "map_method": [method_name(kappa) for kappa in methods],
        },
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, axes = panels(2)
    names = ("map_error", "map_time_to_residual_1e-3")
    for ax, name in zip(axes, names, strict=True):
        median = dataset[name].median("instance")
        for depth, color in zip(dataset.depth.values, COLORS, strict=False):
            for method, line in zip(
                dataset.map_method.values, ("o--", "o-"), strict=True
            ):
                values = median.sel(depth=depth, map_method=method)
                label = f"depth {depth}, {method}"
                ax.plot(dataset.sparsity, values, line, color=color, label=label)
        ax.set(yscale="log", xlabel="nonzero entries of the true vector")
        ax.set_xticks(dataset.sparsity.values)
    axes[0].set(title="Who finds the sparse vector?", ylabel="relative error")
    axes[1].set(title="How soon are the data fitted?")
    axes[1].set_ylabel("time t to residual 1e-3")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, handlelength=3.0
    )
    return figure
