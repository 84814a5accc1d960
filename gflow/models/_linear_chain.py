"""Linear layers as products of several, with no nonlinearity between them.

D depth · W_l, b_l weight and bias of factor l, the first one next to the input · k_l
its kernel · h hidden features.

One layer z -> W z + b after another is one layer, W_2 W_1 and W_2 b_1 + b_2. So are
convolutions: with y_t = Σ_p B_p z_{t+p} and z_t = Σ_q A_q x_{t+q},

    y_t = Σ_n C_n x_{t+n},    C_n = Σ_{p+q=n} B_p A_q,                          (1)

a kernel of k_1 + k_2 - 1. (1) needs every z_t that B reads to be such a sum: all of
the padding stands before the first factor, and no stride before the last factor that
is wider than one. Equal dilations stay what they are; groups act each for itself.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike

# Modes of `jax.numpy.pad` for those of `equinox.nn.Conv`.
_MODES = {"REFLECT": "reflect", "REPLICATE": "edge", "CIRCULAR": "wrap"}


class LinearChain(eqx.Module):
    """A product of linear layers that stands for one: what `expand` puts in its place.

    - `factors`: the layers in the order in which they are applied.
    - `weight`, `bias`: of the one layer, which `layer` is.
    """

    factors: eqx.AbstractVar[tuple[Any, ...]]
    # The one layer without its arrays, as a tree's structure: hashable, so static.
    structure: eqx.AbstractVar[Any]

    @property
    @abc.abstractmethod
    def weight(self) -> Array:
        """Weight of the one layer."""

    @property
    @abc.abstractmethod
    def bias(self) -> Array | None:
        """Bias of the one layer, or None."""

    @property
    @abc.abstractmethod
    def layer(self) -> Any:
        """The one layer, of the class and structure that it had before."""


class ExpandedLinear(LinearChain):
    """`equinox.nn.Linear` as a product; see `expand`."""

    factors: tuple[eqx.nn.Linear, ...]
    structure: Any = eqx.field(static=True)

    def __call__(self, x: ArrayLike, *, key: Any = None) -> Array:
        """The one layer's output, factor by factor."""
        del key
        x = jnp.asarray(x)
        for factor in self.factors:
            x = factor(x)
        return x

    @property
    def weight(self) -> Array:
        """W_D … W_1."""
        product = jnp.asarray(self.factors[0].weight)
        for factor in self.factors[1:]:
            product = factor.weight @ product
        return product

    @property
    def bias(self) -> Array | None:
        """b_D + W_D b_{D-1} + …, or None."""
        total = _array(self.factors[0].bias)
        for factor in self.factors[1:]:
            if total is not None and factor.bias is not None:
                total = factor.weight @ total + factor.bias
        return total

    @property
    def layer(self) -> eqx.nn.Linear:
        """The one layer."""
        return _rebuilt(self.structure, self.weight, self.bias)


class ExpandedConv(LinearChain):
    """`equinox.nn.Conv` as a product; see `expand`. It pads once, before the first."""

    factors: tuple[eqx.nn.Conv, ...]
    structure: Any = eqx.field(static=True)

    def __call__(self, x: ArrayLike, *, key: Any = None) -> Array:
        """The one layer's output, factor by factor."""
        del key
        x = _padded(_rebuilt(self.structure), jnp.asarray(x))
        for factor in self.factors:
            x = factor(x)
        return x

    @property
    def weight(self) -> Array:
        """The kernel C of (1), factor by factor."""
        product = jnp.asarray(self.factors[0].weight)
        for factor in self.factors[1:]:
            product = _composed(product, factor.weight, factor.groups)
        return product

    @property
    def bias(self) -> Array | None:
        """b_D + (Σ_p W_D,p) b_{D-1} + …, or None: a bias is the same everywhere."""
        total = _array(self.factors[0].bias)
        for factor in self.factors[1:]:
            if total is not None and factor.bias is not None:
                axes = tuple(range(2, factor.weight.ndim))
                sums = jnp.sum(factor.weight, axis=axes)
                parts = total.reshape(factor.groups, -1)
                rows = sums.reshape(factor.groups, -1, sums.shape[1])
                carried = jnp.einsum("goh,gh->go", rows, parts)
                total = carried.reshape(factor.bias.shape) + factor.bias
        return total

    @property
    def layer(self) -> eqx.nn.Conv:
        """The one layer."""
        return _rebuilt(self.structure, self.weight, self.bias)


def structure_of(layer: Any) -> Any:
    """The layer without its arrays, for `LinearChain.structure`."""
    return jax.tree.structure(layer)


def _array(x: Any) -> Array | None:
    return None if x is None else jnp.asarray(x)


def _rebuilt(structure: Any, *arrays: Array | None) -> Any:
    """The layer with these arrays, or with none at all."""
    leaves = [array for array in arrays if array is not None]
    return jax.tree.unflatten(structure, leaves or [None] * structure.num_leaves)


def _composed(first: Array, then: Array, groups: int) -> Array:
    """(1) for kernels (h, in/g, *k_1) and (out, h/g, *k_2): (out, in/g, *k)."""

    def one(a: Array, b: Array) -> Array:
        # (1) is a full convolution, of every input channel of `a` with every row of b.
        axes = tuple(range(2, b.ndim))
        pads = [(k - 1, k - 1) for k in b.shape[2:]]
        rows = jax.lax.conv_general_dilated(
            jnp.swapaxes(a, 0, 1),
            jnp.flip(b, axes),
            window_strides=(1,) * len(axes),
            padding=pads,
            # On accelerators the default is less than the type's own precision.
            precision=jax.lax.Precision.HIGHEST,
        )
        return jnp.swapaxes(rows, 0, 1)

    split = [x.reshape(groups, -1, *x.shape[1:]) for x in (first, then)]
    product = jnp.stack([one(a, b) for a, b in zip(*split, strict=True)])
    return product.reshape(-1, *product.shape[2:])


def _padded(layer: eqx.nn.Conv, x: Array) -> Array:
    """The input with the padding of the one layer."""
    pads: Any = layer.padding
    if isinstance(pads, str):
        span = [
            (k - 1) * d + 1
            for k, d in zip(layer.kernel_size, layer.dilation, strict=True)
        ]
        pads = jax.lax.padtype_to_pads(x.shape[1:], span, layer.stride, pads)
    pads = [(0, 0), *pads]
    if not any(low or high for low, high in pads):
        return x
    if layer.padding_mode == "ZEROS":
        # Negative padding crops, in `lax` and in the one layer.
        zero = jnp.zeros((), x.dtype)
        return jax.lax.pad(x, zero, [(low, high, 0) for low, high in pads])
    return jnp.pad(x, pads, _MODES[layer.padding_mode])
