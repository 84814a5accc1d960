"""What a trajectory shows of itself: its loss, the drift of its invariants."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from ..trajectory import Trajectory

# Drift at the level of rounding is drawn at this floor: a log axis has no zero.
_FLOOR = 1e-17


def plot_loss(
    trajectories: Trajectory | Mapping[str, Trajectory],
    ax: Axes,
    *,
    loss_min: float = 0.0,
) -> Axes:
    """Loss gap L - L* against time, both logarithmic.

    **Arguments:**

    - `trajectories`: one, or label -> trajectory.
    - `ax`: where to draw; returned.
    - `loss_min`: L*, in the units of the loss.

    Points at t = 0 or with no gap left have no place on these axes, and are left out.
    """
    labelled = (
        {"": trajectories} if isinstance(trajectories, Trajectory) else trajectories
    )
    for label, trajectory in labelled.items():
        gap = trajectory.observed["loss"] - loss_min
        shown = (trajectory.ts > 0) & (gap > 0)
        ax.plot(trajectory.ts[shown], gap[shown], label=label or None)
    ax.set(xscale="log", yscale="log", xlabel="time t")
    ax.set_ylabel("loss L" if loss_min == 0 else "loss gap L - L*")
    if any(labelled):
        ax.legend()
    return ax


def plot_drift(trajectory: Trajectory, ax: Axes) -> Axes:
    """Relative drift of each declared invariant against time, both logarithmic.

    Drift is ‖h(w(t)) - h(w0)‖ over the invariant's scale, as in `trajectory.drift`; an
    invariant not claimed for this law of motion is dashed.
    """
    shown = trajectory.ts > 0
    for name, values in trajectory.invariants.items():
        flat = np.asarray(values).reshape(len(values), -1)
        moved = np.linalg.norm(flat - flat[0], axis=1)
        drift = trajectory.drift[name]
        scale = drift.scale if drift.scale > 0 else 1.0
        line = "--" if drift.claimed is False else "-"
        height = np.maximum(moved / scale, _FLOOR)
        ax.plot(trajectory.ts[shown], height[shown], line, label=name)
    ax.set(xscale="log", yscale="log", xlabel="time t", ylabel="relative drift")
    if trajectory.invariants:
        ax.legend()
    return ax
