"""Balancedness of products of linear layers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.invariants import chain_invariants
from gflow.models import expand

KEY = jax.random.key(0)


@pytest.mark.parametrize("kernel_sizes", [None, (2, 2, 1)])
def test_gradient_flow_conserves_them(kernel_sizes: tuple[int, ...] | None):
    """Their rate along -grad is 0 to rounding, for both kinds of layers.

    A net of a convolution with stride, padding and bias and a linear layer.
    """

    @eqx.filter_jit
    def drift() -> list[jax.Array]:
        layers = [
            eqx.nn.Conv1d(2, 3, 3, stride=2, padding=1, key=KEY),
            eqx.nn.Lambda(jnp.tanh),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(9, 2, key=KEY),
        ]
        net = expand(eqx.nn.Sequential(layers), 3, key=KEY, kernel_sizes=kernel_sizes)
        x = jnp.linspace(-1.0, 1.0, 24).reshape(2, 2, 6)
        # Biases that are not 0 take their part.
        params, static = eqx.partition(net, eqx.is_inexact_array)
        net = eqx.combine(jax.tree.map(lambda leaf: leaf + 0.1, params), static)
        problem = gf.Objective(lambda w: jnp.sum(jnp.sin(jax.vmap(w)(x))))
        velocity = problem.velocity(net)
        laws = chain_invariants(net)
        assert list(laws) == ["chain_0", "chain_1"]
        return [eqx.filter_jvp(law, (net,), (velocity,))[1] for law in laws.values()]

    for rate in drift():
        np.testing.assert_allclose(rate, 0, atol=1e-12)


def test_only_products_have_them():
    """Neither plain layers, nor one factor, nor grouped convolutions."""
    keys = jax.random.split(KEY)
    grouped = eqx.nn.Conv1d(2, 2, 3, groups=2, key=keys[0])
    linear = eqx.nn.Linear(2, 2, key=keys[1])
    net = [expand(grouped, 2, key=KEY), expand(linear, 1, key=KEY), linear]
    assert chain_invariants(net) == {}
