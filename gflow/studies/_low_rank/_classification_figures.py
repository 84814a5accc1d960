"""Figures of over-parameterization in image classification."""

import itertools
from typing import Any

import numpy as np

from .._statistics import paired


def draw_gain(dataset: Any) -> Any:
    """Gain in test accuracy over the number of factors, a panel for each net."""
    from ...plots import COLORS, label_ticks, panels

    nets = dataset.expansion_net.values
    figure, axes = panels(len(nets), columns=2, sharey=True)
    accuracy = 100 * dataset.expansion_accuracy
    deep = dataset.expansion_depth.values[1:]
    methods = dataset.expansion_optimizer.values
    sets = list(enumerate(dataset.expansion_set.values))
    lines = list(itertools.product(sets, zip(methods, "os^v", strict=False)))
    for ax, net in zip(axes, nets, strict=True):
        ax.axhline(0, color="gray", linewidth=1)
        for place, ((color, name), (method, mark)) in enumerate(lines):
            at = {
                "expansion_net": net,
                "expansion_set": name,
                "expansion_optimizer": method,
            }
            rows = accuracy.sel(at).values
            gains = [paired(row - rows[0]) for row in rows[1:]]
            mean = np.array([gain.mean for gain in gains])
            # Side by side, so that the bars can be told apart.
            shift = 2 ** (0.07 * (place - (len(lines) - 1) / 2))
            ax.errorbar(
                deep * shift,
                mean,
                yerr=[gain.high - gain.mean for gain in gains],
                fmt=mark,
                color=COLORS[color],
                capsize=2,
                label=f"{name}, {method}" if ax is axes[0] else None,
            )
        ax.set(xscale="log", xlabel="factors a layer", title=f"Does it help the {net}?")
        label_ticks(ax, deep)
    axes[0].set_ylabel("gain in test accuracy [points]")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def draw_step_sizes(dataset: Any) -> Any:
    """Validation accuracy over the step size, a panel for each net and set."""
    from ...plots import COLORS, panels

    cases = list(
        itertools.product(dataset.expansion_net.values, dataset.expansion_set.values)
    )
    figure, axes = panels(len(cases), columns=3)
    method = str(dataset.expansion_optimizer.values[0])
    etas = dataset.expansion_etas.sel(expansion_optimizer=method).values
    for ax, (net, name) in zip(axes, cases, strict=True):
        at = {
            "expansion_net": net,
            "expansion_set": name,
            "expansion_optimizer": method,
        }
        scores = 100 * dataset.expansion_validation.sel(at).mean(
            "expansion_trial", skipna=False
        )
        for color, depth in zip(COLORS, dataset.expansion_depth.values, strict=False):
            row = scores.sel(expansion_depth=depth).values
            label = f"{depth} factors" if depth > 1 else "plain"
            ax.plot(
                etas, row, "o-", color=color, label=label if ax is axes[0] else None
            )
        ax.set(xscale="log", xlabel=f"step size η of {method}")
        ax.set(ylabel="validation accuracy [%]", title=f"What step fits {name}, {net}?")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def draw_rank(dataset: Any) -> Any:
    """Effective rank at the start and the end, and what a step costs."""
    from ...plots import COLORS, label_ticks, panels

    figure, (left, right) = panels(2)
    method = dataset.expansion_optimizer.values[0]
    depths = dataset.expansion_depth.values
    cases = itertools.product(
        enumerate(dataset.expansion_set.values),
        zip(dataset.expansion_net.values, "os", strict=False),
    )
    for (color, name), (net, mark) in cases:
        at = {
            "expansion_net": net,
            "expansion_set": name,
            "expansion_optimizer": method,
        }
        look = {"color": COLORS[color], "marker": mark}
        case = dataset.sel(at)
        end = case.expansion_rank.mean("expansion_seed")
        left.plot(depths, end, label=f"{name}, {net}", **look)
        start = case.expansion_rank_start.mean("expansion_seed")
        left.plot(depths, start, linestyle="--", **look)
        seconds = case.expansion_seconds_per_step.median("expansion_seed")
        right.plot(depths, seconds / seconds[0], **look)
    for ax in (left, right):
        ax.set(xscale="log", xlabel="factors a layer")
        label_ticks(ax, depths)
    left.set(title="Is the embedding's rank lower?", ylabel="effective rank [nats]")
    right.set(title="What does a step cost?", ylabel="time / time of the plain net")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
