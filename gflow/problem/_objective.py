"""A problem from any differentiable loss."""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import PyTree

from .._types import Params, Scalar
from ._metric import Metric, as_metric
from ._problem import Problem


class Objective(Problem):
    """Minimize any differentiable loss over any pytree.

    The flow is dw/dt = -diag(rates) ∇L(w).

    **Arguments:**

    - `loss`: `w -> scalar`, traceable by jax. If it is an equinox module, its arrays
        are data: other data of equal shape do not compile anew.
    - `rates`: a tree prefix of `w` with a rate ≥ 0 for each group, or
        any other `gflow.problem.Metric`; None for 1.
    - `predict`: `w -> array`, the function the parameters stand for, if there is one;
        `compare` then measures distance in function space too.

    **Raises:** `ValueError` for a negative or non-finite rate, `TypeError` if `loss`
    cannot be called.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
    >>> print(problem.velocity(jnp.array([1.0, 2.0])))
    [-1. -2.]

    ```
    """

    metric: Metric | None
    _loss: Callable[[Params], Any]
    _predict: Callable[[Params], Any] | None

    def __init__(
        self,
        loss: Callable[[Params], Any],
        *,
        rates: Metric | PyTree[float] | None = None,
        predict: Callable[[Params], Any] | None = None,
    ) -> None:
        if not callable(loss):
            raise TypeError(f"loss must be a function of the parameters, not {loss!r}")
        self._loss = loss
        self._predict = predict
        self.metric = as_metric(rates)

    def loss(self, w: Params) -> Scalar:
        """L(w)."""
        return self._loss(w)

    def predict(self, w: Params) -> jax.Array | None:
        """f(w), or None."""
        return None if self._predict is None else self._predict(w)
