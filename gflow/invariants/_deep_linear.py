"""Conserved quantities of the flows of deep linear networks.

With G the gradient of the loss with respect to the end-to-end map,

    W_l' = -(W_L ... W_{l+1})ᵀ G (W_{l-1} ... W_1)ᵀ

so that W_{l+1}ᵀ W_{l+1}' = W_l' W_lᵀ, whatever G is: D_l = W_{l+1}ᵀ W_{l+1} - W_l W_lᵀ
stays, as a matrix.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from .._types import Params
from ..models import DeepLinear
from ._invariant import Invariant


def deep_linear_invariants(net: DeepLinear) -> dict[str, Invariant]:
    """What gradient flow conserves between neighboring factors: balancedness.

    W_{l+1}ᵀ W_{l+1} - W_l W_lᵀ, a symmetric matrix of size n_l for each hidden layer l.
    Holds for any loss of the end-to-end map and one rate for all factors; drift is
    told relative to the two products.

    **Arguments:** `net`: the network.

    **Returns:** of equal widths {"balance": (L-1, n, n)}, else {"balance_1":
    (n_1, n_1), ..., "balance_{L-1}"}; empty at depth 1.

    **References:** Arora, Cohen, Hazan 2018 (arXiv 1802.06509), theorem 1; Du, Hu, Lee
    2018 (arXiv 1806.00900).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.invariants import deep_linear_invariants
    >>> from gflow.models import DeepLinear
    >>> law = deep_linear_invariants(DeepLinear([1, 1, 1]))["balance"]
    >>> print(law(jnp.array([[[2.0]], [[3.0]]])))
    [[[5.]]]

    ```
    """
    if net.depth == 1:
        return {}
    if net.is_uniform:
        return {"balance": _law("W_{l+1}^T W_{l+1} - W_l W_l^T of each l", None)}
    return {
        f"balance_{layer}": _law(
            f"W_{layer + 1}^T W_{layer + 1} - W_{layer} W_{layer}^T", layer
        )
        for layer in range(1, net.depth)
    }


def _law(formula: str, layer: int | None) -> Invariant:
    return Invariant(
        eqx.Partial(_balance, layer),
        formula=formula,
        scale=eqx.Partial(_products, layer),
        reference="Arora, Cohen, Hazan 2018 (arXiv 1802.06509), theorem 1",
    )


def _products(layer: int | None, w: Params) -> Any:
    above, below = (w[1:], w[:-1]) if layer is None else (w[layer], w[layer - 1])
    return jnp.stack([above.mT @ above, below @ below.mT])


def _balance(layer: int | None, w: Params) -> Any:
    above, below = _products(layer, w)
    return above - below
