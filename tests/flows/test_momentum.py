"""Flows with inertia."""

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import j1

import gflow as gf
from gflow.flows import HeavyBall, Nesterov

# L = ½ Σ λ w²: every component is an oscillator of its own.
CURVATURES = np.array([0.5, 4.0])
PROBLEM = gf.Objective(lambda w: 0.5 * jnp.sum(jnp.asarray(CURVATURES) * w**2))
TS = np.linspace(0.5, 8.0, 16)


def end(flow: gf.Flow) -> gf.Trajectory:
    return gf.simulate(
        PROBLEM,
        flow,
        jnp.ones(2),
        8.0,
        rtol=1e-9,
        atol=1e-12,
        solver=diffrax.Tsit5(),
        save=gf.Save.at(TS),
        progress=False,
    )


def test_nesterov_on_a_quadratic_is_a_bessel_function() -> None:
    """2 J₁(√λ t)/(√λ t), and the energy is the loss dropped."""
    run = end(Nesterov())
    z = np.sqrt(CURVATURES) * TS[:, None]
    np.testing.assert_allclose(np.asarray(run.ws)[1:], 2 * j1(z) / z, atol=1e-7)
    assert run.energy_defect is not None
    assert run.energy_defect < 1e-6


def test_heavy_ball_on_a_quadratic_is_a_damped_oscillation() -> None:
    """e^(-ct/2)(cos ωt + c/(2ω) sin ωt), ω² = λ - c²/4."""
    friction = 0.6
    run = end(HeavyBall(friction))
    speed, t = np.sqrt(CURVATURES - friction**2 / 4), TS[:, None]
    wave = np.cos(speed * t) + friction / 2 / speed * np.sin(speed * t)
    exact = np.exp(-friction * t / 2) * wave
    np.testing.assert_allclose(np.asarray(run.ws)[1:], exact, atol=1e-7)


def test_rates_act_on_the_force() -> None:
    """w'' + c w' = -rate λ w: the derivative of the state says so directly."""
    problem = gf.Objective(lambda w: 1.5 * w["u"] ** 2, rates={"u": 2.0})
    flow = HeavyBall(0.5)
    state = flow.init({"u": jnp.array(1.0)})
    moving = type(state)(state.w, {"u": jnp.array(4.0)}, state.energy)
    rate = flow.terms({"u": None}).vf(0.0, moving, problem)
    assert float(rate.w["u"]) == 4.0
    # -2 · 3 - 0.5 · 4 and, for the loss dropped, -3 · 4.
    assert float(rate.velocity["u"]) == -8.0
    assert float(flow.energy(rate)) == -12.0


def test_nesterov_starts_with_a_fraction_of_the_force() -> None:
    """v = t v'(0) makes v'(0) (1 + damping) = f(w0) = -λ w."""
    flow = Nesterov(3.0)
    rate = flow.terms(None).vf(jnp.array(0.0), flow.init(jnp.ones(2)), PROBLEM)
    np.testing.assert_allclose(rate.velocity, -CURVATURES / 4)


def test_a_start_at_rest_on_a_minimum_is_told() -> None:
    """Neither velocity nor force: nothing moves."""
    with pytest.raises(gf.RunError, match="zero_gradient"):
        gf.simulate(PROBLEM, HeavyBall(1.0), jnp.zeros(2), 1.0, progress=False)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_parameters_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="friction must be >= 0"):
        HeavyBall(value)
    with pytest.raises(ValueError, match="damping must be > 0"):
        Nesterov(value)
