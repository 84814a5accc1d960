"""Regression with integral penalties: the exact objective and its estimates."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gflow.models import (
    BlockRidge,
    Interval,
    PenalizedRegression,
    ShallowNet,
    curve_okuno,
    total_variation,
)

NET = ShallowNet(1, 6)


def regression(**kwargs: Any) -> tuple[PenalizedRegression, Any]:
    curve, w0 = curve_okuno("cubic", num=7, width=6, seed=0)
    integral = total_variation(NET, Interval(-0.5, 0.5), [0.1, 1e-3, 1e-5])
    fit = PenalizedRegression(
        NET, curve.x, curve.y, integral=integral, ridge=BlockRidge(0.1), **kwargs
    )
    return fit, jax.tree.map(jnp.asarray, w0)


def test_objective_is_its_three_terms():
    """Mean squares, penalty and ridge, each computed by hand."""
    fit, w = regression()
    a, b, c = (np.asarray(w[name]) for name in "abc")
    f = np.tanh(np.asarray(fit.x) @ b.T + c) @ a
    squares = np.mean((f - np.asarray(fit.y)) ** 2)
    ridge = 0.05 * sum(np.sum(v**2) for v in (a, b, c)) / np.sqrt(6)
    # tanh' = 1 - T², tanh'' = -2 T (1 - T²), tanh''' = (1 - T²)(6 T² - 2)
    nodes, weights = np.polynomial.legendre.leggauss(64)
    T = np.tanh(0.5 * nodes[:, None] * b.T + c)
    slope = 1 - T**2
    orders = (slope, -2 * T * slope, slope * (6 * T**2 - 2))
    total = sum(
        eta / 2 * (0.5 * weights) @ ((u * b[:, 0] ** k) @ a) ** 2
        for k, (eta, u) in enumerate(zip((0.1, 1e-3, 1e-5), orders, strict=True), 1)
    )
    loss = eqx.filter_jit(fit.loss)(w)
    np.testing.assert_allclose(loss, squares + ridge + total, rtol=1e-12)
    np.testing.assert_allclose(fit.problem.loss(w), loss, rtol=1e-14)


def test_a_whole_batch_and_the_rule_give_the_gradient():
    """With all data in the batch only the points are random, and their mean is exact.

    The estimate is linear in the mean over points: its integral over one uniform point
    by 64 Gauss-Legendre nodes is the exact gradient, with no chance left.
    """
    fit, w = regression()
    integral = fit.penalty.integral
    assert integral is not None

    def penalty_at(w: Any, point: Any) -> Any:
        return 0.5 * integral.domain.measure * integral.integrand(w, point[None])[0]

    by_point = jax.jit(jax.vmap(jax.grad(penalty_at), (None, 0)))
    at_points = by_point(w, integral.points)
    mean = jax.tree.map(
        lambda g: jnp.tensordot(integral.weights, g, 1) / integral.domain.measure,
        at_points,
    )
    exact = jax.jit(jax.grad(lambda w: integral(w)))(w)
    for a, b in zip(jax.tree.leaves(mean), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_batches_are_drawn_without_replacement_and_evenly():
    """Each of the 21 pairs of 7 data comes up, and the mean over them is the gradient.

    Of 4000 draws a pair has 190 ± 14; each is told by its gradient.
    """
    curve, w0 = curve_okuno("cubic", num=7, width=6, seed=0)
    fit = PenalizedRegression(NET, curve.x, curve.y)
    w = jax.tree.map(jnp.asarray, w0)
    estimate = fit.estimator(2, 1)
    keys = jax.random.split(jax.random.key(3), 4000)
    drawn = np.asarray(
        eqx.filter_jit(jax.vmap(lambda key: estimate(w, key)["d"]))(keys)
    )

    def of(index: Any) -> float:
        r = NET(w, fit.x[jnp.array(index)]) - fit.y[jnp.array(index)]
        return float(2 * jnp.mean(r))

    pairs = np.array([of(pair) for pair in itertools.combinations(range(7), 2)])
    nearest = np.argmin(np.abs(drawn[:, None] - pairs), axis=1)
    np.testing.assert_allclose(drawn, pairs[nearest], rtol=1e-10)
    counts = np.bincount(nearest, minlength=21)
    assert np.all(np.abs(counts - 4000 / 21) < 5 * np.sqrt(4000 / 21))
    np.testing.assert_allclose(pairs.mean(), of(range(7)), rtol=1e-12)


def test_estimates_are_unbiased():
    """Their mean is within three standard errors of the gradient by quadrature."""
    fit, w = regression()
    estimate = fit.estimator(3, 4)
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = eqx.filter_jit(jax.vmap(lambda key: ravel_pytree(estimate(w, key))[0]))(
        keys
    )
    exact = np.asarray(ravel_pytree(jax.jit(jax.grad(lambda w: fit.loss(w)))(w))[0])
    along = np.asarray(draws) @ exact
    error = along.std(ddof=1) / np.sqrt(len(along))
    assert abs(along.mean() - exact @ exact) < 3 * error
    scores = (np.asarray(draws).mean(0) - exact) / (
        np.asarray(draws).std(0) / 4000**0.5
    )
    assert np.sqrt(np.mean(scores**2)) < 1.5  # 1, for 19 correlated entries


def test_misuse_is_refused():
    """Batches larger than the data, no points, rows that are not rows."""
    fit, _ = regression()
    with pytest.raises(ValueError, match="batch"):
        fit.estimator(8, 1)
    with pytest.raises(ValueError, match="num_points"):
        fit.estimator(1, 0)
    with pytest.raises(ValueError, match=r"x must be \(N, d\)"):
        PenalizedRegression(NET, np.zeros(3), np.zeros(3))


def test_data_are_finite():
    """What is not shows before a run."""
    with pytest.raises(ValueError, match="not finite"):
        PenalizedRegression(NET, np.ones((2, 1)), np.array([1.0, np.nan]))
