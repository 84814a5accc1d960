"""Empirical risk: a model, its data, a criterion and a penalty."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .._types import Params, Scalar
from ._kinks import Kinks
from ._metric import Metric, as_metric
from ._piecewise import PiecewiseModel, RiskKinks
from ._problem import Problem


def half_sum_squares(predictions: jax.Array, targets: jax.Array) -> Scalar:
    """½ Σ (f - y)², the square loss without a mean."""
    return 0.5 * jnp.sum((predictions - targets) ** 2)


def mean_squares(predictions: jax.Array, targets: jax.Array) -> Scalar:
    """(1/n) Σ (f - y)², the square loss of a mean, without a half."""
    return jnp.mean((predictions - targets) ** 2)


class EmpiricalRisk(Problem):
    """Minimize criterion(model(w, inputs), targets) + penalty(w).

    **Arguments:**

    - `model`: `(w, inputs) -> predictions` on the whole data set. For an equinox
        module that maps one example, `lambda w, x: jax.vmap(w)(x)`.
    - `inputs`, `targets`: arrays or pytrees of arrays with the examples leading.
    - `criterion`: `(predictions, targets) -> scalar`; default ½ Σ (f - y)².
    - `penalty`: `w -> scalar`, or None.
    - `rates`: as in `Objective`.

    Data are leaves of the problem: new data of equal shape do not compile anew.

    **Raises:** `ValueError` if the data hold a number that is not finite, `TypeError`
    if `model` cannot be called.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> x, y = jnp.eye(2), jnp.array([1.0, 2.0])
    >>> problem = gf.EmpiricalRisk(lambda w, x: x @ w, x, y)
    >>> print(problem.loss(jnp.zeros(2)))
    2.5

    ```
    """

    metric: Metric | None
    model: Callable[[Params, Any], Any]
    inputs: PyTree[jax.Array]
    targets: PyTree[jax.Array]
    criterion: Callable[[Any, Any], Any]
    penalty: Callable[[Params], Any] | None

    def __init__(
        self,
        model: Callable[[Params, Any], Any],
        inputs: PyTree[Any],
        targets: PyTree[Any],
        *,
        criterion: Callable[[Any, Any], Any] = half_sum_squares,
        penalty: Callable[[Params], Any] | None = None,
        rates: Metric | PyTree[float] | None = None,
    ) -> None:
        if not callable(model):
            raise TypeError(f"model must be a function (w, inputs), not {model!r}")
        for name, data in (("inputs", inputs), ("targets", targets)):
            if not all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(data)):
                raise ValueError(f"{name} hold a number that is not finite")
        self.model = model
        self.inputs = jax.tree.map(jnp.asarray, inputs)
        self.targets = jax.tree.map(jnp.asarray, targets)
        self.criterion = criterion
        self.penalty = penalty
        self.metric = as_metric(rates)

    def loss(self, w: Params) -> Scalar:
        """criterion(model(w, inputs), targets) + penalty(w)."""
        value = self.criterion(self.model(w, self.inputs), self.targets)
        return value if self.penalty is None else value + self.penalty(w)

    @property
    def kinks(self) -> Kinks | None:
        """Those of a `PiecewiseModel`; None for any other model."""
        if not isinstance(self.model, PiecewiseModel):
            return None
        return RiskKinks(
            low=self.model.low,
            high=self.model.high,
            model=self.model,
            inputs=self.inputs,
            targets=self.targets,
            criterion=self.criterion,
            penalty=self.penalty,
            metric=self.metric,
        )

    def predict(self, w: Params) -> jax.Array:
        """model(w, inputs)."""
        return self.model(w, self.inputs)
