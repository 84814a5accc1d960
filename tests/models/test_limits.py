"""Limits of the flows of diagonal linear networks, without integrating them."""

from typing import Any

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

from gflow.models import (
    DiagonalNet,
    WeightNormalized,
    diagonal_limit,
    sparse_p1,
    sparse_random,
)

P1 = sparse_p1()
SIGNED_Y = P1.A[:, [3, 17, 29]] @ np.array([1.0, -0.7, 0.5])

# Relative l2 errors of the limit on P1 from w0 = alpha, computed independently.
KAPPAS = (None, 0.5, 1.0, 5.0, 10.0)
TABLE = {
    1e-3: (1.63e-5, 9.86e-2, 3.53e-2, 1.51e-5, 8.8e-10),
    1e-2: (9.68e-4, 9.87e-2, 3.54e-2, 1.54e-5, 9.1e-10),
    0.1: (5.94e-2, 1.17e-1, 4.89e-2, 8.89e-5, 3.1e-8),
    0.2: (2.05e-1, 1.89e-1, 1.19e-1, 1.45e-2, 1.22e-3),
}


def error(x: Any) -> float:
    assert P1.x_true is not None
    return float(np.linalg.norm(x - P1.x_true) / np.linalg.norm(P1.x_true))


def flow_end(model: Any, y: np.ndarray, w0: Any, t1: float) -> Any:
    """x at the end of the flow, by LSODA at tight tolerance."""
    flat, unravel = ravel_pytree(w0)
    problem = model.problem(P1.A, y)
    velocity = jax.jit(lambda w: ravel_pytree(problem.velocity(unravel(w)))[0])
    jacobian = jax.jit(jax.jacfwd(velocity))
    run = solve_ivp(
        lambda _, w: np.asarray(velocity(w)),
        (0, t1),
        np.asarray(flat),
        method="LSODA",
        jac=lambda _, w: np.asarray(jacobian(w)),
        rtol=1e-10,
        atol=1e-16,
    )
    assert run.success
    return model.effective(unravel(run.y[:, -1]))


@pytest.mark.parametrize("alpha", TABLE)
@pytest.mark.parametrize("column", range(5))
def test_errors_on_p1_are_those_of_the_reference(alpha: float, column: int) -> None:
    """Every entry of the table, to the digits that it has."""
    net, kappa = DiagonalNet(40), KAPPAS[column]
    model = net if kappa is None else WeightNormalized(net, kappa=kappa)
    limit = diagonal_limit(model, P1.A, P1.y, model.init(alpha))
    # Half a unit in the second digit of the table's shortest entries is under 2 %.
    assert error(limit.x) == pytest.approx(TABLE[alpha][column], rel=0.02)
    assert limit.residual < 1e-13


def test_signed_limits_are_those_of_the_reference() -> None:
    """x* = (1, -0.7, 0.5) from u = v = 0.1, plain and kappa = 5."""
    net = DiagonalNet(40, signed=True)
    plain = diagonal_limit(net, P1.A, SIGNED_Y, net.init(0.1))
    assert np.sum(np.abs(plain.x)) == pytest.approx(2.9370450, abs=5e-8)
    model = WeightNormalized(net, kappa=5.0)
    limit = diagonal_limit(model, P1.A, SIGNED_Y, model.init(0.1))
    assert float(limit.radius) ** 2 == pytest.approx(2.2428572, abs=5e-8)
    beta = np.asarray(limit.w0_effective["u"]) ** 2
    np.testing.assert_allclose(beta, 2.063417e-5, rtol=5e-7)
    assert np.sum(np.abs(limit.x)) == pytest.approx(2.2427124, abs=5e-8)


def test_deep_limits_are_where_the_flow_goes_in_the_very_long_run() -> None:
    """L = 3, w0 = 0.2 linspace(.5, 1.5): plain and kappa = 10.

    Integration by LSODA at rtol 1e-10 gives 0.0476198913 from t = 1e5 on (plain), and
    4.37e-5, 8.00e-6, 2.91e-6, 2.906618404e-6 at t = 1e4, 1e6, 1e8, 1e9 (kappa = 10).
    """
    net, alpha = DiagonalNet(40, 3), 0.2 * np.linspace(0.5, 1.5, 40)
    plain = diagonal_limit(net, P1.A, P1.y, net.init(alpha))
    assert error(plain.x) == pytest.approx(0.0476198913, rel=1e-8)
    model = WeightNormalized(net, kappa=10.0)
    limit = diagonal_limit(model, P1.A, P1.y, model.init(alpha))
    assert error(limit.x) == pytest.approx(2.906618404e-6, rel=1e-7)


@pytest.mark.parametrize(
    ("depth", "signed"),
    [(1, False), (2, False), (2, True), (3, False), (3, True), (4, False)],
)
def test_flow_ends_at_the_limit(depth: int, signed: bool) -> None:
    """The plain flow, integrated until it has converged, is at the computed limit."""
    net = DiagonalNet(40, depth, signed=signed)
    w0 = net.init(0.5 * np.linspace(0.5, 1.5, 40))
    y = SIGNED_Y if signed or depth == 1 else P1.y
    limit = diagonal_limit(net, P1.A, y, w0)
    np.testing.assert_allclose(flow_end(net, y, w0, 1e5), limit.x, atol=1e-8)


@pytest.mark.parametrize(
    ("kind", "kappa", "norm", "depth", "signed"),
    [
        ("polar", 2.0, 1.0, 2, False),
        ("polar", 2.0, 1.0, 2, True),
        ("standard", 1.0, 0.5, 2, True),
        ("exponential", 1.5, 1.0, 2, False),
        ("polar", 1.0, 1.0, 3, False),
    ],
)
def test_normalized_flow_ends_at_the_limit(
    kind: Any, kappa: float, norm: float, depth: int, signed: bool
) -> None:
    """So is the weight-normalized flow, of every kind."""
    model = WeightNormalized(DiagonalNet(40, depth, signed=signed), kind, kappa=kappa)
    w0 = model.init(0.3 * np.linspace(0.5, 1.5, 40), norm=norm)
    y = SIGNED_Y if signed else P1.y
    limit = diagonal_limit(model, P1.A, y, w0)
    np.testing.assert_allclose(flow_end(model, y, w0, 1e6), limit.x, atol=1e-7)


@pytest.mark.parametrize("depth", [2, 3])
def test_plain_flow_from_the_effective_init_has_the_same_limit(depth: int) -> None:
    """The law of effective initialization, at the limit's own norm."""
    model = WeightNormalized(DiagonalNet(40, depth), kappa=10.0)
    w0 = model.init(0.2 * np.linspace(0.5, 1.5, 40))
    limit = diagonal_limit(model, P1.A, P1.y, w0)
    effective = model.effective_init(w0, limit.radius)
    np.testing.assert_allclose(limit.w0_effective["u"], effective["u"], rtol=1e-10)
    plain = diagonal_limit(model.net, P1.A, P1.y, effective)
    np.testing.assert_allclose(plain.x, limit.x, rtol=1e-7)


def test_normalized_limit_minimizes_its_potential() -> None:
    """At depth 2: q KL(x/q || x0/q0) + k (q - q0)^2/2 is stationary on {A x = y}.

    Its gradient log(x/x0) - log(q/q0) + k (q - q0) lies in range(A^T).
    """
    model = WeightNormalized(DiagonalNet(40), kappa=3.0)
    alpha = 0.1 * np.linspace(0.5, 1.5, 40)
    x = np.asarray(diagonal_limit(model, P1.A, P1.y, model.init(alpha)).x)
    q, q0 = x.sum(), np.sum(alpha**2)
    gradient = np.log(x / alpha**2) - np.log(q / q0) + 3.0 * (q - q0)
    kernel = np.linalg.svd(P1.A)[2][20:]
    np.testing.assert_allclose(kernel @ gradient, 0, atol=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize(("alpha", "kappa"), [(1e-6, None), (1e-3, 10.0), (0.1, 25.0)])
def test_tiny_effective_weights_are_no_trouble(
    depth: int, alpha: float, kappa: float | None
) -> None:
    """Down to weights of e^-40 the sparse vector is found, to round-off or its bias."""
    net = DiagonalNet(40, depth)
    model = net if kappa is None else WeightNormalized(net, kappa=kappa)
    limit = diagonal_limit(model, P1.A, P1.y, model.init(alpha))
    assert limit.residual < 1e-13
    assert error(limit.x) < 1e-8


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_random_instances_are_no_trouble(depth: int, seed: int) -> None:
    """The limit interpolates, whatever the support and however small the weights."""
    data = sparse_random(40, 20, 2 + 2 * seed, seed=seed)
    net = DiagonalNet(40, depth)
    for log_alpha in (-1.0, -8.0, -20.0, -50.0):
        limit = diagonal_limit(net, data.A, data.y, net.init(np.exp(log_alpha)))
        assert limit.residual < 1e-12
        assert np.all(np.asarray(limit.x) >= 0)


def test_dependent_equations_are_no_trouble() -> None:
    """Equations given twice have the limit of equations given once."""
    net = DiagonalNet(40)
    once = diagonal_limit(net, P1.A, P1.y, net.init(0.1))
    A, y = np.vstack([P1.A, P1.A]), np.concatenate([P1.y, P1.y])
    twice = diagonal_limit(net, A, y, net.init(0.1))
    np.testing.assert_allclose(twice.x, once.x, rtol=1e-9)


def test_misuse_is_named() -> None:
    """What has no known limit, and data without an interpolator, raise."""
    net = DiagonalNet(40)
    for depth in (2, 3):
        deep = DiagonalNet(2, depth)
        with pytest.raises(ValueError, match="no interpolator"):
            diagonal_limit(deep, np.ones((1, 2)), np.array([-1.0]), deep.init(0.1))
    with pytest.raises(ValueError, match="positive"):
        diagonal_limit(net, P1.A, P1.y, net.init(0.0))
    layered = DiagonalNet(40, layerwise=True)
    with pytest.raises(ValueError, match="shared layers"):
        diagonal_limit(layered, P1.A, P1.y, layered.init(0.1))
    frozen = WeightNormalized(net, kappa=0.0)
    with pytest.raises(ValueError, match="frozen"):
        diagonal_limit(frozen, P1.A, P1.y, frozen.init(0.1))
