"""What the parts share."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._claim import Claim
from .._statistics import mean_of, order


def width_claim(
    name: str,
    statement: str,
    source: str,
    widths: tuple[int, ...],
    errors: Float[np.ndarray, "widths draws"],
) -> Claim:
    """That errors fall as m^(-1/2) in the width, one power fitted to each draw."""
    slopes = mean_of([order(widths, column) for column in errors.T])
    return Claim(
        name,
        f"{statement}: fitted power of the width m, {slopes.over}. Tolerance: 0.1 as "
        "widths are finite, and half the interval, of which 0.1 at most.",
        source,
        expected=-0.5,
        measured=slopes.mean,
        tolerance=0.1 + min(0.1, slopes.interval[1] - slopes.mean),
        interval=slopes.interval,
    )


def draw_powers(
    ax: Any, x: Any, y: Any, label: str, color: str, exponent: float | None = None
) -> None:
    """Points on logarithmic axes and, if given, below them a dotted line of a slope."""
    from ...plots import label_ticks

    x, y = np.asarray(x), np.asarray(y)
    ax.plot(x, y, "o-", label=label, color=color)
    if exponent is not None:
        # From the largest y on, so that the two part where y is small.
        first = np.argmax(y)
        guide = 0.6 * y[first] * (x / x[first]) ** exponent
        ax.plot(x, guide, ":", color=color, linewidth=1.2)
    ax.set(xscale="log", yscale="log")
    label_ticks(ax, x)
