"""The style: on inside the block, gone after it."""

import subprocess
import sys

import matplotlib as mpl

from gflow.plots import label_ticks, panels, style


def test_style_ends_with_its_block():
    """A caller's own settings come back."""
    before = dict(mpl.rcParams)
    with style():
        assert mpl.rcParams["legend.frameon"] is False
    assert dict(mpl.rcParams) == before


def test_panels_are_as_many_as_asked():
    """Places of the grid that are not needed stay empty."""
    figure, axes = panels(3)
    assert len(axes) == len(figure.axes) == 3


def test_ticks_are_where_they_are_wanted():
    """On half a decade, where logarithmic axes have minor ticks of their own."""
    _, (ax,) = panels(1)
    ax.plot([2, 4, 8], [1, 2, 3])
    ax.set_xscale("log")
    label_ticks(ax, (2, 8.0))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["2", "8"]
    assert list(ax.get_xticks()) == [2, 8]
    assert list(ax.get_xticks(minor=True)) == []


def test_no_pyplot_is_loaded():
    """Drawing needs no backend and no window."""
    code = "import sys, gflow.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
