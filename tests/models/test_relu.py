"""Networks of piecewise linear units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import DeepReLU, TwoLayerReLU
from gflow.problem import Kinks

RNG = np.random.default_rng(2)
X, Y = RNG.standard_normal((5, 3)), RNG.standard_normal(5)


@pytest.mark.parametrize("slopes", [(0.0, 1.0), (0.1, 1.0), (-1.0, 1.0)])
def test_velocity_is_that_of_the_written_out_flow(slopes: tuple[float, float]) -> None:
    """w_j' = -η₁ a_j Σ r_i σ'(z_ij) x_i and a_j' = -η₂ Σ r_i σ(z_ij)."""
    net = TwoLayerReLU(3, 4, slopes=slopes)
    W, a = RNG.standard_normal((4, 3)), RNG.standard_normal(4)
    z = X @ W.T
    slope = np.where(z > 0, slopes[1], slopes[0])
    r = (slope * z) @ a - Y
    problem = net.problem(X, Y, rates=(2.0, 3.0))
    w = {"w": jnp.asarray(W), "a": jnp.asarray(a)}
    velocity = problem.velocity(w)
    np.testing.assert_allclose(problem.loss(w), 0.5 * r @ r, rtol=1e-12)
    expected = -2 * (slope * r[:, None] * a).T @ X
    np.testing.assert_allclose(velocity["w"], expected, rtol=1e-12)
    np.testing.assert_allclose(velocity["a"], -3 * (slope * z).T @ r, rtol=1e-12)


def test_deep_with_one_layer_is_the_two_layer_net() -> None:
    """The same function of the same weights."""
    two, deep = TwoLayerReLU(3, 4), DeepReLU(3, (4,))
    w = two.init(key=jax.random.key(0))
    nested = {"w": [w["w"]], "a": w["a"]}
    x = jnp.asarray(X)
    np.testing.assert_allclose(deep(nested, x), two(w, x), rtol=1e-12)


@pytest.mark.parametrize("net", [TwoLayerReLU(3, 4), DeepReLU(3, (4, 3))])
def test_own_normals_are_those_of_automatic_differentiation(net: Any) -> None:
    """With frozen slopes, rates, and a place for no pair."""
    problem = net.problem(X, Y, rates=(2.0, 3.0))
    w, kinks = net.init(key=jax.random.key(1)), problem.kinks
    num = kinks.size(w)
    slopes = jnp.asarray(RNG.uniform(0, 1, num))
    pairs = jnp.array([0, 3, 7, num - 1, num])
    own = kinks.normals(w, slopes, pairs)
    general = Kinks.normals(kinks, w, slopes, pairs)
    velocity = net.init(key=jax.random.key(2))
    np.testing.assert_allclose(own.push(velocity), general.push(velocity), rtol=1e-12)
    weights = jnp.arange(1.0, 6.0)
    for one, other in zip(
        jax.tree.leaves(own.pull(weights)),
        jax.tree.leaves(general.pull(weights)),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-13)
    descend = lambda covector: problem.descent(w, covector)  # noqa: E731
    np.testing.assert_allclose(own.gram(descend), general.gram(descend), atol=1e-12)


def test_initial_weights_are_lecun() -> None:
    """Variance 1/fan-in in every layer, within 5 % of 10⁵ draws."""
    net = DeepReLU(100, (1000, 300))
    w = net.init(key=jax.random.key(0))
    assert [layer.shape for layer in w["w"]] == [(1000, 100), (300, 1000)]
    np.testing.assert_allclose(np.var(w["w"][0]), 1 / 100, rtol=0.05)
    np.testing.assert_allclose(np.var(w["w"][1]), 1 / 1000, rtol=0.05)
    two = TwoLayerReLU(100, 1000).init(key=jax.random.key(0))
    np.testing.assert_allclose(np.var(two["w"]), 1 / 100, rtol=0.05)


def test_misuse_is_named() -> None:
    """Sizes, slopes and data that do not fit raise at once."""
    with pytest.raises(ValueError, match="at least 1"):
        TwoLayerReLU(0, 3)
    with pytest.raises(ValueError, match="at least 1"):
        DeepReLU(3, ())
    with pytest.raises(ValueError, match="low < high"):
        TwoLayerReLU(3, 3, slopes=(1.0, 0.0))
    with pytest.raises(ValueError, match=r"X must have shape \(n, 3\)"):
        TwoLayerReLU(3, 3).problem(X.T, Y)
