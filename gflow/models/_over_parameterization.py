"""Linear over-parameterization: a layer as a product of several while it is trained.

D `depth` · c `width` · h hidden features.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ._chain_weights import filled_balanced, filled_kaiming
from ._linear_chain import ExpandedConv, ExpandedLinear, LinearChain, structure_of

_Model = TypeVar("_Model")
Init = Literal["kaiming", "balanced"]
Kernels = Sequence[int] | Sequence[Sequence[int]]

# Only these: a subclass of one's own may use its weight in another way.
_LAYERS = (
    eqx.nn.Linear,
    eqx.nn.Conv,
    eqx.nn.Conv1d,
    eqx.nn.Conv2d,
    eqx.nn.Conv3d,
)
# They take a layer's weight away from it, to put a function of it in its place.
_OPAQUE = (eqx.nn.WeightNorm, eqx.nn.SpectralNorm)


def expand(
    model: _Model,
    depth: int,
    width: float = 1.0,
    *,
    key: PRNGKeyArray,
    where: Callable[[_Model], Any] | None = None,
    kernel_sizes: Kernels | None = None,
    init: Init = "kaiming",
) -> _Model:
    """The model with each linear layer as a product of `depth` layers.

    `Linear` in -> out becomes in -> h -> … -> h -> out with h = int(width · out) and no
    nonlinearity; `Conv` of kernel k becomes kernels k, 1, …, 1, or any others that
    amount to k. A bias becomes one in every factor. What the model can express does not
    change (for h at least the smaller of in and out), how it is learned does: see
    `collapse` for the way back.

    **Arguments:**

    - `model`: any equinox module, or tree of them. `Linear` and `Conv` of 1 to 3
        dimensions are replaced, with any stride, padding, dilation, groups, padding
        mode, and `"scalar"` features. All else stays, and so do layers inside of
        `WeightNorm` or `SpectralNorm`, layers whose weight `Shared` ties to another,
        and layers that are expanded already.
    - `depth`: D ≥ 1. At 1 the layers are only drawn anew.
    - `width`: c > 0, hidden features over output features.
    - `where`: `model -> a part of it, or a sequence of parts`, as in
        `equinox.tree_at`: the layers in there, where not all.
    - `kernel_sizes`: D sizes for convolutions with Σ k_l - D + 1 = k; sequences where
        dimensions differ.
    - `init`: "kaiming": weights anew, N(0, g²/fan-in) with g = √2 in the last factor
        and 1 before, biases 0. "balanced": the model's own function is kept, with
        factors that share its singular values equally, s_i^(1/D), so that
        W_{l+1}ᵀ W_{l+1} = W_l W_lᵀ.

    **Returns:** a model of the same call.

    **Raises:** `ValueError` for a depth or width out of range, h not divisible by
    `groups`, kernel sizes that do not amount to a layer's, nothing to expand in
    `where`, a stack of layers (expand inside of `filter_vmap`), or "balanced" with
    kernel sizes, groups, or h < min(out, in · k).

    **Cost:** a step costs about h/out more products for each factor; prediction costs
    nothing more once collapsed.

    **Differs from the source** in where the stride stands: on the last factor with a
    kernel above 1, not on the last. The function is the same, at less cost.

    **References:** Huh et al. 2021 (arXiv 2103.10427), section 6; He et al. 2015
    (arXiv 1502.01852); "balanced": Arora, Cohen, Hazan 2018 (arXiv 1802.06509).

    ```python
    >>> import equinox as eqx, jax, jax.numpy as jnp
    >>> from gflow.models import collapse, expand
    >>> keys = jax.random.split(jax.random.key(0))
    >>> net = eqx.nn.MLP(4, 3, 8, 1, key=keys[0])
    >>> wide = expand(net, depth=3, key=keys[1])
    >>> print([f.weight.shape for f in wide.layers[0].factors])
    [(8, 4), (8, 8), (8, 8)]
    >>> x = jnp.ones(4)
    >>> print(bool(jnp.allclose(wide(x), collapse(wide)(x), rtol=1e-5)))
    True

    ```
    """
    if not depth >= 1 or depth != int(depth):
        raise ValueError(f"depth must be a whole number >= 1, not {depth!r}")
    if not 0 < width < math.inf:
        raise ValueError(f"width must be > 0 and finite, not {width!r}")
    if init not in ("kaiming", "balanced"):
        raise ValueError(f"init must be 'kaiming' or 'balanced', not {init!r}")
    if kernel_sizes is not None and len(kernel_sizes) != depth:
        raise ValueError(f"kernel_sizes must have depth = {depth} entries")
    count = itertools.count()

    def chain(layer: Any) -> Any:
        # Not by `split` of a known number: the layers are counted as they come.
        layer_key = jax.random.fold_in(key, next(count))
        return _chain(layer, int(depth), width, kernel_sizes, init, layer_key)

    def part(node: Any) -> Any:
        return jax.tree.map(
            lambda x: chain(x) if _is_expandable(x) else x, node, is_leaf=_is_leaf
        )

    expanded = (
        part(model) if where is None else eqx.tree_at(where, model, replace_fn=part)
    )
    if next(count) == 0:
        raise ValueError("there is no Linear or Conv layer to expand")
    return expanded


def collapse(model: _Model) -> _Model:
    """The model with each product of layers as the one layer that it stands for.

    Undoes `expand`: classes, tree structure and number of parameters are the original
    ones, and outputs are equal up to rounding. Works under `jit`, `vmap` and `grad`.

    ```python
    >>> import equinox as eqx, jax
    >>> from gflow.models import collapse, expand
    >>> keys = jax.random.split(jax.random.key(0))
    >>> layer = eqx.nn.Linear(2, 3, key=keys[0])
    >>> again = collapse(expand(layer, depth=4, key=keys[1]))
    >>> print(jax.tree.structure(again) == jax.tree.structure(layer))
    True

    ```
    """
    return jax.tree.map(
        lambda x: x.layer if isinstance(x, LinearChain) else x,
        model,
        is_leaf=lambda x: isinstance(x, LinearChain),
    )


def _is_leaf(x: Any) -> bool:
    return isinstance(x, (*_LAYERS, *_OPAQUE, LinearChain))


def _is_expandable(x: Any) -> bool:
    # `Shared` leaves a marker where it has taken a weight away.
    return type(x) in _LAYERS and jnp.issubdtype(
        getattr(x.weight, "dtype", jnp.integer), jnp.inexact
    )


def _chain(
    layer: Any,
    depth: int,
    width: float,
    kernel_sizes: Kernels | None,
    init: Init,
    key: PRNGKeyArray,
) -> LinearChain:
    is_conv = isinstance(layer, eqx.nn.Conv)
    if layer.weight.ndim != (2 + layer.num_spatial_dims if is_conv else 2):
        raise ValueError(
            f"a stack of layers, weight {layer.weight.shape}: expand each, inside of "
            "equinox.filter_vmap"
        )
    hidden = int(width * layer.weight.shape[0])
    if hidden < 1:
        raise ValueError(
            f"width {width:g} leaves no hidden feature to {layer.weight.shape[0]}"
        )
    if is_conv:
        if hidden % layer.groups:
            raise ValueError(f"{hidden} hidden features in {layer.groups} groups")
        factors = _conv_factors(layer, hidden, _kernels(layer, depth, kernel_sizes))
        kind = ExpandedConv
    else:
        factors, kind = _linear_factors(layer, hidden, depth), ExpandedLinear
    if init == "kaiming":
        return kind(filled_kaiming(factors, key), structure_of(layer))
    if is_conv and (kernel_sizes is not None or layer.groups > 1):
        raise ValueError("balanced factors need default kernels and one group")
    return kind(filled_balanced(factors, layer, hidden), structure_of(layer))


def _linear_factors(layer: eqx.nn.Linear, hidden: int, depth: int) -> list[Any]:
    """The factors' shapes, without numbers."""
    ends = [layer.in_features, *[hidden] * (depth - 1), layer.out_features]
    dtype = layer.weight.dtype
    return [
        eqx.filter_eval_shape(
            eqx.nn.Linear, a, b, layer.use_bias, dtype=dtype, key=jax.random.key(0)
        )
        for a, b in itertools.pairwise(ends)
    ]


def _conv_factors(
    layer: eqx.nn.Conv, hidden: int, kernels: list[tuple[int, ...]]
) -> list[Any]:
    """The factors' shapes, without numbers: no padding, and the stride where it may."""
    ends = [layer.in_channels, *[hidden] * (len(kernels) - 1), layer.out_channels]
    wide = [place for place, k in enumerate(kernels) if max(k) > 1]
    strided = wide[-1] if wide else 0
    return [
        eqx.filter_eval_shape(
            eqx.nn.Conv,
            layer.num_spatial_dims,
            a,
            b,
            k,
            stride=layer.stride if place == strided else 1,
            dilation=layer.dilation,
            groups=layer.groups,
            use_bias=layer.use_bias,
            dtype=layer.weight.dtype,
            key=jax.random.key(0),
        )
        for place, ((a, b), k) in enumerate(
            zip(itertools.pairwise(ends), kernels, strict=True)
        )
    ]


def _kernels(
    layer: eqx.nn.Conv, depth: int, kernel_sizes: Kernels | None
) -> list[tuple[int, ...]]:
    """A kernel for each factor, which together amount to the layer's."""
    num = layer.num_spatial_dims
    if kernel_sizes is None:
        return [tuple(layer.kernel_size)] + [(1,) * num] * (depth - 1)
    kernels = [(k,) * num if isinstance(k, int) else tuple(k) for k in kernel_sizes]
    total = tuple(sum(sizes) - depth + 1 for sizes in zip(*kernels, strict=True))
    if total != tuple(layer.kernel_size) or min(map(min, kernels)) < 1:
        raise ValueError(
            f"kernel_sizes {list(kernel_sizes)} amount to {total}, and a layer has "
            f"{tuple(layer.kernel_size)}; choose layers by `where`"
        )
    return kernels
