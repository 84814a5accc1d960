"""Plots of what is conserved: what is drawn is what was found."""

import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.invariants import DriftOrder, Verification, verify
from gflow.plots import panels, plot_drift_order, plot_verification

PROBLEM = gf.Objective(lambda w: 0.5 * (w["u"] * w["v"] - 1.0) ** 2)
W0 = {"u": jnp.array(2.0), "v": jnp.array(0.1)}
LAWS = {"law": lambda w: w["u"] ** 2 - w["v"] ** 2, "none": lambda w: w["u"]}


@pytest.fixture(scope="module")
def along_flow() -> Verification:
    save = gf.Save.log(20)
    return verify(gf.simulate(PROBLEM, gf.GradientFlow(), W0, 5.0, save=save), LAWS)


@pytest.fixture(scope="module")
def under_descent() -> Verification:
    return verify(gf.iterate(PROBLEM, gf.gradient_descent(0.01), W0, 100), LAWS)


def test_drift_and_tolerance(along_flow: Verification) -> None:
    """Laws solid, what is violated dashed; one line at ten tolerances."""
    _, (ax,) = panels()
    assert plot_verification(along_flow, ax) is ax
    law, none, tolerance = ax.lines
    np.testing.assert_array_equal(law.get_ydata(), along_flow["law"].moved[1:])
    assert (law.get_linestyle(), none.get_linestyle()) == ("-", "--")
    # rtol 1e-6, and atol 1e-9 over the largest parameter, 2.
    height = np.asarray(tolerance.get_ydata())
    np.testing.assert_allclose(height, 1e-5, rtol=1e-2)
    legend = ax.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["law: tolerance", "none: violated", "10 tolerances"]


def test_the_predicted_drift_of_descent(under_descent: Verification) -> None:
    """Dotted, in the color of its law, and no line of a tolerance."""
    _, (ax,) = panels()
    plot_verification(under_descent, ax)
    law, predicted, none, _ = ax.lines
    np.testing.assert_array_equal(
        predicted.get_ydata(), under_descent["law"].explained[1:]
    )
    assert predicted.get_color() == law.get_color() != none.get_color()
    legend = ax.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["law: step size", "none: violated", "predicted"]


def test_nothing_to_draw() -> None:
    """A model without laws has no figure."""
    _, (ax,) = panels()
    with pytest.raises(ValueError, match="no quantity"):
        plot_verification(Verification(()), ax)
    with pytest.raises(ValueError, match="no quantity"):
        plot_drift_order({}, ax)


def test_orders() -> None:
    """Points as found, and a line of slope 1 below them."""
    settings = np.array([1e-6, 1e-4])
    found = {"law": DriftOrder(settings, np.array([2e-7, 2e-5]), 1.0)}
    _, (ax,) = panels()
    assert plot_drift_order(found, ax) is ax
    points, guide = ax.lines
    np.testing.assert_array_equal(points.get_ydata(), [2e-7, 2e-5])
    np.testing.assert_allclose(np.asarray(guide.get_ydata()), [2e-7, 2e-5])
    assert points.get_label() == "law: order 1.00"
    assert ax.get_xlabel() == "tolerance rtol"
