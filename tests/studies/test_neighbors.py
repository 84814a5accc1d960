"""The pieces of the study of neighbors, and its shortest parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from jax.flatten_util import ravel_pytree

from gflow import EmpiricalRisk
from gflow.diagnostics import tangent_kernel
from gflow.studies import with_settings
from gflow.studies._neighbors._averaging import averaging
from gflow.studies._neighbors._fine_tuning import _residuals, wide_init, wide_net
from gflow.studies._neighbors._flatness import _trace
from gflow.studies._neighbors._leaky_relu import max_margin
from gflow.studies._neighbors._settings import SMOKE
from gflow.studies._neighbors._shared import width_claim
from gflow.studies._neighbors._sharp_limits import selected
from gflow.studies._neighbors._weight_decay import weight_decay


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("igr_etas=0.04", "two values"),
        ("neuron_scales=0.1", "two values"),
        ("bn_dim=5", "at least bn_samples"),
        ("leaky_width=7", "even"),
        ("sharp_alphas=0.01,0.1", "must fall"),
        ("sgd_eta=0.25", "sgd_eta must be below"),
        ("flat_depths=1", "flat_depths must be >= 2"),
        ("leaky_slope=1", "leaky_slope must be < 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, message: str) -> None:
    """Each with the name and the reason."""
    with pytest.raises(ValueError, match=message):
        with_settings(SMOKE, [setting])


def test_selected_minimizers_solve_their_problem() -> None:
    """On a fine grid of the segment of minimizers nothing is better."""
    c = np.linspace(0.0501, 0.2399, 20_001)[:, None]
    grid = np.array([-0.2, 1.2, 0.0]) + c * np.array([4.0, -5.0, 1.0])
    for depth in (2, 3, 6):
        worth = -grid * np.log(grid) if depth == 2 else grid ** (2 / depth)
        best = grid[np.argmax(np.sum(worth, axis=1))]
        # Half a step of the grid, in the direction of the segment of length 6.5.
        np.testing.assert_allclose(selected(depth)[:3], best, atol=5e-5)
    np.testing.assert_allclose(selected(4)[:3].sum(), 1.0, rtol=1e-14)


def test_max_margin_weights_have_margins_one() -> None:
    """And each row is a sum over the data, with the sign of its output weight."""
    rng = np.random.default_rng(0)
    x = np.eye(4, 8) + 0.01 * rng.standard_normal((4, 8))
    y, a = np.array([1.0, -1.0, 1.0, -1.0]), np.array([0.5, 0.5, -0.5, -0.5])
    w = max_margin(x, y, a, 0.3)
    z = x @ w.T
    f = np.where(z > 0, z, 0.3 * z) @ a
    np.testing.assert_allclose(y * f, 1.0, rtol=1e-12)
    assert np.linalg.matrix_rank(w) == 2


def test_weight_decay_part_holds() -> None:
    """Each run is announced, and the claims hold at one decay."""
    heard: list[str] = []
    part = weight_decay(with_settings(SMOKE, ["decay_rates=0.2"]), 1, heard.append)
    assert [claim.name for claim in part.claims if not claim.holds] == []
    assert len(heard) == 4


def test_averaging_part_holds() -> None:
    """With another seed and step."""
    settings = with_settings(SMOKE, ["sgd_runs=200", "sgd_eta=0.05", "sgd_steps=1500"])
    part = averaging(settings, 3, lambda message: None)
    assert [claim.name for claim in part.claims if not claim.holds] == []


def test_trace_is_that_of_the_hessian() -> None:
    """At a product that fits, of ½|W_3 W_2 W_1 - M|², by second derivatives."""
    rng = np.random.default_rng(2)
    factors = [jnp.asarray(rng.standard_normal((3, 3))) for _ in range(3)]
    flat, shape = ravel_pytree(factors)
    target = factors[2] @ factors[1] @ factors[0]

    def loss(v: jax.Array) -> jax.Array:
        first, second, third = shape(v)
        return 0.5 * jnp.sum((third @ second @ first - target) ** 2)

    expected = jnp.trace(jax.hessian(loss)(flat))
    np.testing.assert_allclose(_trace(factors), expected, rtol=1e-12)


@pytest.mark.parametrize(("power", "holds"), [(-0.5, True), (-0.8, False)])
def test_a_wrong_power_of_the_width_fails(power: float, holds: bool) -> None:
    """However noisy the draws are: the interval widens the tolerance by 0.1 at most."""
    widths, rng = (100, 400, 1600), np.random.default_rng(0)
    noise = np.exp(0.5 * rng.standard_normal((3, 40)))
    errors = np.array(widths)[:, None] ** power * noise
    assert width_claim("c", "It is so", "Euler 1744", widths, errors).holds == holds


def test_residuals_of_a_frozen_kernel() -> None:
    """Those of the linearized net under the library's own frozen kernel."""
    rng = np.random.default_rng(5)
    x, y = jnp.asarray(rng.standard_normal((4, 2))), jnp.asarray(np.ones(4))
    w0, ts = wide_init(6, 2, rng), np.array([0.0, 0.3, 2.0])
    kernel = tangent_kernel(EmpiricalRisk(wide_net, x, y), w0)
    start = np.asarray(wide_net(w0, x) - y)
    expected = [scipy.linalg.expm(-np.asarray(kernel) * t) @ start for t in ts]
    np.testing.assert_allclose(_residuals(w0, x, y, ts), expected, atol=1e-10)
