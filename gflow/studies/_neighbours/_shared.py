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
    """Points on logarithmic axes and, if given, a dotted line of that slope."""
    ax.plot(x, y, "o-", label=label, color=color)
    if exponent is not None:
        x, y = np.asarray(x), np.asarray(y)
        ax.plot(x, y[0] * (x / x[0]) ** exponent, ":", color=color, linewidth=1.0)
    ax.set(xscale="log", yscale="log")
