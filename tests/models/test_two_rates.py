"""Random two-layer instances against their definitions."""

from typing import Any

import jax
import numpy as np
import pytest

from gflow.diagnostics import tangent_kernel
from gflow.models import (
    TwoLayerReLU,
    relu_init,
    relu_kernel_mean,
    two_layer_instance,
)


def test_draws_come_in_their_order() -> None:
    """X, y, w, a from default_rng(seed), the instances of the reference numbers."""
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    W, a = rng.standard_normal((4, 2)) / np.sqrt(2), rng.standard_normal(4) / 2
    data = two_layer_instance(6, 2, 4, seed=3)
    for found, expected in (
        (data.X, X),
        (data.y, y),
        (data.w0["w"], W),
        (data.w0["a"], a),
    ):
        np.testing.assert_array_equal(found, expected)
    signs = two_layer_instance(6, 2, 4, labels="signs", seed=3)
    np.testing.assert_array_equal(signs.y, np.sign(y))
    np.testing.assert_array_equal(signs.w0["w"], W)


def test_the_least_direction_is_hard_for_the_mean_kernel() -> None:
    """yᵀK y = λ_min ‖y‖², with ‖y‖² = n and K of balanced rates."""
    data = two_layer_instance(20, 3, 5, labels="least", seed=1)
    kernel = relu_kernel_mean(data.X, 5, rates=(1.0, 3 / 5))
    np.testing.assert_allclose(data.y @ data.y, 20, rtol=1e-12)
    least = np.linalg.eigvalsh(kernel)[0]
    np.testing.assert_allclose(data.y @ kernel @ data.y, 20 * least, rtol=1e-8)


def test_mean_kernel_is_the_mean_of_kernels() -> None:
    """Of 400 nets of width 500, within five standard errors of each entry."""
    n, d, m, rates = 5, 3, 500, (2.0, 0.5)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    problem = TwoLayerReLU(d, m).problem(X, np.zeros(n), rates=rates)
    starts = [relu_init("lecun", X, np.zeros(n), m, rng=rng) for _ in range(400)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *starts)
    kernels = np.asarray(jax.vmap(lambda w: tangent_kernel(problem, w))(stacked))
    expected = relu_kernel_mean(X, m, rates=rates)
    error = 5 * kernels.std(axis=0) / np.sqrt(len(kernels))
    assert np.all(np.abs(kernels.mean(axis=0) - expected) < error)
    assert error.max() < 0.03 * expected.max()


def test_initializations() -> None:
    """Sizes of w and a as the papers have them."""
    rng = np.random.default_rng(0)
    X, y = 3 * rng.standard_normal((40, 50)), rng.standard_normal(40)

    def drawn(kind: Any, m: int = 1001) -> Any:
        return relu_init(kind, X, y, m, rng=np.random.default_rng(1))

    lecun, zero, oymak = map(drawn, ("lecun", "zero_output", "oymak"))
    np.testing.assert_allclose(np.var(lecun["w"]), 1 / 50, rtol=0.03)
    np.testing.assert_allclose(np.var(lecun["a"]), 1 / 1001, rtol=0.1)
    np.testing.assert_array_equal(zero["w"], lecun["w"])
    np.testing.assert_array_equal(zero["a"], 0)
    # Preactivations N(0, 1) on the whole, as w ~ N(0, I) has on data of unit norm.
    np.testing.assert_allclose(np.mean((X @ oymak["w"].T) ** 2), 1, rtol=0.05)
    size = np.linalg.norm(y) / np.sqrt(1001 * 40)
    np.testing.assert_allclose(np.abs(oymak["a"]), size, rtol=1e-12)
    assert np.sum(oymak["a"] > 0) == 501


def test_misuse_is_named() -> None:
    """Unknown names and empty sizes raise at once."""
    with pytest.raises(ValueError, match="labels are one of gaussian"):
        two_layer_instance(4, 2, 2, labels="worst", seed=0)
    with pytest.raises(ValueError, match="initialization is one of lecun"):
        two_layer_instance(4, 2, 2, initialization="he", seed=0)
    with pytest.raises(ValueError, match="at least 1"):
        two_layer_instance(4, 0, 2, seed=0)
