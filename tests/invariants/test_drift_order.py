"""How fast a drift falls with the tolerance or the step size."""

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


def test_one_setting_is_too_few() -> None:
    """An order takes two."""
    with pytest.raises(ValueError, match="two different settings"):
        drift_order(lambda eta: pytest.fail("ran"), LAWS, (0.1, 0.1))
