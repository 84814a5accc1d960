"""How the gradient goes with the loss, and steps with the flow."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from ..diagnostics import Lojasiewicz
from ..trajectory import Trajectory
from ._style import label_ticks


def plot_convergence(
    trajectory: Trajectory,
    ax: Axes,
    *,
    fit: Lojasiewicz | None = None,
    loss_min: float = 0.0,
) -> Axes:
    """Gradient norm against loss gap, both logarithmic; its slope is the exponent θ.

    **Arguments:**

    - `trajectory`: a flow or a discrete run.
    - `ax`: where to draw; returned.
    - `fit`: `gflow.diagnostics.lojasiewicz` of it: ‖∇L‖ = c (L - L*)^θ is drawn over
        the gaps that it rests on, and its L* is taken.
    - `loss_min`: L*, if there is no fit.
    """
    loss_min = loss_min if fit is None else fit.loss_min
    gap = trajectory.observed["loss"] - loss_min
    norm = trajectory.observed["grad_norm"]
    shown = (gap > 0) & (norm > 0)
    ax.plot(gap[shown], norm[shown], ".", label="run")
    if fit is not None:
        ends = np.array(fit.gaps)
        text = f"θ = {fit.theta:.3g}, R² = {fit.r_squared:.4f}"
        ax.plot(ends, fit.c * ends**fit.theta, "--", label=text)
        ax.legend()
    ax.set(xscale="log", yscale="log", ylabel="gradient norm")
    ax.set_xlabel("loss L" if loss_min == 0 else "loss gap L - L*")
    return ax


def plot_comparison(
    etas: Float[np.ndarray, " n"],
    gaps: Float[np.ndarray, " n"],
    ax: Axes,
    *,
    label: str = "gap to the flow",
    order: float | None = None,
) -> Axes:
    """Gap of a discrete method to its flow against step size η, both logarithmic.

    **Arguments:**

    - `etas`, `gaps`: step sizes, and the distance to the flow at equal time.
    - `ax`: where to draw; returned.
    - `label`: which distance it is.
    - `order`: if given, a line of that slope is drawn through the smallest η.
    """
    by_size = np.argsort(etas)
    eta, gap = np.asarray(etas)[by_size], np.asarray(gaps)[by_size]
    ax.plot(eta, gap, "o", label=label)
    if order is not None:
        guide = gap[0] * (eta / eta[0]) ** order
        name = f"slope {order:g}"
        known = ax.get_legend_handles_labels()[1]
        ax.plot(eta, guide, ":", color="gray", label=None if name in known else name)
    ax.set(xscale="log", yscale="log", xlabel="step size η", ylabel="gap to the flow")
    label_ticks(ax, eta)
    ax.legend()
    return ax
