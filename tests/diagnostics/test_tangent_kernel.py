"""Tangent kernels against closed forms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.diagnostics import (
    activation_flips,
    frozen_residual,
    tangent_kernel,
    tangent_kernel_drift,
)
from gflow.models import DiagonalNet, TwoLayerReLU, WeightNormalized, two_layer_instance


def test_two_layer_kernel_is_the_sum_of_its_layers() -> None:
    """η₁ K₁ + η₂ K₂ with K₁ = XXᵀ ∘ D diag(a²) Dᵀ and K₂ = σ(XWᵀ) σ(XWᵀ)ᵀ."""
    data = two_layer_instance(7, 3, 5, seed=2)
    W, a = np.asarray(data.w0["w"]), np.asarray(data.w0["a"])
    z = data.X @ W.T
    D, hidden = (z > 0).astype(float), np.maximum(z, 0)
    first = (data.X @ data.X.T) * ((D * a**2) @ D.T)
    problem = TwoLayerReLU(3, 5).problem(data.X, data.y, rates=(2.0, 3.0))
    found = tangent_kernel(problem, data.w0)
    expected = 2 * first + 3 * hidden @ hidden.T
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_loss_falls_at_the_rate_of_the_kernel() -> None:
    """L' = -rᵀKr = ⟨∇L, w'⟩, in a metric that depends on w too."""
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((4, 6)), rng.standard_normal(4)
    model = WeightNormalized(DiagonalNet(6), kappa=3.0)
    problem, w = model.problem(A, y), model.init(0.3)
    predictions = problem.predict(w)
    assert predictions is not None
    r = predictions - y
    gradient, velocity = problem.grad(w), problem.velocity(w)
    rate = sum(
        float(jnp.vdot(g, v))
        for g, v in zip(
            jax.tree.leaves(gradient), jax.tree.leaves(velocity), strict=True
        )
    )
    np.testing.assert_allclose(-r @ tangent_kernel(problem, w) @ r, rate, rtol=1e-10)


def test_a_linear_model_keeps_its_kernel_and_its_prediction() -> None:
    """X w: K = XXᵀ at all times, and r(t) = exp(-XXᵀ t) r(0) is the flow."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((3, 5)), rng.standard_normal(3)
    problem = gf.EmpiricalRisk(lambda w, x: x @ w, X, y)
    w0 = rng.standard_normal(5)
    run = gf.simulate(
        problem,
        gf.GradientFlow(),
        w0,
        1.0,
        rtol=1e-9,
        atol=1e-12,
        save=gf.Save.at([0.3, 1.0]),
    )
    np.testing.assert_allclose(tangent_kernel_drift(run), 0, atol=1e-14)
    r = frozen_residual(tangent_kernel(problem, w0), X @ w0 - y, run.ts)
    np.testing.assert_allclose(r, run.ws @ X.T - y, atol=1e-8)


def test_drift_is_relative_to_the_start() -> None:
    """f = w²/2 of one datum: K = w², and the flow of ½f² is w' = -w³/2.

    w(t)² = 1/(1/w0² + t): from w0 = 1 to t = 1, K falls from 1 to ½.
    """
    problem = gf.EmpiricalRisk(lambda w, x: x * w**2 / 2, np.ones(1), np.zeros(1))
    times = gf.Save.at([1.0])
    run = gf.simulate(problem, gf.GradientFlow(), np.ones(1), 1.0, save=times)
    np.testing.assert_allclose(tangent_kernel_drift(run), [0, 0.5], atol=1e-5)


def test_flips_are_counted_off_the_kinks() -> None:
    """Of six pairs one changes its side and one comes to its kink."""
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    problem = TwoLayerReLU(2, 2).problem(X, np.zeros(3))

    def point(W: Any) -> Any:
        return {"w": jnp.asarray(W), "a": jnp.ones(2)}

    before, after = [[1.0, -3.0], [1.0, 1.0]], [[-1.0, -3.0], [1e-15, 1.0]]
    assert float(activation_flips(problem, point(before), point(after))) == 1 / 6


def test_misuse_is_named() -> None:
    """No model, no kinks, no parameters."""
    bare = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
    with pytest.raises(ValueError, match="needs a model"):
        tangent_kernel(bare, jnp.ones(2))
    with pytest.raises(ValueError, match="declares its kinks"):
        activation_flips(bare, jnp.ones(2), jnp.ones(2))
    save = gf.Save.at([1.0], keep_params=False)
    run = gf.simulate(bare, gf.GradientFlow(), jnp.ones(2), 1.0, save=save)
    with pytest.raises(ValueError, match="kept no parameters"):
        tangent_kernel_drift(run)
