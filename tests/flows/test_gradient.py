"""Gradient flow as a law of motion."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import gflow as gf

W = {"u": jnp.array([1.0, 2.0]), "v": (jnp.array(3.0), None)}
# L = ½ (‖u‖² + v²): the gradient is w, and the velocity -rate w.
PROBLEM = gf.Objective(
    lambda w: 0.5 * (jnp.sum(w["u"] ** 2) + w["v"][0] ** 2),
    rates={"u": 2.0, "v": (0.5, None)},
)


def test_right_side_is_minus_the_metric_gradient_and_its_power() -> None:
    """dw/dt = -G⁻¹∇L, d energy/dt = ⟨∇L, G⁻¹∇L⟩ = 2·(1 + 4) + ½·9 = 14.5."""
    flow = gf.GradientFlow()
    state = flow.init(W)
    assert float(flow.energy(state)) == 0
    rate = flow.terms({"u": None, "v": (None, None)}).vf(0.0, state, PROBLEM)
    np.testing.assert_array_equal(flow.params(rate)["u"], [-2.0, -4.0])
    assert float(flow.params(rate)["v"][0]) == -1.5
    assert float(flow.energy(rate)) == 14.5


def test_terms_work_in_a_plain_diffeqsolve() -> None:
    """u' = -2u, v' = -v/2; energy = L(0) - L(t), as the loss can go nowhere else."""
    flow = gf.GradientFlow()
    solution = diffrax.diffeqsolve(
        flow.terms({"u": None, "v": (None, None)}),
        diffrax.Tsit5(),
        0.0,
        1.0,
        0.1,
        flow.init(W),
        PROBLEM,
        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-12),
    )
    assert solution.ys is not None
    end = jax.tree.map(lambda x: x[-1], solution.ys)
    np.testing.assert_allclose(flow.params(end)["u"], np.exp(-2) * W["u"], rtol=1e-8)
    np.testing.assert_allclose(flow.params(end)["v"][0], 3 * np.exp(-0.5), rtol=1e-8)
    dropped = 7.0 - (2.5 * np.exp(-4) + 4.5 * np.exp(-1))
    np.testing.assert_allclose(flow.energy(end), dropped, rtol=1e-8)


def test_energy_has_the_type_of_the_parameters() -> None:
    """float32 parameters have a float32 energy, under x64 too."""
    state = gf.GradientFlow().init(jnp.ones(2, jnp.float32))
    assert state.energy.dtype == np.float32
