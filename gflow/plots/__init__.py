"""Figures and the report: they read results and run nothing.

Functions draw on the axes they are given and return them; no global state of
matplotlib changes.
"""

from ._convergence import (
    plot_comparison as plot_comparison,
    plot_convergence as plot_convergence,
)
from ._heat_map import plot_heat_map as plot_heat_map
from ._report import render_report as render_report
from ._style import (
    COLORS as COLORS,
    label_ticks as label_ticks,
    panels as panels,
    style as style,
)
from ._trajectory import plot_drift as plot_drift, plot_loss as plot_loss
from ._verification import (
    plot_drift_order as plot_drift_order,
    plot_verification as plot_verification,
)
