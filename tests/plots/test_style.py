"""The style: on inside the block, gone after it."""

import subprocess
import sys

import matplotlib as mpl

from gflow.plots import panels, style


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


def test_no_pyplot_is_loaded():
    """Drawing needs no backend and no window."""
    code = "import sys, gflow.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
