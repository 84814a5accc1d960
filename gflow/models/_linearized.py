"""A model's first-order expansion around a point of its parameters."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .. import _trees as trees
from .._types import Params


class Linearized(eqx.Module):
    """The model f(w0; x) + Df(w0; x)(w - w0), linear in w: lazy training made exact.

    Gradient flow of its square loss ½‖r‖² has r(t) = e^(-Kt) r(0) with K = J Jᵀ, the
    tangent kernel at w0. Fine-tuning that stays near a pretrained w0 is close to it.

    **Arguments:** `model`: `(w, inputs) -> predictions`, differentiable in w; `w0`:
    where it is expanded, a leaf of the model: another one does not compile anew.

    **Cost:** of a prediction, one of the model and one of its derivative along w - w0.

    **References:** Jacot, Gabriel, Hongler 2018 (arXiv 1806.07572); Lee et al. 2019
    (arXiv 1902.06720); Chizat, Oyallon, Bach 2019 (arXiv 1812.07956).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import Linearized
    >>> square = Linearized(lambda w, x: w**2 * x, jnp.array(1.0))
    >>> print(square(jnp.array(1.5), jnp.array([1.0, 2.0])))  # (1 + 2 * 0.5) x
    [2. 4.]

    ```
    """

    model: Callable[[Params, Any], Any]
    w0: Params

    def __call__(self, w: Params, inputs: Any) -> Any:
        """Predictions."""
        w0, static = trees.split(self.w0)
        moving = eqx.filter(w, eqx.is_inexact_array)

        def predictions(point: Params) -> Any:
            return self.model(eqx.combine(point, static), inputs)

        step = jax.tree.map(jnp.subtract, moving, w0)
        value, change = jax.jvp(predictions, (w0,), (step,))
        return value + change
