"""The known laws of the models whose parameters are apart from them."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from .._types import Params
from ..models import (
    BatchNormLinear,
    DeepLinear,
    DeepReLU,
    DiagonalNet,
    MatrixCompletion,
    TwoLayerReLU,
    WeightNormalized,
)
from ._deep_linear import deep_linear_invariants
from ._diagonal import diagonal_invariants
from ._invariant import Invariant
from ._laws import Laws
from ._relu import relu_invariants

_DIAGONAL = (DiagonalNet, WeightNormalized)

MODELS = (
    *(DeepLinear, MatrixCompletion, TwoLayerReLU, DeepReLU, BatchNormLinear),
    *_DIAGONAL,
)


def model_laws(model: Any, *, has_rates: bool) -> Laws:
    """Of w, the model's parameters.

    **Raises:** `ValueError` for rates of a model that has its own.
    """
    if isinstance(model, _DIAGONAL):
        if has_rates:
            raise ValueError("the laws of a diagonal net hold at its own rates")
        note = "depends on the data: diagonal_invariants(model, A)"
        return Laws(diagonal_invariants(model), {"range": note})
    if isinstance(model, TwoLayerReLU | DeepReLU):
        return Laws(relu_invariants(model))
    if isinstance(model, BatchNormLinear):
        reference = "Cao, Zou, Li, Gu 2023 (arXiv 2306.11680)"
        return Laws({"norm": Invariant(_square, formula="|w|^2", reference=reference)})
    net = model.net if isinstance(model, MatrixCompletion) else model
    return Laws(deep_linear_invariants(net))


def _square(w: Params) -> Array:
    return jnp.sum(w["w"] ** 2)
