"""The figure of a net that learns digits."""

from typing import Any

import numpy as np

from .._study import Figure


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "digits",
        "A ReLU net with biases that learns to classify digits. Left: how far three "
        "quantities have moved along the flow, relative to their summands, at the "
        "tightest tolerance (dotted). Middle: drift against the tolerance; dotted, "
        "drift = rtol. Right: under gradient descent, what each unit's law moved by "
        "(dots) and what theory predicts (line), step sizes in color.",
        _draw,
    )


_LABELS = {
    "without_bias": "$|w_j|^2 - |a_j|^2$",
    "neurons": "$|w_j|^2 + b_j^2 - |a_j|^2$",
    "sums": "column sums",
}


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, label_ticks, panels

    figure, (left, middle, right) = panels(3, columns=3)
    for k, (law, label) in enumerate(_LABELS.items()):
        moved = np.maximum(dataset[f"digits_{law}_moved"], 1e-17)
        left.plot(dataset["digits_t"], moved, color=COLORS[k], label=label)
        drift = np.maximum(dataset[f"digits_flow_{law}"], 1e-17)
        middle.plot(dataset["rtol"], drift, "o-", color=COLORS[k], label=label)
    tightest = float(dataset["rtol"].min())
    left.axhline(
        tightest,
        color="black",
        linestyle=":",
    )
    left.set(xscale="log", yscale="log", xlabel="time t", ylabel="relative drift")
    left.set_title("What is conserved?")
    middle.plot(dataset["rtol"], dataset["rtol"], ":", color="black", label="rtol")
    middle.legend(loc="lower center", ncols=2)
    middle.set(xscale="log", yscale="log", xlabel="tolerance rtol")
    middle.set_ylim(bottom=1e-20)
    middle.set_ylabel("relative drift")
    middle.set_title("Does it fall with the tolerance?")
    label_ticks(middle, dataset["rtol"].values, ".0e")
    _draw_descent(right, dataset)
    return figure


def _draw_descent(ax: Any, dataset: Any) -> None:
    from ...plots import COLORS

    predicted = dataset["digits_gd_predicted"].values
    for k, eta in enumerate(dataset["eta"].values):
        ax.plot(
            predicted[k],
            dataset["digits_gd_moved"].values[k],
            "o",
            color=COLORS[k % len(COLORS)],
            label=rf"$\eta$ = {eta:g}",
        )
    ends = [predicted.min(), predicted.max()]
    ax.plot(ends, ends, color="black", linewidth=1.0, zorder=1)
    ax.set(xlabel="predicted change of the law", ylabel="measured change")
    ax.set_title("What does a finite step add?")
    ax.legend()
