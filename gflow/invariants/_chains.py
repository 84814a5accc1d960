"""What gradient flow conserves where layers are products of linear factors.

W_l, b_l weight and bias of factor l, the first one next to the input · p, q entries of
their kernels.

For any invertible matrix A of hidden features, A W_l, A b_l and W_{l+1} A^-1 are the
same function: a convolution by A alone commutes with kernels. Under gradient flow each
such symmetry conserves a matrix,

    Σ_p W_{l+1,p}ᵀ W_{l+1,p} - Σ_q W_{l,q} W_{l,q}ᵀ - b_l b_lᵀ.                     (1)
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._types import Params
from ..models import LinearChain
from ._invariant import Invariant

_REFERENCE = "Arora, Cohen, Hazan 2018 (arXiv 1802.06509), theorem 1"


def chain_invariants(model: Params) -> dict[str, Invariant]:
    """Balancedness of each layer that `gflow.models.expand` made a product.

    W_{l+1}ᵀ W_{l+1} - W_l W_lᵀ - b_l b_lᵀ for neighboring factors, summed over the
    entries of a convolution's kernels. Holds for any loss, at one rate for all.
    Convolutions with groups, which conserve less, are left out.

    **Arguments:** `model`: the expanded model, at any weights.

    **Returns:** "chain_0", "chain_1", … in the order of the tree -> invariant; none for
    a model without products.

    ```python
    >>> import equinox as eqx, jax
    >>> from gflow.invariants import chain_invariants
    >>> from gflow.models import expand
    >>> layer = eqx.nn.Linear(2, 2, use_bias=False, key=jax.random.key(0))
    >>> net = expand(layer, depth=2, init="balanced", key=jax.random.key(1))
    >>> print(abs(chain_invariants(net)["chain_0"](net)).max() < 1e-6)
    True

    ```
    """
    return {
        f"chain_{place}": Invariant(
            eqx.Partial(_balance, place),
            formula="W_{l+1}^T W_{l+1} - W_l W_l^T - b_l b_l^T",
            scale=eqx.Partial(_terms, place),
            reference=_REFERENCE,
        )
        for place, chain in enumerate(_chains(model))
        if len(chain.factors) > 1
        and all(getattr(factor, "groups", 1) == 1 for factor in chain.factors)
    }


def _chains(w: Params) -> list[LinearChain]:
    leaves = jax.tree.leaves(w, is_leaf=lambda x: isinstance(x, LinearChain))
    return [leaf for leaf in leaves if isinstance(leaf, LinearChain)]


def _balance(place: int, w: Params) -> Array:
    """(1) for each pair of neighbors, flat."""
    return jnp.concatenate([(b - a).ravel() for a, b in _pairs(_chains(w)[place])])


def _terms(place: int, w: Params) -> Array:
    """What (1) is the difference of."""
    return jnp.concatenate(
        [x.ravel() for pair in _pairs(_chains(w)[place]) for x in pair]
    )


def _pairs(chain: Any) -> list[tuple[Array, Array]]:
    pairs: list[tuple[Array, Array]] = []
    for before, after in zip(chain.factors[:-1], chain.factors[1:], strict=True):
        incoming = before.weight.reshape(len(before.weight), -1)
        outgoing = after.weight.reshape(*after.weight.shape[:2], -1)
        product = incoming @ incoming.T
        if before.bias is not None:
            bias = before.bias.ravel()
            product += jnp.outer(bias, bias)
        pairs.append((product, jnp.einsum("ohp,ogp->hg", outgoing, outgoing)))
    return pairs
