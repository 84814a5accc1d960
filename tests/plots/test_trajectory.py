"""Plots of trajectories: what is drawn is what was measured."""

import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.plots import (
    panels,
    plot_comparison,
    plot_convergence,
    plot_drift,
    plot_loss,
)


@pytest.fixture(scope="module")
def run() -> gf.Trajectory:
    problem = gf.Objective(
        lambda w: 0.5 * jnp.sum((w["u"] ** 2 - w["v"] ** 2 - 1) ** 2)
    )
    w0 = {"u": jnp.array([0.5, 0.3]), "v": jnp.array([0.4, 0.2])}
    return gf.simulate(
        problem,
        gf.GradientFlow(),
        w0,
        t1=5.0,
        save=gf.Save.log(20),
        invariants={"uv": lambda w: w["u"] * w["v"]},
    )


def test_loss_is_drawn_for_positive_times(run: gf.Trajectory):
    """The point at t = 0 has no place on a log axis; all others are there."""
    _, (ax,) = panels()
    assert plot_loss({"flow": run}, ax) is ax
    x, y = ax.lines[0].get_data()
    np.testing.assert_array_equal(x, run.ts[1:])
    np.testing.assert_array_equal(y, run.observed["loss"][1:])
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_drift_peaks_at_the_number_reported(run: gf.Trajectory):
    """The curve's maximum is `trajectory.drift[name].relative`."""
    _, (ax,) = panels()
    plot_drift(run, ax)
    heights = np.asarray(ax.lines[0].get_ydata())
    np.testing.assert_allclose(heights.max(), run.drift["uv"].relative)


def test_convergence_draws_run_and_fit(run: gf.Trajectory):
    """The line is c (L - L*)^θ between the gaps that the fit rests on."""
    fit = gf.diagnostics.lojasiewicz(run)
    _, (ax,) = panels()
    plot_convergence(run, ax, fit=fit)
    x, y = map(np.asarray, ax.lines[1].get_data())
    np.testing.assert_allclose(x, fit.gaps)
    np.testing.assert_allclose(y, fit.c * x**fit.theta)


def test_comparison_sorts_and_draws_its_slope():
    """The guide starts at the smallest step size, whatever the order given."""
    _, (ax,) = panels()
    plot_comparison(np.array([0.2, 0.1]), np.array([4.0, 1.0]), ax, order=1.0)
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [0.1, 0.2])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [1.0, 2.0])
