"""Heat maps: the numbers can be read, and stand where they belong."""

import numpy as np

from gflow.plots import panels, plot_heat_map


def test_texts_stand_in_their_cells():
    """Rows from below; light on black, dark on white, and gaps stay gaps."""
    _, (ax,) = panels(1)
    table = np.array([[0.0, 1.0, np.nan], [1.0, 0.0, 0.5]])
    found = plot_heat_map(
        table,
        ax,
        rows=["low", "high"],
        columns=["a", "b", "c"],
        texts=[["00", "01", ""], ["10", "11", "12"]],
        cmap="gray",
    )
    assert found is ax
    placed = {text.get_text(): text for text in ax.texts}
    assert placed["12"].get_position() == (2, 1)
    assert placed["00"].get_color() == placed["11"].get_color() == "white"
    assert placed["01"].get_color() == placed["10"].get_color() == "black"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["low", "high"]
    shown = ax.images[-1].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), np.isnan(table))
