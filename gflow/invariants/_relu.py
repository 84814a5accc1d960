"""Conserved quantities of the flows of networks of piecewise linear units.

σ(z) = z σ'(z), so that scaling the weights into a unit by c > 0 and those out of it by
1/c leaves the net as it is; along the flow ⟨w_j, ∂L/∂w_j⟩ = a_j ∂L/∂a_j. On a kink this
holds for every multiplier in the place of σ', as z = 0.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from .._types import Params
from ..models import DeepReLU, TwoLayerReLU
from ._invariant import Invariant

_REFERENCE = "Du, Hu, Lee 2018 (arXiv 1806.00900), theorem 2.1"


def relu_invariants(
    model: TwoLayerReLU | DeepReLU, rates: tuple[ArrayLike, ArrayLike] = (1.0, 1.0)
) -> dict[str, Invariant]:
    """What gradient flow conserves at each unit: weights out against weights in.

    Two layers: a_j²/η₂ - ‖w_j‖²/η₁. Deeper, with one rate for all hidden layers: the
    same at the last hidden layer, and ‖(W_{l+1})_·j‖² - ‖(W_l)_j·‖² below it. Holds for
    any loss of the net's outputs and any slopes, on kinks as well as off them.

    **Arguments:**

    - `model`: the network.
    - `rates`: (η₁, η₂) of the hidden layers and of a, both > 0.

    **Returns:** {"neurons": an invariant of shape (m,)}; deeper, {"neurons_l": (m_l,)}
    for the hidden layers l = 1, 2, ....

    **Raises:** `ValueError` for a rate that is not > 0: a frozen layer is constant.

    **References:** Du, Hu, Lee 2018 (arXiv 1806.00900); Razborov 2022 (arXiv
    2212.02323) for two rates.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.invariants import relu_invariants
    >>> from gflow.models import TwoLayerReLU
    >>> law = relu_invariants(TwoLayerReLU(2, 1), (1.0, 2.0))["neurons"]
    >>> print(law({"w": jnp.array([[1.0, 2.0]]), "a": jnp.array([4.0])}))
    [3.]

    ```
    """
    if not all(float(np.asarray(rate)) > 0 for rate in rates):
        raise ValueError(f"rates must be > 0, not {rates}")
    hidden, last = map(jnp.asarray, rates)
    if isinstance(model, TwoLayerReLU):
        formula = "a_j^2/eta_2 - |w_j|^2/eta_1"
        return {"neurons": _law(formula, (hidden, last), None)}
    return {
        f"neurons_{layer + 1}": _law(
            f"|out_j|^2 - |in_j|^2 of hidden layer {layer + 1}, over their rates",
            (hidden, last),
            layer,
        )
        for layer in range(len(model.widths))
    }


def _law(formula: str, rates: tuple[Array, Array], layer: int | None) -> Invariant:
    return Invariant(
        eqx.Partial(_difference, rates, layer),
        formula=formula,
        scale=eqx.Partial(_squares, rates, layer),
        reference=_REFERENCE,
    )


def _squares(rates: tuple[Array, Array], layer: int | None, w: Params) -> Any:
    hidden, last = rates
    layers = [w["w"]] if layer is None else w["w"]
    layer = 0 if layer is None else layer
    into = jnp.sum(layers[layer] ** 2, axis=1) / hidden
    if layer + 1 == len(layers):
        return jnp.stack([w["a"] ** 2 / last, into])
    return jnp.stack([jnp.sum(layers[layer + 1] ** 2, axis=0) / hidden, into])


def _difference(rates: tuple[Array, Array], layer: int | None, w: Params) -> Any:
    out, into = _squares(rates, layer, w)
    return out - into
