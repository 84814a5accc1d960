"""Tables as colors, with their numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes


def plot_heat_map(
    table: Float[np.ndarray, "rows columns"],
    ax: Axes,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Any,
    **kwargs: Any,
) -> Axes:
    """A table as colors, a text in each cell: light on dark, and dark on light.

    **Arguments:**

    - `table`: what is shown in color; NaN in the colormap's color for bad values.
    - `ax`: where to draw; returned. Its last image is what a color bar is made for.
    - `rows`, `columns`: labels of the ticks; the first row is the lowest.
    - `texts`: what is written, of the shape of the table.
    - `kwargs`: for `Axes.imshow`: `cmap`, and `norm` or `vmin` and `vmax`.
    """
    shown = np.ma.masked_invalid(table)
    image = ax.imshow(shown, origin="lower", aspect="auto", **kwargs)
    luminance = image.to_rgba(shown)[..., :3] @ np.array([0.3, 0.59, 0.11])
    for (row, column), text in np.ndenumerate(np.asarray(texts)):
        color = "white" if luminance[row, column] < 0.5 else "black"
        ax.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(visible=False)
    return ax
