"""Conserved quantities of networks of piecewise linear units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.invariants import relu_invariants
from gflow.models import DeepReLU, TwoLayerReLU
from gflow.problem import Gated

RNG = np.random.default_rng(4)
X, Y = RNG.standard_normal((7, 3)), RNG.standard_normal(7)


@pytest.mark.parametrize("slopes", [(0.0, 1.0), (0.2, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("kind", [(5,), (5, 4), (4, 3, 5)])
def test_laws_are_constant_to_first_order(
    kind: tuple[int, ...], slopes: tuple[float, float]
) -> None:
    """<∇h, dw/dt> = 0 at a generic point, for each unit of each layer."""
    rates = (2.0, 5.0)
    net: Any = (
        TwoLayerReLU(3, *kind, slopes=slopes)
        if len(kind) == 1
        else DeepReLU(3, kind, slopes=slopes)
    )
    w = net.init(key=jax.random.key(3))
    velocity = net.problem(X, Y, rates=rates).velocity(w)
    laws = relu_invariants(net, rates)
    assert len(laws) == len(kind)
    for law, width in zip(laws.values(), kind, strict=True):
        value, change = jax.jvp(law, (w,), (velocity,))
        _, moved = jax.jvp(law.scale, (w,), (velocity,))  # pyright: ignore[reportArgumentType]
        assert value.shape == (width,)
        assert np.linalg.norm(moved) > 1e-6
        assert np.linalg.norm(change) < 1e-12 * np.linalg.norm(moved)


def test_law_holds_on_a_kink_for_any_multiplier() -> None:
    """z = 0 leaves the law as it is, whatever slope stands there."""
    net = TwoLayerReLU(3, 2)
    w = net.init(key=jax.random.key(0))
    # The first unit is turned until its first preactivation is zero.
    normal = jnp.asarray(X[0])
    turned = w["w"].at[0].add(-(w["w"][0] @ normal) / (normal @ normal) * normal)
    w = {**w, "w": turned}
    kinks = net.problem(X, Y).kinks
    assert kinks is not None
    assert abs(float(kinks.values(w)[0])) < 1e-15
    slopes = jnp.where(kinks.values(w) > 0, 1.0, 0.0).at[0].set(0.37)
    velocity = Gated(kinks, slopes).velocity(w)
    _, change = jax.jvp(relu_invariants(net)["neurons"], (w,), (velocity,))
    assert np.abs(change).max() < 1e-13


def test_wrong_rates_break_the_law() -> None:
    """The law tests something."""
    net = TwoLayerReLU(3, 5)
    w = net.init(key=jax.random.key(3))
    velocity = net.problem(X, Y, rates=(2.0, 5.0)).velocity(w)
    law = relu_invariants(net, (2.0, 4.0))["neurons"]
    assert np.linalg.norm(jax.jvp(law, (w,), (velocity,))[1]) > 1e-3
    with pytest.raises(ValueError, match="> 0"):
        relu_invariants(net, (0.0, 1.0))
