"""The modified equation of gradient descent."""

import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.flows import ModifiedFlow


def velocity(flow: ModifiedFlow, problem: gf.Problem, w: float) -> float:
    state = flow.init(jnp.asarray(w))
    return float(flow.params(flow.terms(None).vf(0.0, state, problem)))


@pytest.mark.parametrize("order", [0, 1, 2])
def test_on_a_quadratic_it_is_the_series_of_a_logarithm(order: int) -> None:
    """1 - ηλ = e^(η μ), μ = log(1 - ηλ)/η = -λ - ηλ²/2 - η²λ³/3 - ..."""
    eta, curvature = 0.1, 3.0
    problem = gf.Objective(lambda w: 0.5 * curvature * w**2)
    terms = [curvature ** (k + 1) * eta**k / (k + 1) for k in range(order + 1)]
    found = velocity(ModifiedFlow(eta, order=order), problem, 2.0)
    np.testing.assert_allclose(found, -2.0 * sum(terms), rtol=1e-14)


def test_third_derivatives_enter_at_order_two() -> None:
    """Of L = w⁴/4 at w = 1 the terms are 1, 3η/2 and η² (3 + 1/2)."""
    # g = w³, H = 3w², L''' = 6w: Hg/2 = 3/2, HHg/3 = 3, L'''g²/12 = 1/2.
    problem = gf.Objective(lambda w: w**4 / 4)
    found = velocity(ModifiedFlow(0.1, order=2), problem, 1.0)
    np.testing.assert_allclose(found, -(1 + 0.15 + 0.01 * 3.5), rtol=1e-14)


def test_order_one_is_the_gradient_of_the_regularized_loss_in_a_metric() -> None:
    """-G⁻¹∇(L + η/4 ‖∇L‖²_{G⁻¹}), with rates 2 and 1 and L = u² v."""
    rates = {"u": 2.0, "v": 1.0}
    problem = gf.Objective(lambda w: w["u"] ** 2 * w["v"], rates=rates)
    w, eta = {"u": jnp.array(1.5), "v": jnp.array(-0.5)}, 0.1

    def regularized(w: dict[str, jnp.ndarray]) -> jnp.ndarray:
        squares = 2.0 * (2 * w["u"] * w["v"]) ** 2 + w["u"] ** 4
        return problem.loss(w) + eta / 4 * squares

    flow = ModifiedFlow(eta, order=1)
    rate = flow.terms({"u": None, "v": None}).vf(0.0, flow.init(w), problem)
    expected = gf.Objective(regularized, rates=rates).velocity(w)
    for name in rates:
        np.testing.assert_allclose(rate.w[name], expected[name], rtol=1e-13)


@pytest.mark.parametrize("given", [{"eta": 0.0}, {"eta": 0.1, "order": 3}])
def test_arguments_out_of_range_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ModifiedFlow(**given)  # pyright: ignore[reportArgumentType]
