"""Random one-dimensional ReLU nets and the splines that they tend to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import RandomReLU1D


def test_features_have_the_kernel_of_the_spline() -> None:
    """k(x, x) = ½ ∫ (x - t)_+² dt + ½ ∫ (t - x)_+² dt over [A, B]."""
    low, high, x = -2.0, 1.0, 0.25
    net = RandomReLU1D(200_000, interval=(low, high), key=jax.random.key(0))
    features = np.asarray(net.features(jnp.array([x])))
    # (B - A)/m Σ_j is B - A times a mean over t; standard error some 0.3 percent.
    expected = ((x - low) ** 3 + (high - x) ** 3) / 6
    np.testing.assert_allclose(np.sum(features**2), expected, rtol=0.01)


def test_ridge_is_stationary() -> None:
    """At the minimum of a convex function its gradient is zero, by automatic means."""
    net = RandomReLU1D(9, key=jax.random.key(1))
    x, y = jnp.linspace(-0.9, 0.8, 6), jnp.array([0.3, -1.0, 0.2, 2.0, 1.0, 0.5])

    def objective(w: dict[str, jax.Array]) -> jax.Array:
        misfit = 0.5 * jnp.sum((net(w, x) - y) ** 2)
        return misfit + 0.5 * 0.01 * jnp.sum(w["a"] ** 2)

    slope = jax.grad(objective)(net.ridge(x, y, 0.01))
    for leaf in jax.tree.leaves(slope):
        np.testing.assert_allclose(leaf, 0.0, atol=1e-11)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="interval"):
        RandomReLU1D(3, interval=(1.0, 0.0), key=jax.random.key(0))
    with pytest.raises(ValueError, match="width"):
        RandomReLU1D(0, key=jax.random.key(0))
