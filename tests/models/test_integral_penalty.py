"""Total variation of any order, and residuals."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import (
    Ball,
    Box,
    Interval,
    LinearOperator,
    residual_penalty,
    total_variation,
)


def power(w: Any, x: Any) -> Any:
    return w * x[:, 0] ** 4


def quadratic(w: Any, x: Any) -> Any:
    """½ xᵀ diag(w) x."""
    return 0.5 * x**2 @ w


def wave(w: Any, x: Any) -> Any:
    return jnp.sin(w * (x[:, 1] - 3 * x[:, 0]))


# f = x⁴ on [0, 1]: ∫ (4x³)² = 16/7, ∫ (12x²)² = 144/5, ∫ (24x)² = 192, ∫ 24² = 576.
def test_each_order_in_closed_form():
    """(η_k/2) ∫ (f^(k))² of x⁴, apart and together."""
    integrals = np.array([16 / 7, 144 / 5, 192, 576])
    strengths = np.array([1.0, 0.5, 0.25, 2.0])
    w = jnp.array(1.0)
    together = total_variation(power, Interval(0.0, 1.0), strengths)
    np.testing.assert_allclose(
        eqx.filter_jit(together)(w), 0.5 * strengths @ integrals, rtol=1e-12
    )
    for k in (1, 3):
        alone = total_variation(power, Interval(0.0, 1.0), 1.0, order=k)
        np.testing.assert_allclose(
            eqx.filter_jit(alone)(w), 0.5 * integrals[k - 1], rtol=1e-12
        )


def test_axes_and_all_directions_of_a_quadratic():
    """Second derivatives of ½ xᵀ H x, H = diag(3, -1), on a square of area 4.

    Along the axes 3² + 1² = 10. For a unit vector at angle a, vᵀHv = 1 + 2 cos 2a,
    whose square has mean 1 + 4/2 = 3.
    """
    box, w = Box([-1.0, -1.0], [1.0, 1.0]), jnp.array([3.0, -1.0])
    cases: list[tuple[Any, float]] = [("axes", 10.0), ("sphere", 3.0)]
    for directions, mean in cases:
        penalty = total_variation(
            quadratic, box, 2.0, order=2, directions=directions, num_points=50
        )
        np.testing.assert_allclose(eqx.filter_jit(penalty)(w), 4 * mean, rtol=1e-12)
        keys = jax.random.split(jax.random.key(0), 400)
        draws = eqx.filter_jit(
            jax.vmap(lambda key, p=penalty: p.estimate(w, 5, key=key))
        )(keys)
        error = float(jnp.std(draws)) / 20 + 1e-12
        assert abs(float(jnp.mean(draws)) - 4 * mean) < 4 * error


def test_all_directions_in_three_dimensions():
    """Mean of (vᵀHv)², H = diag(1, 2, 3): (2‖H‖² + tr² H)/(d(d + 2)) = (28 + 36)/15."""
    ball, w = Ball([0.0, 0.0, 0.0], 1.0), jnp.array([1.0, 2.0, 3.0])
    penalty = total_variation(
        quadratic, ball, 2.0, order=2, directions="sphere", num_points=10
    )
    expected = 4 * np.pi / 3 * 64 / 15
    np.testing.assert_allclose(eqx.filter_jit(penalty)(w), expected, rtol=1e-10)


def test_estimate_on_a_ball_under_jit():
    """Of the same quadratic the mean is |Ω| 64/15, as above.

    Its gradient is unbiased too: with q = (Σ w_i v_i²)², ∂q/∂w_i has the mean
    2 Σ_j w_j E v_i² v_j² = 2 (2 w_i + Σ w)/15.
    """
    ball, w = Ball([0.0, 0.0, 0.0], 1.0), jnp.array([1.0, 2.0, 3.0])
    penalty = total_variation(
        quadratic, ball, 2.0, order=2, directions="sphere", num_points=10
    )
    keys = jax.random.split(jax.random.key(0), 400)
    draws = eqx.filter_jit(
        jax.vmap(
            jax.value_and_grad(lambda w, key: penalty.estimate(w, 5, key=key)),
            (None, 0),
        )
    )(w, keys)
    means = [64 / 15, (4 * np.asarray(w) + 12) / 15]
    for draw, mean in zip(draws, means, strict=True):
        error = np.std(draw, axis=0) / 20
        assert np.all(np.abs(np.mean(draw, axis=0) - 4 * np.pi / 3 * mean) < 4 * error)


def test_an_equation_that_holds_costs_nothing():
    """sin(w(x - 3 t)) solves ∂t + 3 ∂x = 0 whatever w; ∂t + 2 ∂x leaves -w cos(…)."""
    box, w = Box([0.0, 0.0], [1.0, 1.0]), jnp.array(1.5)
    terms = [(0, 1), (1, 1)]
    right = residual_penalty(wave, LinearOperator(terms, [1.0, 3.0]), box)
    assert float(eqx.filter_jit(right)(w)) < 1e-28
    wrong = residual_penalty(wave, LinearOperator(terms, [1.0, 2.0]), box, 2.0)
    x, weights = box.rule(1024)
    expected = weights @ (1.5 * np.cos(1.5 * (x[:, 1] - 3 * x[:, 0]))) ** 2
    np.testing.assert_allclose(eqx.filter_jit(wrong)(w), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="coefficients"):
        LinearOperator(terms, [1.0])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"strengths": -1.0}, "strengths"),
        ({"strengths": [1.0, 2.0], "order": 2}, "order 2 takes one"),
        ({"strengths": 1.0, "order": 0}, "order must be at least 1, not 0"),
        ({"strengths": 1.0, "num_points": 0}, "num_points"),
    ],
)
def test_misuse_is_refused(kwargs: Any, message: str):
    """With the argument that is wrong."""
    with pytest.raises(ValueError, match=message):
        total_variation(power, Interval(0.0, 1.0), **kwargs)


def test_a_model_of_columns_is_refused():
    """(n, 1) instead of (n,): told with its shape, by the rule and by an estimate."""
    penalty = total_variation(lambda w, x: w * x**2, Interval(0.0, 1.0), 1.0)
    with pytest.raises(ValueError, match=r"one number a row.*\(64, 1\)"):
        penalty(jnp.array(1.0))
    with pytest.raises(ValueError, match=r"one number a row.*\(3, 1\)"):
        penalty.estimate(jnp.array(1.0), 3, key=jax.random.key(0))
