"""Random one-dimensional ReLU nets and the splines that they tend to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline, make_smoothing_spline

from gflow.models import RandomReLU1D, smoothing_spline

X = np.array([-0.9, -0.5, -0.3, 0.1, 0.6, 0.8])
Y = np.array([0.3, -0.2, 0.5, 1.0, -0.4, 0.1])
INSIDE = np.linspace(-0.9, 0.8, 41)


@pytest.mark.parametrize("mu", [1e-4, 1e-1])
def test_smoothing_spline_is_scipys(mu: float) -> None:
    """scipy's has the same objective, and is made of B-splines."""
    expected = make_smoothing_spline(X, Y, lam=mu)(INSIDE)
    np.testing.assert_allclose(smoothing_spline(X, Y, mu, INSIDE), expected, atol=1e-9)


def test_without_smoothing_it_is_the_natural_spline() -> None:
    """And outside of the data it is a line."""
    expected = CubicSpline(X, Y, bc_type="natural")(INSIDE)
    np.testing.assert_allclose(smoothing_spline(X, Y, 0.0, INSIDE), expected, atol=1e-9)
    for start, step in ((0.8, 0.5), (-0.9, -0.5)):
        a, b, c = smoothing_spline(X, Y, 0.0, start + step * np.arange(3))
        assert abs(a - 2 * b + c) < 1e-10


def test_features_have_the_kernel_of_the_spline() -> None:
    """k(x, x) = ½ ∫ (x - t)_+² dt + ½ ∫ (t - x)_+² dt over [A, B]."""
    low, high, x = -2.0, 1.0, 0.25
    net = RandomReLU1D(200_000, interval=(low, high), key=jax.random.key(0))
    features = np.asarray(net.features(jnp.array([x])))
    # (B - A)/m Σ_j is B - A times a mean over t; standard error some 0.3 percent.
    expected = ((x - low) ** 3 + (high - x) ** 3) / 6
    np.testing.assert_allclose(np.sum(features**2), expected, rtol=0.01)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="all x distinct"):
        smoothing_spline(np.zeros(3), np.zeros(3), 1.0, INSIDE)
    with pytest.raises(ValueError, match="mu must be"):
        smoothing_spline(X, Y, -1.0, INSIDE)
    with pytest.raises(ValueError, match="interval"):
        RandomReLU1D(3, interval=(1.0, 0.0), key=jax.random.key(0))
    with pytest.raises(ValueError, match="width"):
        RandomReLU1D(0, key=jax.random.key(0))
