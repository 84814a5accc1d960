"""One look for all figures."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette (2008): told apart with any color vision and, in this order,
# by lightness too. Their yellow is left out: it vanishes on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

_PANEL = (4.8, 3.6)  # inches

_STYLE: Any = {
    # Text of 11 points on a panel 4.8 inches wide still reads at half size.
    "font.size": 11.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 11.0,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.0,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
    "pdf.fonttype": 42,  # text in the PDF stays text
}


@contextmanager
def style() -> Generator[None, None, None]:
    """The look of gflow within the block, and the caller's own again after it."""
    with mpl.rc_context(_STYLE):
        yield


def panels(num: int = 1, *, columns: int = 2, **kwargs: Any) -> tuple[Figure, Any]:
    """A figure of `num` equal panels, with their axes in one flat array.

    The figure belongs to no window and to no pyplot state. `kwargs` go to
    `Figure.subplots`.
    """
    columns = min(num, columns)
    rows = -(-num // columns)
    figure = Figure(figsize=(columns * _PANEL[0], rows * _PANEL[1]))
    axes = figure.subplots(rows, columns, squeeze=False, **kwargs).ravel()
    for spare in axes[num:]:
        spare.remove()
    return figure, axes[:num]


def label_ticks(ax: Axes, ticks: Iterable[Any], form: str = "g") -> None:
    """Ticks of the horizontal axis at these numbers, and nowhere else.

    On a logarithmic axis of less than a decade matplotlib's own are none or too many.
    """
    ticks = list(ticks)
    ax.set_xticks(ticks, [f"{tick:{form}}" for tick in ticks])
    ax.set_xticks([], minor=True)
