"""How the maps are drawn."""

from typing import Any

import numpy as np

from ...models import kappa_neutral
from ._map_claims import start_radius


def draw_error(dataset: Any, sparsity: int) -> Any:
    """Median error of the limit, a panel a depth."""
    error = _median(dataset["map_error"].sel(sparsity=sparsity))
    return _maps(
        dataset,
        np.log10(error),
        "Which initializations find the sparse vector?",
        "log10 of relative error",
        cmap="viridis_r",
    )


def draw_time(dataset: Any, sparsity: int) -> Any:
    """Median time to fit, a panel a depth."""
    time = _median(dataset["map_time"].sel(sparsity=sparsity))
    return _maps(
        dataset,
        np.log10(time),
        "How long does it take to fit the data?",
        "log10 of time t to residual 1e-3",
        cmap="cividis",
    )


def draw_helps(dataset: Any, sparsity: int) -> Any:
    """Median ratio of errors, with the boundary that the law predicts."""
    error = dataset["map_error"].sel(sparsity=sparsity)
    plain = error.sel(map_method="plain", drop=True)
    ratio = _median((error / plain).isel(map_method=slice(1, None)))
    radius = dataset["map_radius"].sel(sparsity=sparsity).median("instance").values
    figure = _maps(
        dataset.isel(map_method=slice(1, None)),
        np.log10(ratio),
        "Where does normalization help (blue), where hurt (red)?",
        "log10 of error / plain error",
        cmap="RdBu_r",
        symmetric=True,
    )
    for ax, depth, r in zip(figure.axes, dataset.depth.values, radius, strict=False):
        _draw_boundary(ax, dataset, int(depth), float(r))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def draw_share(dataset: Any, alpha: float, recovered: float) -> Any:
    """Share of instances recovered, over sparsity and method."""
    found = (dataset["map_error"].sel(map_alpha=alpha) < recovered).mean("instance")
    ceiling = (dataset["map_l1_error"] < recovered).mean("instance").values
    values = found.transpose("depth", "map_method", "sparsity").values
    top = np.broadcast_to(ceiling, (len(values), 1, ceiling.size))
    rows = [*_rows(dataset), "least l1"]
    return _panels(
        dataset,
        np.concatenate([values, top], axis=1),
        rows=rows,
        columns=[str(s) for s in dataset.sparsity.values],
        xlabel="nonzero entries of the true vector",
        title="In which share of instances is the vector found?",
        bar="share of instances",
        cmap="Blues",
        limits=(0.0, 1.0),
    )


def draw_descent(dataset: Any) -> Any:
    """Time of descent against time of flow."""
    from ...plots import COLORS, panels

    figure, (ax,) = panels(1)
    flow, steps = dataset["map_time"].values, dataset["map_descent_time"].values
    marks = ("o", "s", "^", "D", "v")
    methods = [k for k in range(steps.shape[3]) if np.isfinite(steps[:, :, :, k]).any()]
    for d, depth in enumerate(dataset.depth.values):
        for k, color in zip(methods, COLORS, strict=False):
            label = f"depth {depth}, {dataset.map_method.values[k]}"
            x, y = flow[d, :, :, k].ravel(), steps[d, :, :, k].ravel()
            shown = np.isfinite(x) & np.isfinite(y)
            ax.plot(x[shown], y[shown], marks[d], color=color, label=label)
    both = np.isfinite(flow) & np.isfinite(steps)
    if both.any():
        ends = [flow[both].min(), flow[both].max()]
        ax.plot(ends, ends, ":", color="gray", label="equal times")
    ax.set(xscale="log", yscale="log", xlabel="flow: time t to residual 1e-3")
    ax.set(ylabel="descent: time η k to the same")
    ax.set_title("Does descent take the flow's time?")
    figure.set_size_inches(7.4, 3.8)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _median(values: Any) -> np.ndarray:
    """Over instances, where most have a number; depth by method by alpha."""
    median = values.median("instance", skipna=True)
    known = values.notnull().mean("instance") >= 0.5
    return median.where(known).transpose("depth", "map_method", "map_alpha").values


def _rows(dataset: Any) -> list[str]:
    return [str(name).replace("kappa", "κ") for name in dataset.map_method.values]


def _maps(
    dataset: Any,
    values: np.ndarray,
    title: str,
    bar: str,
    *,
    cmap: str,
    symmetric: bool = False,
) -> Any:
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if symmetric:
        # Beyond three decades the color says no more.
        high = min(max(abs(low), abs(high)), 3.0)
        low = -high
    return _panels(
        dataset,
        values,
        rows=_rows(dataset),
        columns=[f"{alpha:g}" for alpha in dataset.map_alpha.values],
        xlabel="initial scale α",
        title=title,
        bar=bar,
        cmap=cmap,
        limits=(float(low), float(high)),
    )


def _panels(
    dataset: Any,
    values: np.ndarray,
    *,
    rows: list[str],
    columns: list[str],
    xlabel: str,
    title: str,
    bar: str,
    cmap: str,
    limits: tuple[float, float],
) -> Any:
    """One map a depth, of one color scale, each number written in its place."""
    from matplotlib import colormaps

    from ...plots import panels, plot_heat_map

    depths = dataset.depth.values
    figure, axes = panels(len(depths), columns=len(depths), sharey=True)
    colors = colormaps[cmap].with_extremes(bad="#bbbbbb")
    for ax, depth, table in zip(axes, depths, values, strict=True):
        plot_heat_map(
            table,
            ax,
            rows=rows,
            columns=columns,
            texts=np.vectorize(_number, otypes=[object])(table),
            cmap=colors,
            vmin=limits[0],
            vmax=limits[1],
        )
        ax.set(xlabel=xlabel, title=f"depth {depth}")
    figure.colorbar(axes[-1].images[-1], ax=list(axes), label=bar, extend="neither")
    figure.suptitle(title, fontsize=12)
    return figure


def _number(value: float) -> str:
    return f"{value:.1f}".replace("-0.0", "0.0") if np.isfinite(value) else ""


def _draw_boundary(ax: Any, dataset: Any, depth: int, radius: float) -> None:
    """Draw the law's curve and r0 = r in the map's own coordinates of columns, rows."""
    alphas, kappas = dataset.map_alpha.values, dataset.map_kappa.values[1:]
    if len(alphas) < 2 or len(kappas) < 2:
        return
    place = np.linspace(-0.5, len(alphas) - 0.5, 200)
    log_alpha = _extended(place, np.log(alphas))
    at = list(dataset.depth.values).index(depth)
    # r0 goes as alpha^(2/L).
    first = np.log(start_radius(dataset)[at, 0])
    log_r0 = first + 2 / depth * (log_alpha - np.log(alphas[0]))
    neutral = np.log(kappa_neutral(np.exp(log_r0), radius))
    rows = _inverse(neutral, np.log(kappas))
    ax.plot(place, rows, color="black", label="law: neither helps nor hurts")
    equal = np.interp(np.log(radius), log_r0, place)
    ax.axvline(equal, color="black", linestyle=":", label="r0 = r of the true vector")
    ax.set(xlim=(-0.5, len(alphas) - 0.5), ylim=(-0.5, len(kappas) - 0.5))


def _extended(place: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Piecewise linear through values at 0, 1, ..., continued at both ends."""
    steps = np.diff(values)
    padded = np.concatenate([[values[0] - steps[0]], values, [values[-1] + steps[-1]]])
    return np.interp(place, np.arange(-1, len(values) + 1), padded)


def _inverse(wanted: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The place at which `_extended` takes each of the wanted values."""
    steps = np.diff(values)
    padded = np.concatenate([[values[0] - steps[0]], values, [values[-1] + steps[-1]]])
    return np.interp(wanted, padded, np.arange(-1, len(values) + 1))
