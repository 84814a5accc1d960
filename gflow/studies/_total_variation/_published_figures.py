"""Figures of the published settings."""

from typing import Any

import numpy as np

_LOOKS = {"sgd": ("o", -0.15, "SGD"), "flow": ("x", 0.15, "flow")}


def draw_scores(dataset: Any) -> Any:
    """1 - correlation of each setting, a panel a target."""
    from ...plots import COLORS, panels

    figure, axes = panels(dataset.sizes["target"], columns=3, sharey=True)
    names = list(dataset.setting.values)
    for ax, target in zip(axes, dataset.target.values, strict=True):
        for (method, (mark, shift, label)), color in zip(
            _LOOKS.items(), COLORS, strict=False
        ):
            lost = 1 - dataset["score"].sel(target=target, law=method)
            at = np.arange(len(names)) + shift
            spots = np.repeat(at, dataset.sizes["seed"])
            ax.plot(spots, lost.values.ravel(), ".", color=color, alpha=0.35)
            ax.plot(at, lost.mean("seed"), mark, color=color, ms=8, label=label)
        least = 1 - dataset["least_score"].sel(target=target, least_of="data")
        at = [names.index(f"{k}-TV") for k in least.order.values]
        label = "all functions"
        ax.plot(at, least.mean("seed"), "_", color="black", ms=18, mew=2, label=label)
        ax.set(yscale="log", title=f"What finds the {target}?")
        ax.set_xticks(np.arange(len(names)), names, rotation=60, ha="right")
    axes[0].set_ylabel("1 - correlation with the target")
    axes[0].legend()
    return figure


def draw_fits(dataset: Any) -> Any:
    """Predictions with and without 2-TV, a panel a target."""
    from ...plots import COLORS, panels

    figure, axes = panels(dataset.sizes["target"], columns=3)
    for ax, target in zip(axes, dataset.target.values, strict=True):
        at = {"target": target}
        inside = np.abs(dataset["data_x"].sel(at)) <= 0.4
        x, y = dataset["data_x"].sel(at)[inside], dataset["data_y"].sel(at)[inside]
        ax.plot(x, y, ".", color="#999999", ms=4, label="data")
        for setting, color in zip(
            ("none", "2-TV"), (COLORS[1], COLORS[0]), strict=True
        ):
            for method, line in (("sgd", "--"), ("flow", "-")):
                f = dataset["prediction"].sel({**at, "setting": setting, "law": method})
                label = f"{setting}, {'SGD' if method == 'sgd' else 'flow'}"
                ax.plot(dataset.x, f, line, color=color, label=label)
        ax.plot(dataset.x, dataset["truth"].sel(at), ":", color="black", label="target")
        ax.set(xlabel="x", title=f"What does 2-TV do to the {target}?")
    axes[0].set_ylabel("f(x)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(6, 2 * len(axes))
    )
    return figure


def draw_cut(dataset: Any) -> Any:
    """Cut of each integral by each k-TV, a panel a target."""
    from ...plots import COLORS, panels

    figure, axes = panels(dataset.sizes["target"], columns=3, sharey=True)
    mean = dataset["derivative"].mean("seed").sel(law="flow")
    for ax, target in zip(axes, dataset.target.values, strict=True):
        for k, color in zip((1, 2, 3), COLORS, strict=False):
            by = mean.sel(target=target)
            cut = by.sel(setting="none") / by.sel(setting=f"{k}-TV")
            ax.bar(
                np.arange(3) + 0.25 * (k - 2), cut, 0.25, color=color, label=f"{k}-TV"
            )
        ax.set_xticks(np.arange(3), ["f'", "f''", "f'''"])
        ax.set(yscale="log", xlabel="derivative", title=f"What is cut on the {target}?")
        ax.axhline(1, color="black", linewidth=0.8)
    axes[0].set_ylabel("integral of its square, cut by")
    axes[0].legend()
    return figure
