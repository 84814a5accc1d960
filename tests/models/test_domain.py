"""Domains: measures, rules, uniform samples."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import Ball, Box, Interval, SampledDomain


def square(num: int, key: Any) -> Any:
    return jax.random.uniform(key, (num, 2))


# ∫ x_1² dx: ∫_{-1}^{2} x² = 3; over [0,2]x[0,3] 8/3·3 = 8; over a ball of radius r
# about 0 it is r²/(d + 2) times the measure, for d = 3, r = 2: 4/5 · 32π/3; about
# (1, 0)
# with r = 1: π (1 + 1/4); over the unit square 1/3.
@pytest.mark.parametrize(
    ("domain", "measure", "integral", "error"),
    [
        (Interval(-1.0, 2.0), 3.0, 3.0, 1e-12),
        (Box([0.0, 0.0], [2.0, 3.0]), 6.0, 8.0, 2e-3),
        (Ball([0.0, 0.0, 0.0], 2.0), 32 * np.pi / 3, 4 / 5 * 32 * np.pi / 3, 5e-3),
        (Ball([1.0, 0.0], 1.0), np.pi, 1.25 * np.pi, 1e-2),
        (SampledDomain(square, measure=1.0), 1.0, 1 / 3, 0.05),
    ],
)
def test_rules_and_samples_integrate(
    domain: Any, measure: float, integral: float, error: float
):
    """1 exactly, x_1² by the rule, and by the mean of samples within four errors."""
    x, weights = domain.rule(2000)
    np.testing.assert_allclose(float(domain.measure), measure, rtol=1e-12)
    np.testing.assert_allclose(weights.sum(), measure, rtol=1e-12)
    np.testing.assert_allclose(weights @ x[:, 0] ** 2, integral, rtol=error)
    drawn = np.asarray(domain.sample(4000, key=jax.random.key(1)))
    values = measure * drawn[:, 0] ** 2
    spread = values.std() / np.sqrt(4000)
    assert abs(values.mean() - integral) < 4 * spread


def test_points_of_a_ball_lie_in_it():
    """Of its rule and its samples."""
    ball = Ball([1.0, -1.0], 0.5)
    for points in (ball.rule(100)[0], ball.sample(100, key=jax.random.key(0))):
        assert float(jnp.max(jnp.linalg.norm(points - ball.center, axis=1))) <= 0.5


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_no_coordinate_leads_out_of_a_ball(dtype: Any):
    """Coordinates 0, 1/2 and 1, which rounding can give, place finite points in it."""
    ball = Ball([0.0], 1.0)
    grid = jnp.array([0.0, 0.5, 1.0], dtype)
    corners = jnp.stack(jnp.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    points = ball._placed(corners)
    assert bool(jnp.all(jnp.abs(points) <= 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Interval(1.0, 1.0),
        lambda: Box([0.0, 1.0], [1.0, 0.0]),
        lambda: Ball([0.0], -1.0),
        lambda: SampledDomain(square, measure=0.0),
    ],
)
def test_empty_domains_are_refused(make: Any):
    """Each says what it expects."""
    with pytest.raises(ValueError, match=r"low < high|must be > 0"):
        make()
