"""What is conserved along a run, and what explains that it moved."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from ..invariants import DriftOrder, Verification
from ._style import COLORS, label_ticks

# Drift at the level of rounding is drawn at this floor: a log axis has no zero.
_FLOOR = 1e-17


def plot_verification(found: Verification, ax: Axes) -> Axes:
    """Drift of each quantity against time, with what explains it, both logarithmic.

    **Arguments:**

    - `found`: by `gflow.invariants.verify`. What is violated or undecided is dashed;
        dotted, of a flow ten times its tolerance, of gradient descent the drift that is
        predicted.
    - `ax`: where to draw; returned.
    """
    if not found.rows:
        raise ValueError("there is no quantity to draw")
    for k, row in enumerate(found.rows):
        color = COLORS[k % len(COLORS)]
        shown = row.ts > 0
        ts = row.ts[shown]
        line = "-" if row.holds else "--"
        label = f"{row.name}: {row.verdict}"
        moved = np.maximum(row.moved[shown], _FLOOR)
        ax.plot(ts, moved, line, color=color, label=label)
        explained = row.explained[shown]
        if row.verdict == "step size":
            ax.plot(ts, np.maximum(explained, _FLOOR), ":", color=color, linewidth=2.6)
    # Of a flow the same at all times, of gradient descent 0 at the start.
    tolerated = found.rows[0].explained[0]
    if tolerated > 0:
        ax.axhline(tolerated, color="black", linestyle=":", label="10 tolerances")
    elif any(row.verdict == "step size" for row in found.rows):
        ax.plot([], [], ":", color="gray", linewidth=2.6, label="predicted")
    ax.set(xscale="log", yscale="log", xlabel="time t", ylabel="relative drift")
    ax.legend()
    return ax


def plot_drift_order(
    found: Mapping[str, DriftOrder], ax: Axes, *, setting: str = "tolerance rtol"
) -> Axes:
    """Drift against tolerance or step size, both logarithmic, with a line of slope 1.

    **Arguments:**

    - `found`: by `gflow.invariants.drift_order`.
    - `ax`: where to draw; returned.
    - `setting`: the label of the horizontal axis.
    """
    if not found:
        raise ValueError("there is no quantity to draw")
    for k, (name, order) in enumerate(found.items()):
        drifts = np.maximum(order.drifts, _FLOOR)
        label = f"{name}: order {order.order:.2f}"
        ax.plot(
            order.settings, drifts, "o-", color=COLORS[k % len(COLORS)], label=label
        )
    settings = next(iter(found.values())).settings
    lowest = min(max(order.drifts[-1], _FLOOR) for order in found.values())
    guide = lowest * settings / settings[-1]
    ax.plot(settings, guide, ":", color="gray", label="slope 1")
    ax.set(xscale="log", yscale="log", xlabel=setting, ylabel="relative drift")
    label_ticks(ax, settings)
    ax.legend()
    return ax
