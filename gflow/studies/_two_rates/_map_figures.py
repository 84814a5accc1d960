"""Figures of the maps."""

from typing import Any

import numpy as np

from .._statistics import wilson
from ._thresholds import LAZY, along_widths

_SHARE = "share of seeds"


def draw_map(dataset: Any, prefix: str) -> Any:
    """Four heat maps over width and ratio."""
    from ...plots import COLORS, panels

    figure, axes = panels(4)
    n = int(prefix.removeprefix("map_"))
    figure.suptitle(f"n = {n} examples, d = {dataset.attrs['dim']}")
    mean, median = dataset.mean("map_seed"), dataset.median("map_seed")
    frozen = dataset[f"{prefix}_frozen"] <= dataset.attrs["zero"]
    lazy = mean[f"{prefix}_is_lazy"]
    _heat(axes[0], mean[f"{prefix}_converged"], "%.2g", label=_SHARE)
    axes[0].set_title("Which flows come to zero loss?")
    _heat(axes[1], frozen.mean("map_seed"), "%.2g", label=_SHARE, proved=lazy)
    axes[1].set_title("Which would with a frozen kernel?")
    drift = 100 * median[f"{prefix}_drift"]
    _heat(axes[2], drift, "%.0f", label="change of K, percent", log=True)
    axes[2].set_title("How far does the kernel move?")
    flips = 100 * median[f"{prefix}_flips"]
    _heat(axes[3], flips, "%.0f", label="pairs flipped, percent")
    axes[3].set_title("How many activations flip?")
    widths = dataset.map_width.values
    even = np.log(n / (dataset.attrs["dim"] + 1))
    at = np.interp(even, np.log(widths), np.arange(len(widths)))
    for ax in axes:
        ax.axvline(at, color=COLORS[4], linestyle="--")
    return figure


def _heat(
    ax: Any,
    values: Any,
    form: str,
    *,
    label: str,
    log: bool = False,
    proved: Any = None,
) -> None:
    """Cells in the order of the settings: widths to the right, ratios upwards."""
    from matplotlib.colors import LogNorm, Normalize

    from ...plots import plot_heat_map

    grid = values.transpose("map_ratio", "map_width").values
    is_share = label == _SHARE
    linear = (0.0, 1.0 if is_share else 30.0)
    low, high = (1.0, 1000.0) if log else linear
    norm = LogNorm(low, high, clip=True) if log else Normalize(low, high, clip=True)
    shown = np.where(grid > 0, grid, low)
    colors = "viridis" if is_share else "magma_r"
    texts = np.vectorize(lambda value: form % value)(grid).astype(object)
    if proved is not None:
        shares = proved.transpose("map_ratio", "map_width").values
        texts += np.vectorize(lambda share: f"\n({share:.2g})")(shares).astype(object)
    plot_heat_map(
        shown,
        ax,
        rows=[f"{ratio:g}".replace("inf", "∞") for ratio in values.map_ratio.values],
        columns=[f"{width:g}" for width in values.map_width.values],
        texts=texts,
        norm=norm,
        cmap=colors,
    )
    ax.set(xlabel="width m", ylabel="rate ratio η₂/η₁")
    ax.figure.colorbar(ax.images[-1], ax=ax, label=label)


def draw_boundary(dataset: Any) -> Any:
    """Share converged and kernel change against parameters per example, for each n."""
    from ...plots import COLORS, label_ticks, panels

    figure, (left, right) = panels(2)
    names = [str(name) for name in dataset if str(name).endswith("_converged")]
    found = sorted(int(name.split("_")[1]) for name in names if name.startswith("map_"))
    for n, color in zip(found, COLORS, strict=False):
        here = along_widths(dataset, f"map_{n}")
        x = here.width.values * (dataset.attrs["dim"] + 1) / n
        converged = here["converged"]
        num = converged.sizes["map_seed"]
        low, high = wilson(converged.sum("map_seed").values, num)
        left.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        left.plot(x, converged.mean("map_seed"), "o-", color=color, label=f"n = {n}")
        drift = here["drift"].where(converged > 0).median("map_seed")
        right.plot(x, 100 * drift, "o-", color=color, label=f"n = {n}")
    right.axhline(100 * LAZY, color="gray", linestyle=":", label=f"{LAZY:.0%}")
    for ax in (left, right):
        ax.set(xscale="log", xlabel="parameters per example, m(d+1)/n")
        label_ticks(ax, _powers_of_two(ax.get_xlim()))
        ax.legend()
    left.set(title="From which width on do flows converge?", ylabel="share of seeds")
    right.set(title="Is that a kernel regime?", yscale="log")
    right.set_ylabel("change of the kernel, percent")
    return figure


def _powers_of_two(limits: tuple[float, float]) -> Any:
    """Those within the limits."""
    low, high = np.log2(limits)
    return 2.0 ** np.arange(np.ceil(low), np.floor(high) + 1)
