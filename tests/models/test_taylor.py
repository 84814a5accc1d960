"""Derivatives by Taylor mode."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import Partials, SmoothMLP, directional_derivatives, softplus


def gauss(z: Any) -> Any:
    return jnp.exp(-(z**2))


@pytest.mark.parametrize(
    "activation",
    [jnp.tanh, jax.nn.silu, jax.nn.gelu, softplus, gauss],
)
def test_deep_nets_agree_with_nested_differentiation(activation: Any):
    """Orders 1 to 4 along a direction of R², by four nested forward passes."""
    net = SmoothMLP(2, (3, 2), activation=activation)
    w = net.init(key=jax.random.key(0))
    x, v = jnp.array([[0.3, -0.2], [0.1, 0.5]]), jnp.array([1.0, -2.0])
    found = jax.jit(lambda x: directional_derivatives(lambda p: net(w, p), x, v, 4))(x)
    assert found.shape == (5, 2)

    def derivative(g: Any) -> Any:
        return lambda s: jax.jvp(g, (s,), (1.0,))[1]

    orders: list[Any] = [lambda s: net(w, x + s * v)]
    for _ in range(4):
        orders.append(derivative(orders[-1]))
    expected = jax.jit(lambda s: jnp.stack([g(s) for g in orders]))(0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_high_order_of_the_sine():
    """d^8/dx^8 sin(2 x) = 2^8 sin(2 x)."""
    x = jnp.linspace(-1, 1, 5)[:, None]

    @jax.jit
    def derivatives(x: Any) -> Any:
        return directional_derivatives(
            lambda p: jnp.sin(2 * p[:, 0]), x, jnp.ones(1), 8
        )

    found = derivatives(x)
    np.testing.assert_allclose(found[8], 256 * np.sin(2 * x[:, 0]), rtol=1e-12)


def test_a_mixed_derivative_from_directions():
    """∂²/∂x∂y of x³ y² is 6 x² y = 6·4·3 = 72 at (2, 3)."""
    partials = Partials(lambda x: x[:, 0] ** 3 * x[:, 1] ** 2, jnp.array([[2.0, 3.0]]))
    mixed = (partials.along((1.0, 1.0), 2) - partials.along((1.0, -1.0), 2)) / 4
    np.testing.assert_allclose(mixed, [72.0], rtol=1e-14)
    with pytest.raises(ValueError, match="axis must be from 0 to 1"):
        partials(2, 1)


@pytest.mark.parametrize("f", [jnp.arctan, jax.nn.softplus])
def test_what_has_no_taylor_rule_is_told(f: Any):
    """With what to use instead."""
    x = jnp.ones((1, 1))
    with pytest.raises(TypeError, match=r"no Taylor rule.*tanh"):
        directional_derivatives(lambda p: f(p[:, 0]), x, jnp.ones(1), 2)


def test_order_zero_is_refused():
    """It is no derivative."""
    with pytest.raises(ValueError, match="order"):
        directional_derivatives(lambda p: p[:, 0], jnp.ones((1, 1)), jnp.ones(1), 0)


def test_orders_whose_factorial_is_no_machine_integer():
    """21! does not fit into 64 bits: every derivative of e^x at 0 is 1."""
    x, v = jnp.zeros((1, 1)), jnp.ones(1)
    found = directional_derivatives(lambda x: jnp.exp(x[:, 0]), x, v, 21)
    np.testing.assert_allclose(found, 1.0, rtol=1e-13)
