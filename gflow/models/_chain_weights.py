"""Weights to start from for the factors of a linear layer.

D factors · h hidden features · s_i singular values of the layer's weight.
"""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray


def filled_kaiming(factors: Sequence[Any], key: PRNGKeyArray) -> tuple[Any, ...]:
    """N(0, g²/fan-in), g = √2 in the last factor and 1 before, and biases 0."""
    gains = [1.0] * (len(factors) - 1) + [math.sqrt(2.0)]
    keys = list(jax.random.split(key, len(factors)))
    return tuple(
        _filled(factor, _kaiming(factor.weight, gain, k), None)
        for factor, gain, k in zip(factors, gains, keys, strict=True)
    )


def filled_balanced(factors: Sequence[Any], layer: Any, hidden: int) -> tuple[Any, ...]:
    """S^(1/D) Vᵀ, S^(1/D), …, U S^(1/D) of the layer's weight, and its own bias."""
    depth = len(factors)
    weights = _balanced(layer.weight, hidden, depth)
    biases = [None] * (depth - 1) + [layer.bias]
    return tuple(map(_filled, factors, weights, biases))


def _kaiming(weight: Any, gain: float, key: Any) -> Array:
    fan_in = math.prod(weight.shape[1:])
    normal = jax.random.normal(key, weight.shape, weight.dtype)
    return gain / math.sqrt(max(fan_in, 1)) * normal


def _balanced(weight: Array, hidden: int, depth: int) -> list[Array]:
    """The factors, padded with zeros to `hidden` features."""
    if depth == 1:
        return [weight]
    matrix = weight.reshape(weight.shape[0], -1)
    rank = min(matrix.shape)
    if hidden < rank:
        raise ValueError(
            f"{hidden} hidden features cannot hold a weight of rank {rank}"
        )
    u, s, vt = jnp.linalg.svd(matrix, full_matrices=False)
    root = s ** (1 / depth)
    pad = hidden - rank
    first = jnp.pad(root[:, None] * vt, ((0, pad), (0, 0)))
    inner = jnp.diag(jnp.pad(root, (0, pad)))
    last = jnp.pad(u * root, ((0, 0), (0, pad)))
    ones = (1,) * (weight.ndim - 2)
    return [
        first.reshape(hidden, *weight.shape[1:]),
        *[inner.reshape(hidden, hidden, *ones)] * (depth - 2),
        last.reshape(len(last), hidden, *ones),
    ]


def _filled(shape: Any, weight: Array, bias: Array | None) -> Any:
    """The layer of that shape with these numbers; no bias is one of zeros."""
    if shape.bias is None:
        return eqx.tree_at(lambda x: x.weight, shape, weight)
    bias = jnp.zeros(shape.bias.shape, shape.bias.dtype) if bias is None else bias
    return eqx.tree_at(lambda x: (x.weight, x.bias), shape, (weight, bias))
