"""One step of each method."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gflow as gf

W = {"u": jnp.array([1.0, -2.0]), "v": jnp.array(4.0)}
# L = ½ ‖w‖²: the gradient is w.
PROBLEM = gf.Objective(
    lambda w: 0.5 * (jnp.sum(w["u"] ** 2) + w["v"] ** 2), rates={"u": 2.0, "v": 0.0}
)


def _step(stepper: gf.Stepper) -> Any:
    return stepper.step(PROBLEM, W, PROBLEM.grad(W), stepper.init(W))[0]


def test_gradient_descent_is_an_euler_step() -> None:
    """w - η rate w: u times 1 - 0.25 · 2, v frozen."""
    w = _step(gf.gradient_descent(0.25))
    np.testing.assert_array_equal(w["u"], [0.5, -1.0])
    assert float(w["v"]) == 4.0


def test_optax_sees_the_metric_gradient() -> None:
    """sign descent moves by its step whatever the size, and not where the rate is 0."""
    w = _step(gf.from_optax(optax.sign_sgd(0.125), eta=0.125))
    np.testing.assert_array_equal(w["u"], [0.875, -1.875])
    assert float(w["v"]) == 4.0


def test_float32_parameters_stay_float32() -> None:
    """eta is a float64 number and must not widen them."""
    w = jnp.ones(2, jnp.float32)
    problem = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
    for stepper in (gf.gradient_descent(0.1), gf.from_optax(optax.adam(0.1), eta=0.1)):
        assert stepper.step(problem, w, w, stepper.init(w))[0].dtype == np.float32


def test_name_tells_the_method_and_its_step() -> None:
    """For tables and reports."""
    assert gf.gradient_descent(0.01).name == "gradient descent, eta 0.01"
    assert gf.from_optax(optax.sgd(1.0), eta=2.0, name="sgd").name == "sgd, eta 2"


@pytest.mark.parametrize(
    "eta", [0.0, -1.0, float("nan"), float("inf"), [0.1, -0.1], [], np.ones((1, 1))]
)
def test_eta_is_positive_and_finite(eta: Any) -> None:
    """It is the flow time of a step."""
    with pytest.raises(ValueError, match="eta must be"):
        gf.gradient_descent(eta)
    with pytest.raises(ValueError, match="eta must be"):
        gf.from_optax(optax.sgd(1.0), eta=eta)
