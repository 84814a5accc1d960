"""How fast a drift falls with the tolerance or the step size."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.invariants import drift_order

PROBLEM = gf.Objective(lambda w: 0.5 * (w["u"] * w["v"] - 1.0) ** 2)
W0 = {"u": jnp.array(2.0), "v": jnp.array(0.1)}
LAWS = {
    "law": lambda w: w["u"] ** 2 - w["v"] ** 2,
    "none": lambda w: w["u"] + w["v"],
}


def test_orders_under_gradient_descent() -> None:
    """A law is broken at first order in η, what is none at order 0."""

    def run(eta: float) -> gf.Trajectory:
        return gf.iterate(PROBLEM, gf.gradient_descent(eta), W0, round(1 / eta))

    found = drift_order(run, LAWS, (0.01, 0.0025, 0.005))
    assert found["law"].order == pytest.approx(1, abs=0.05)
    assert found["none"].order == pytest.approx(0, abs=0.01)
    assert found["law"].settings.tolist() == [0.0025, 0.005, 0.01]


def test_order_along_the_flow() -> None:
    """The drift of a law is proportional to the tolerance, within a power of 0.25."""

    def run(rtol: float) -> gf.Trajectory:
        return gf.simulate(
            PROBLEM, gf.GradientFlow(), W0, 5.0, rtol=rtol, atol=1e-2 * rtol
        )

    found = drift_order(run, LAWS, (1e-4, 1e-6, 1e-8))
    assert found["law"].order == pytest.approx(1, abs=0.25)
    assert found["none"].order == pytest.approx(0, abs=0.01)


def test_a_drift_of_zero_has_no_order() -> None:
    """A constant does not drift: nan, and no warning."""

    def run(eta: float) -> gf.Trajectory:
        return gf.iterate(PROBLEM, gf.gradient_descent(eta), W0, 5)

    found = drift_order(run, {"one": lambda w: 0 * w["u"] + 1}, (0.1, 0.2))
    assert np.isnan(found["one"].order)


@pytest.mark.parametrize("settings", [(0.1,), (0.1, 0.1, 0.2), (0.1, -0.1), (0.1, 0.0)])
def test_settings_that_give_no_order(settings: tuple[float, ...]) -> None:
    """Two or more, > 0, all different."""
    with pytest.raises(ValueError, match="> 0, all different"):
        drift_order(lambda eta: pytest.fail("ran"), LAWS, settings)


def test_what_is_no_run() -> None:
    """The function must return a trajectory."""
    runs: Any = lambda eta: eta  # noqa: E731
    with pytest.raises(TypeError, match="must be an instance of Trajectory"):
        drift_order(runs, LAWS, (0.1, 0.2))
