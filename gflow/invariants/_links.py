"""A model as chains of layers, with what lies between them as functions."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..models import LinearChain
from ._layers import NORMS, is_layer, is_scaled_norm, rank
from ._places import Path

nn = eqx.nn


@dataclasses.dataclass(frozen=True)
class Stage:
    """A function between layers: `call(module, z)` of a batch of inputs.

    Its parameters are in `module`, and may be put at other values.
    """

    path: Path
    module: Any
    call: Callable[[Any, Array], Array]


@dataclasses.dataclass(frozen=True)
class Link:
    """A layer of a chain, and the stages behind it up to the next layer.

    `ranks`: how many axes of places its output may have.
    """

    path: Path
    layer: Any
    ranks: tuple[int, ...]
    after: tuple[Stage, ...] = ()


def is_sequence(node: Any) -> bool:
    """Whether it calls its layers one after another.

    A subclass of one's own of `Sequential` or `MLP` may call them in another way.
    """
    return type(node) in (nn.Sequential, nn.MLP) or isinstance(node, LinearChain)


def links(model: Any, path: Path = ()) -> list[Link]:
    """The layers of a sequence with what follows each."""
    found: list[Link] = []
    for item in items(model, path):
        if isinstance(item, Stage) and found:
            last = found[-1]
            found[-1] = dataclasses.replace(last, after=(*last.after, item))
        elif isinstance(item, Link):
            before = found[-1].ranks[0] if found else 0
            if is_scaled_norm(item.layer):
                # Between a convolution and a norm may stand a change of shape.
                ranks = tuple(dict.fromkeys((before, 0, 1, 2, 3)))
                item = dataclasses.replace(item, ranks=ranks)
            found.append(item)
    return found


def items(node: Any, path: Path) -> Iterator[Link | Stage]:
    """Layers and the functions between them, in the order in which they are applied."""
    if type(node) is nn.Sequential:
        for place, layer in enumerate(node.layers):
            yield from items(layer, (*path, "layers", place))
    elif type(node) is nn.MLP and not node.scan:
        yield from _mlp(node, path)
    elif isinstance(node, LinearChain):
        for place, factor in enumerate(node.factors):
            yield from items(factor, (*path, "factors", place))
    else:
        if not is_layer(node) or isinstance(node, NORMS):
            yield Stage(path, node, _normalized if _is_batch(node) else _mapped)
        if is_layer(node):
            yield Link(path, node, (rank(node),))


def _mlp(mlp: Any, path: Path) -> Iterator[Link | Stage]:
    *hidden, last = enumerate(mlp.layers)
    for place, layer in hidden:
        yield from items(layer, (*path, "layers", place))
        activation = jax.tree.map(
            lambda x, place=place: x[place] if eqx.is_array(x) else x, mlp.activation
        )
        yield Stage((*path, "activation"), activation, _entrywise)
    yield from items(last[1], (*path, "layers", last[0]))
    if not hidden:
        return  # an `MLP` of one layer leaves its final activation out
    call = _on_numbers if mlp.out_size == "scalar" else _entrywise
    yield Stage((*path, "final_activation"), mlp.final_activation, call)


def _is_batch(node: Any) -> bool:
    return isinstance(node, nn.BatchNorm)


def _mapped(module: Any, z: Array) -> Array:
    """A layer of a `Sequential` at each input, with a draw for each."""
    module = jax.tree.map(_steady, module, is_leaf=lambda x: isinstance(x, nn.Dropout))
    keys = jax.random.split(jax.random.key(0), len(z))
    return jax.vmap(lambda x, key: module(x, key=key))(z, keys)


class _Mask(eqx.Module):
    """In the place of a `Dropout`: it scales with each entry, but is not linear."""

    def __call__(self, x: Array, *, key: Any = None, inference: Any = None) -> Array:
        del key, inference
        return jnp.where(x > 0, x, 0.5 * x)


def _steady(layer: Any) -> Any:
    """A `Dropout` that draws as a `_Mask`, of which every mask has the laws."""
    draws = isinstance(layer, nn.Dropout) and not layer.inference and layer.p > 0
    return _Mask() if draws else layer


def _entrywise(activation: Any, z: Array) -> Array:
    """The activation of an `MLP`, which has parameters for each unit, if any."""

    def units(x: Array) -> Array:
        return eqx.filter_vmap(lambda a, b: a(b))(activation, x)

    return jax.vmap(units)(z)


def _on_numbers(activation: Any, z: Array) -> Array:
    return jax.vmap(activation)(z)


def _normalized(norm: Any, z: Array) -> Array:
    """Batch normalization as in training, without the state that it keeps for later."""
    if norm.inference or norm.mode != "batch":
        raise ValueError("BatchNorm normalizes by statistics of other batches")
    axes = (0, *range(2, z.ndim))
    mean = jnp.mean(z, axes, keepdims=True)
    variance = jnp.mean((z - mean) ** 2, axes, keepdims=True)
    out = (z - mean) / jnp.sqrt(variance + norm.eps)
    if norm.weight is None:
        return out
    shape = (-1, *[1] * (z.ndim - 2))
    return out * norm.weight.reshape(shape) + norm.bias.reshape(shape)
