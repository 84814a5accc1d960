"""The geometry of mirror flows."""

import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.problem import Mirror


def test_the_entropy_flow_of_a_linear_loss() -> None:
    """L = ⟨c, w⟩: w' = -c w, so w = w0 e^(-ct); L falls by Σ w c² at a time."""
    c = jnp.array([1.0, -0.5])
    problem = gf.Objective(lambda w: c @ w, rates=Mirror())
    w0 = jnp.array([1.0, 2.0])
    run = gf.simulate(problem, gf.GradientFlow(), w0, 2.0, rtol=1e-9)
    np.testing.assert_allclose(run.w1, w0 * np.exp(-2 * c), rtol=1e-8)
    assert run.energy_defect is not None
    assert run.energy_defect < 1e-6


def test_another_potential() -> None:
    """Burg's entropy -Σ log w, 1/ψ'' = w²: (1/w)' = c, w = w0/(1 + c w0 t)."""
    problem = gf.Objective(lambda w: 3.0 * w["a"], rates=Mirror(lambda w: w * w))
    w0 = {"a": jnp.array(2.0)}
    run = gf.simulate(problem, gf.GradientFlow(), w0, 1.0, rtol=1e-9)
    np.testing.assert_allclose(run.w1["a"], 2.0 / 7.0, rtol=1e-8)


def test_a_start_outside_the_domain_is_turned_away() -> None:
    """The entropy's is w > 0."""
    problem = gf.Objective(jnp.sum, rates=Mirror())
    with pytest.raises(ValueError, match="> 0 and finite at w0"):
        gf.simulate(problem, gf.GradientFlow(), jnp.array([1.0, 0.0]), 1.0)


def test_misuse() -> None:
    """What is no function, sums the entries, or is a class."""
    with pytest.raises(TypeError, match="inverse_hessian"):
        Mirror(3.0)  # pyright: ignore
    problem = gf.Objective(jnp.sum, rates=Mirror(jnp.sum))
    with pytest.raises(ValueError, match="of the shape of its argument"):
        gf.simulate(problem, gf.GradientFlow(), jnp.ones(2), 1.0)
    with pytest.raises(TypeError, match="rates"):
        gf.Objective(jnp.sum, rates=Mirror)
