"""What of a layer scales with a unit: the weights into it and those out of it.

A layer maps channels to channels (features of a linear layer, channels of a
convolution) and, where it has them, places to places. Rows in: for each channel that it
makes, all numbers by which that channel is multiplied if they are. Rows out: for each
channel that it takes, all numbers that multiply it.
"""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

nn = eqx.nn

# Only these: a subclass of one's own may use its weight in another way.
DENSE = (nn.Linear,)
CONVOLUTIONS = (
    *(nn.Conv, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.BatchNorm)


def is_linear(layer: Any) -> bool:
    """Whether it is a linear layer or a convolution, not a stack of them."""
    if type(layer) in DENSE:
        return layer.weight.ndim == 2
    return type(layer) in CONVOLUTIONS and layer.weight.ndim == rank(layer) + 2


def is_normalized(layer: Any) -> bool:
    """Whether it is a layer in `WeightNorm` whose laws are known."""
    known = type(layer) is nn.WeightNorm and is_linear(layer.layer)
    return known and layer.weight_name == "weight"


def is_scaled_norm(layer: Any) -> bool:
    """Whether it normalizes and then multiplies each channel by a weight."""
    return type(layer) in NORMS and layer.weight is not None and layer.weight.ndim > 0


def is_layer(layer: Any) -> bool:
    """Whether it is any of these."""
    return is_linear(layer) or is_normalized(layer) or is_scaled_norm(layer)


def bare(layer: Any) -> Any:
    """The layer inside of `WeightNorm`, or the layer."""
    return layer.layer if isinstance(layer, nn.WeightNorm) else layer


def weight_name(layer: Any) -> str:
    """The field that holds what multiplies its channels."""
    return "g" if isinstance(layer, nn.WeightNorm) else "weight"


def rank(layer: Any) -> int:
    """The number of axes of a convolution's places; 0 of any other layer."""
    return getattr(bare(layer), "num_spatial_dims", 0)


def num_out(layer: Any) -> int:
    """The number of channels that it makes."""
    return bare(layer).weight.shape[0]


def num_in(layer: Any) -> int:
    """The number of channels that it takes."""
    if is_scaled_norm(layer):
        return num_out(layer)
    return bare(layer).weight.shape[1] * getattr(bare(layer), "groups", 1)


def mixes(layer: Any) -> bool:
    """Whether its channels may be mixed by any matrix, and not only be scaled."""
    return is_linear(layer) and getattr(layer, "groups", 1) == 1


def out_shape(layer: Any, rank: int, size: int) -> tuple[int, ...]:
    """The shape of what it makes, with `size` places on each of `rank` axes."""
    layer = bare(layer)
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm):
        return layer.shape
    if type(layer) in DENSE and layer.out_features == "scalar":
        return ()
    return (num_out(layer), *[size] * rank)


def takes(layer: Any, shape: tuple[int, ...]) -> bool:
    """Whether it takes an input of this shape."""
    layer = bare(layer)
    if type(layer) in DENSE:
        scalar = layer.in_features == "scalar"
        return shape == (() if scalar else (layer.in_features,))
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm):
        return shape == layer.shape
    fits = len(shape) > 0 and shape[0] == num_in(layer) and math.prod(shape) > 0
    return fits and (type(layer) in NORMS or len(shape) == rank(layer) + 1)


def rows_in(layer: Any) -> Float[Array, "channels k"]:
    """The weights and the bias of each channel that it makes."""
    weight = getattr(layer, weight_name(layer))
    parts = [x for x in (weight, bare(layer).bias) if x is not None]
    return jnp.concatenate([x.reshape(num_out(layer), -1) for x in parts], axis=1)


def rows_out(layer: Any) -> Float[Array, "channels k"]:
    """The weights with which each channel that it takes goes on."""
    weight, groups = layer.weight, getattr(layer, "groups", 1)
    split = weight.reshape(groups, len(weight) // groups, *weight.shape[1:2], -1)
    return jnp.swapaxes(split, 1, 2).reshape(num_in(layer), -1)
