"""Deep linear networks and matrix completion."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from gflow.models import DeepLinear, MatrixCompletion, mode_strength

RNG = np.random.default_rng(3)
WIDTHS = [(4, 4), (4, 4, 4, 4), (3, 5, 4, 2), (2, 6, 6, 5)]


@pytest.mark.parametrize("widths", [*WIDTHS, (3,) * 6, (3,) * 9])
def test_end_to_end_map_is_the_product_last_factor_leftmost(widths: tuple[int, ...]):
    """Against numpy, of stacked and of listed factors."""
    net = DeepLinear(widths)
    w = net.init(key=jax.random.key(0))
    factors = [np.asarray(w[k]) for k in range(net.depth)]
    expected = functools.reduce(lambda p, f: f @ p, factors)
    np.testing.assert_allclose(net.end_to_end(w), expected, rtol=1e-12, atol=1e-14)
    listed = [jnp.asarray(f) for f in factors]
    np.testing.assert_allclose(net.end_to_end(listed), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("widths", WIDTHS)
def test_velocity_is_that_of_the_written_out_flow(widths: tuple[int, ...]):
    """W_l' = -(W_L...W_{l+1})^T G (W_{l-1}...W_1)^T, G = (X W^T - Y)^T X."""
    net = DeepLinear(widths)
    X = RNG.standard_normal((7, widths[0]))
    Y = RNG.standard_normal((7, widths[-1]))
    w = net.init(key=jax.random.key(1))
    velocity = net.problem(X, Y).velocity(w)
    factors = [np.asarray(w[k]) for k in range(net.depth)]

    def multiply(factors: list[Any], start: Any = None) -> Any:
        given = factors if start is None else [start, *factors]
        return functools.reduce(lambda product, factor: factor @ product, given)

    G = (X @ multiply(factors).T - Y).T @ X
    for k in range(net.depth):
        above = multiply(factors[k + 1 :], np.eye(widths[k + 1]))
        below = multiply(factors[:k], np.eye(widths[0]))
        np.testing.assert_allclose(velocity[k], -above.T @ G @ below.T, atol=1e-11)


@pytest.mark.parametrize("widths", WIDTHS)
def test_balanced_factors_multiply_to_the_matrix_and_are_balanced(
    widths: tuple[int, ...],
):
    """Their product is the matrix; W_{l+1}^T W_{l+1} = W_l W_l^T."""
    net = DeepLinear(widths)
    rank = min(widths)
    matrix = RNG.standard_normal((widths[-1], rank)) @ RNG.standard_normal(
        (rank, widths[0])
    )
    w = net.init_balanced(matrix)
    np.testing.assert_allclose(net.end_to_end(w), matrix, atol=1e-12)
    for k in range(net.depth - 1):
        np.testing.assert_allclose(w[k + 1].T @ w[k + 1], w[k] @ w[k].T, atol=1e-12)


def test_spectral_start_has_the_singular_vectors_of_the_target():
    """scale U V^T, and no more singular values than the target's rank."""
    target = RNG.standard_normal((4, 2)) @ RNG.standard_normal((2, 4))
    net = DeepLinear([4, 4, 4])
    start = np.asarray(net.end_to_end(net.init_spectral(target, 0.1)))
    np.testing.assert_allclose(np.linalg.svd(start)[1], [0.1, 0.1, 0, 0], atol=1e-14)
    # Both products are symmetric if and only if singular vectors are shared.
    for product in (start.T @ target, start @ target.T):
        np.testing.assert_allclose(product, product.T, atol=1e-12)


@pytest.mark.parametrize("widths", [(4, 4, 4), (3, 5, 2)])
def test_orthogonal_factors_are_isometries(widths: tuple[int, ...]):
    """All singular values of each factor are the gain."""
    w = DeepLinear(widths).init_orthogonal(key=jax.random.key(2), gain=0.5)
    for factor in w:
        s = np.linalg.svd(np.asarray(factor), compute_uv=False)
        np.testing.assert_allclose(s, 0.5, rtol=1e-12)


def test_gaussian_factors_have_the_variance_of_the_gain():
    """gain^2/n: of 3 x 200 x 200 entries the variance is known to 1 %."""
    w = DeepLinear([200] * 4).init(key=jax.random.key(0), gain=0.5)
    assert abs(float(jnp.var(w)) * 200 / 0.25 - 1) < 0.01


def test_modes_follow_the_closed_form():
    """Two layers, whitened inputs, spectral start: LSODA against Saxe's a(t)."""
    strengths, start = np.array([3.0, 1.0]), 0.01
    left, right = (np.linalg.qr(RNG.standard_normal((3, 2)))[0] for _ in "uv")
    target = (left * strengths) @ right.T
    net = DeepLinear([3, 3, 3])
    w0 = net.init_spectral(target, start)
    problem = net.problem(np.eye(3), target.T)
    velocity = jax.jit(lambda w: jnp.ravel(problem.velocity(w.reshape(w0.shape))))
    ts = np.array([0.5, 1.0, 2.0, 5.0])
    run = solve_ivp(
        lambda _, w: np.asarray(velocity(jnp.asarray(w))),
        (0, 5.0),
        np.ravel(w0),
        method="LSODA",
        t_eval=ts,
        rtol=1e-10,
        atol=1e-12,
    )
    for t, w in zip(ts, run.y.T, strict=True):
        W = np.asarray(net.end_to_end(jnp.asarray(w.reshape(w0.shape))))
        s = np.linalg.svd(W, compute_uv=False)[:2]
        np.testing.assert_allclose(s, mode_strength(t, strengths, start), rtol=1e-7)


def test_completion_sees_the_known_entries_only():
    """Its loss is half the squares there; where nothing is known nothing moves."""
    net = DeepLinear([3, 2, 4])
    places = np.array([[0, 0], [3, 1], [2, 0]])
    values = np.array([1.0, -1.0, 0.5])
    w = net.init(key=jax.random.key(4))
    W = np.asarray(w[1]) @ np.asarray(w[0])
    problem = MatrixCompletion(net).problem(places, values)
    expected = 0.5 * sum(
        (W[i, j] - v) ** 2 for (i, j), v in zip(places, values, strict=True)
    )
    np.testing.assert_allclose(problem.loss(w), expected, rtol=1e-12)
    # Row 1 and column 2 hold no known entry.
    grad = problem.grad(w)
    assert np.all(np.asarray(grad[1])[1] == 0)
    assert np.all(np.asarray(grad[0])[:, 2] == 0)


def test_misuse_is_named():
    """Widths, matrices, data and places that do not fit raise at once."""
    with pytest.raises(ValueError, match="at least two numbers"):
        DeepLinear([3])
    net = DeepLinear([3, 1, 3])
    with pytest.raises(ValueError, match="holds no rank 3"):
        net.init_balanced(np.eye(3))
    with pytest.raises(ValueError, match=r"shape \(3, 3\)"):
        net.init_balanced(np.eye(2))
    with pytest.raises(ValueError, match="scale must be > 0"):
        net.init_spectral(np.eye(3), 0.0)
    with pytest.raises(ValueError, match=r"X must have shape \(k, 3\)"):
        net.problem(np.eye(2), np.eye(2))
    completion = MatrixCompletion(net)
    with pytest.raises(ValueError, match="indices into a matrix"):
        completion.problem(np.array([[0, 3]]), np.ones(1))
    with pytest.raises(ValueError, match=r"places must have shape"):
        completion.problem(np.array([0, 3]), np.ones(1))
