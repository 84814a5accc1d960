"""Embeddings of fully connected nets."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.diagnostics import rank_effective
from gflow.models import FeatureNet, gram_matrix

INPUTS = jnp.asarray(np.random.default_rng(0).standard_normal((5, 3)))


def test_embedding_is_the_net_written_out():
    """The activation lies between layers, not after the last."""
    net = FeatureNet([3, 4, 2], "tanh")
    first, last = w = net.init(key=jax.random.key(0))
    expected = np.tanh(np.asarray(INPUTS) @ np.asarray(first).T) @ np.asarray(last).T
    np.testing.assert_allclose(net(w, INPUTS), expected, rtol=1e-12)
    K = expected @ expected.T
    np.testing.assert_allclose(net.gram(w, INPUTS), K / np.trace(K), rtol=1e-10)


def test_layers_are_the_embeddings_of_shorter_nets():
    """Cut off after layer l, the net embeds as its l-th layer."""
    net = FeatureNet([3, 4, 4, 2], "gelu")
    w = net.init(key=jax.random.key(0))
    for depth, found in enumerate(net.layers(w, INPUTS), start=1):
        short = FeatureNet(net.widths[: depth + 1], "gelu")
        np.testing.assert_array_equal(found, short(w[:depth], INPUTS))


@pytest.mark.parametrize(
    ("scheme", "variance"), [("normal", 1.0), ("uniform", 1.0), ("kaiming", 2.0)]
)
def test_schemes_have_their_variance(scheme: Any, variance: float):
    """Times the fan-in; 90,000 entries tell it to 1 %."""
    (w,) = FeatureNet([300, 300]).init(scheme, key=jax.random.key(1))
    assert abs(300 * float(jnp.var(w)) / variance - 1) < 0.02
    if scheme == "uniform":
        assert float(jnp.max(jnp.abs(w))) <= (3 / 300) ** 0.5


def test_orthogonal_linear_nets_keep_the_rank():
    """Angles between embeddings are those between inputs."""
    net = FeatureNet([3] * 6)
    w = net.init("orthogonal", key=jax.random.key(2))
    np.testing.assert_allclose(
        rank_effective(net.gram(w, INPUTS)),
        rank_effective(gram_matrix(INPUTS)),
        rtol=1e-10,
    )


def test_misuse_is_named():
    """Widths that are none."""
    with pytest.raises(ValueError, match="at least two numbers"):
        FeatureNet([3])
    with pytest.raises(ValueError, match="at least two numbers"):
        FeatureNet([3, 0])
