"""A linear classifier with batch normalization.

w the weights · γ the scale · Σ = (1/n) Σ x_i x_iᵀ of the batch · ‖w‖_Σ = √(wᵀ Σ w).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from .._types import Params
from ..problem import EmpiricalRisk, logistic_loss


class BatchNormLinear(eqx.Module):
    """The linear model with batch normalization, f(x) = γ wᵀx/‖w‖_Σ.

    Normalized by the batch that it is given, and not centered. Its parameters are
    {"w": (dim,), "gamma": ()}. The loss does not depend on the length of w, so gradient
    flow conserves ‖w‖². On data that some w classifies with equal margins the flow of
    the logistic loss tends to equal margins, and not to the largest one.

    **Arguments:** `dim`: d, the length of x.

    **Raises:** `ValueError` for a dim below 1.

    **References:** Cao, Zou, Li, Gu 2023 (arXiv 2306.11680).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import BatchNormLinear
    >>> net, x = BatchNormLinear(2), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> print(net({"w": jnp.array([3.0, -3.0]), "gamma": jnp.array(2.0)}, x))
    [ 2. -2.]

    ```
    """

    dim: int = eqx.field(static=True)

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise ValueError(f"dim must be at least 1, not {dim}")
        self.dim = dim

    def init(self, norm: float = 1.0, *, key: Any) -> dict[str, Array]:
        """A random direction of length `norm`, and γ = 1."""
        w = jax.random.normal(key, (self.dim,), float)
        return {"w": norm * w / jnp.linalg.norm(w), "gamma": jnp.ones((), float)}

    def __call__(self, w: Params, inputs: Float[Array, "n d"]) -> Float[Array, " n"]:
        """f(x_i)."""
        return w["gamma"] * self.normalized(w, inputs)

    def normalized(self, w: Params, inputs: Float[Array, "n d"]) -> Float[Array, " n"]:
        """wᵀ x_i/‖w‖_Σ, of mean square 1."""
        z = inputs @ w["w"]
        return z / jnp.sqrt(jnp.mean(z**2))

    def problem(self, X: ArrayLike, y: ArrayLike) -> EmpiricalRisk:
        """Mean logistic loss, `X` of shape (n, d), `y` (n,) of signs."""
        inputs, targets = jnp.asarray(X, dtype=float), jnp.asarray(y, dtype=float)
        if targets.ndim != 1 or inputs.shape != (targets.size, self.dim):
            raise ValueError(
                f"X must have shape (n, {self.dim}) and y (n,), not {inputs.shape}, "
                f"{targets.shape}"
            )
        return EmpiricalRisk(self, inputs, targets, criterion=logistic_loss)
