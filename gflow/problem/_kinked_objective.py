"""A problem from any loss whose kinks are declared."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from .._types import Params, Scalar
from ._kinks import Activate, Kinks
from ._metric import Metric, as_metric
from ._problem import Problem


class KinkedObjective(Problem):
    """Minimize a loss that is smooth but for its activations σ.

    σ(z) is high z for z > 0 and low z for z < 0. The flow is the Filippov solution of
    dw/dt = -diag(rates) ∇L(w): it crosses a kink, or slides along it where the fields
    of both sides point to it.

    **Arguments:**

    - `loss`: `(w, activate) -> scalar`, which calls `activate(z)` in the place of σ(z)
        on arrays z, in the same order whatever their numbers.
    - `slopes`: (low, high), low < high; (-1, 1) for the absolute value.
    - `rates`, `predict`: as in `Objective`.

    **Raises:** `ValueError` for slopes that do not rise or for a bad rate, `TypeError`
    if `loss` cannot be called.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.problem import KinkedObjective
    >>> problem = KinkedObjective(lambda w, act: jnp.sum(act(w)), slopes=(-1.0, 1.0))
    >>> print(problem.loss(jnp.array([3.0, -2.0])))
    5.0

    ```
    """

    metric: Metric | None
    slopes: tuple[float, float] = eqx.field(static=True)
    _loss: Callable[[Params, Activate], Any]
    _predict: Callable[[Params], Any] | None

    def __init__(
        self,
        loss: Callable[[Params, Activate], Any],
        *,
        slopes: tuple[float, float] = (0.0, 1.0),
        rates: Metric | PyTree[float] | None = None,
        predict: Callable[[Params], Any] | None = None,
    ) -> None:
        if not callable(loss):
            raise TypeError(f"loss must be a function (w, activate), not {loss!r}")
        self.slopes = checked_slopes(slopes)
        self._loss = loss
        self._predict = predict
        self.metric = as_metric(rates)

    @property
    def kinks(self) -> Kinks:
        """The places where an argument of σ is zero."""
        low, high = self.slopes
        return _ObjectiveKinks(
            function=self._loss, low=low, high=high, metric=self.metric
        )

    def loss(self, w: Params) -> Scalar:
        """L(w)."""
        return self._loss(w, self.kinks.plain)

    def predict(self, w: Params) -> jax.Array | None:
        """f(w), or None."""
        return None if self._predict is None else self._predict(w)


class _ObjectiveKinks(Kinks):
    function: Callable[[Params, Activate], Any]
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    metric: Metric | None

    def loss(self, w: Params, activate: Activate) -> Scalar:
        return self.function(w, activate)


def checked_slopes(slopes: tuple[float, float]) -> tuple[float, float]:
    """(low, high) as floats, or `ValueError` unless low < high."""
    low, high = map(float, slopes)
    if not low < high:
        raise ValueError(f"slopes must be (low, high) with low < high, not {slopes}")
    return low, high
