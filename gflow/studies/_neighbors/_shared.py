"""What the parts share."""

from typing import Any

import numpy as np
from jaxtyping import Float


def order(
    x: Float[np.ndarray, " n"] | tuple[float, ...], y: Float[np.ndarray, " n"]
) -> float:
    """The exponent p of y ~ x^p, by least squares on the logarithms."""
    return float(np.polyfit(np.log(np.asarray(x)), np.log(np.asarray(y)), 1)[0])


def draw_powers(
    ax: Any, x: Any, y: Any, label: str, color: str, exponent: float | None = None
) -> None:
    """Points on logarithmic axes and, if given, below them a dotted line of a slope."""
    from matplotlib.ticker import NullLocator

    x, y = np.asarray(x), np.asarray(y)
    ax.plot(x, y, "o-", label=label, color=color)
    if exponent is not None:
        # From the largest y on, so that the two part where y is small.
        first = np.argmax(y)
        guide = 0.6 * y[first] * (x / x[first]) ** exponent
        ax.plot(x, guide, ":", color=color, linewidth=1.2)
    ax.set(xscale="log", yscale="log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(x, [f"{value:g}" for value in x])
