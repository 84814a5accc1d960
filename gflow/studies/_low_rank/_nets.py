"""Small classifiers, their risk, and how they are trained and read out."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from ..._types import Params, Scalar
from ...diagnostics import rank_effective
from ...problem import EmpiricalRisk
from ...steppers import Stepper, from_optax

NETS = ("mlp", "cnn")
OPTIMIZERS = ("sgd", "adam")


def classifier(
    kind: str, shape: tuple[int, ...], num_classes: int, width: int, *, key: Any
) -> eqx.nn.Sequential:
    """A net with one hidden layer ("mlp") or two strided convolutions ("cnn").

    Its last layer is linear, all before it are the embedding.

    **Arguments:** `shape`: (channels, height, width) of an image; `width`: hidden
    features; the second convolution has half as many, in channels, and the first a
    quarter.
    """
    keys = jax.random.split(key, 3)
    relu, flat = eqx.nn.Lambda(jax.nn.relu), eqx.nn.Lambda(jnp.ravel)
    dtype: Any = jnp.float32
    if kind == "mlp":
        size = int(np.prod(shape))
        hidden = eqx.nn.Linear(size, width, dtype=dtype, key=keys[0])
        head = eqx.nn.Linear(width, num_classes, dtype=dtype, key=keys[1])
        return eqx.nn.Sequential([flat, hidden, relu, head])
    first, second = width // 4, width // 2
    conv = functools.partial(eqx.nn.Conv2d, stride=2, padding=1, dtype=dtype)
    sides = [-(-side // 4) for side in shape[1:]]
    return eqx.nn.Sequential(
        [
            conv(shape[0], first, 3, key=keys[0]),
            relu,
            conv(first, second, 3, key=keys[1]),
            relu,
            flat,
            eqx.nn.Linear(
                second * sides[0] * sides[1], num_classes, dtype=dtype, key=keys[2]
            ),
        ]
    )


def risk(x: Float[np.ndarray, "n h w c"], y: Int[np.ndarray, " n"]) -> EmpiricalRisk:
    """Mean cross-entropy of a classifier on images."""
    return EmpiricalRisk(predict, channels_first(x), y, criterion=cross_entropy)


def predict(net: Params, x: Array) -> Array:
    """Logits of a batch."""
    return jax.vmap(net)(x)


def cross_entropy(logits: Array, y: Array) -> Scalar:
    """Mean of -log softmax(logits)_y."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
    return jnp.mean(losses)


def channels_first(x: np.ndarray) -> np.ndarray:
    """Images as convolutions take them, in single precision."""
    return np.moveaxis(x, -1, 1).astype(np.float32)


def optimizer(name: str, eta: float) -> Stepper:
    """SGD or Adam whose step size is data: another value does not compile anew."""
    transformation = _transformation(name)
    scaled = optax.GradientTransformationExtraArgs(
        transformation.init,
        eqx.Partial(_scaled, transformation.update, jnp.asarray(eta, float)),
    )
    return from_optax(scaled, eta=eta, name=name)


@functools.cache
def _transformation(name: str) -> optax.GradientTransformation:
    return {"sgd": optax.identity, "adam": optax.scale_by_adam}[name]()


def _scaled(update: Any, eta: Array, *args: Any) -> Any:
    updates, state = update(*args)
    return jax.tree.map(lambda u: -eta.astype(u.dtype) * u, updates), state


@eqx.filter_jit
def accuracy(net: eqx.nn.Sequential, x: Array, y: Array) -> Scalar:
    """Share of images that are given their own class."""
    return jnp.mean(jnp.argmax(predict(net, x), axis=1) == y)


@eqx.filter_jit
def embedding_rank(net: eqx.nn.Sequential, x: Array) -> Scalar:
    """Effective rank of the Gram matrix of the embedding of a batch.

    F Fᵀ of the images has the singular values of Fᵀ F, which is smaller.
    """
    features = jax.vmap(net[:-1])(x).astype(float)
    return rank_effective(features.T @ features)
