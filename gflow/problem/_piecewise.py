"""Models that are piecewise linear in their units."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, Int

from .._types import Params, Scalar
from ._kinks import Activate, Kinks, Normals
from ._metric import Metric


class PiecewiseModel(eqx.Module):
    """A model with activations σ(z) = low z for z < 0 and high z for z > 0.

    ReLU has slopes (0, 1), leaky ReLU (a, 1), the absolute value (-1, 1). Subclasses
    give `apply`, which calls `activate` on each array of preactivations; an
    `EmpiricalRisk` of such a model knows its kinks.
    """

    low: eqx.AbstractVar[float]
    high: eqx.AbstractVar[float]

    @abc.abstractmethod
    def apply(self, w: Params, inputs: Any, activate: Activate) -> Any:
        """Predictions on the whole data set, with `activate` in the place of σ."""

    @abc.abstractmethod
    def normals(
        self,
        w: Params,
        inputs: Any,
        slopes: Float[Array, " p"],
        pairs: Int[Array, " c"],
        metric: Metric | None,
    ) -> Normals | None:
        """The gradients ∇z of the pairs listed; None to have them by reverse passes."""

    @abc.abstractmethod
    def max_held(self, w: Params, inputs: Any) -> int:
        """A bound on how many pairs one may expect to be held at 0 at one time."""


class RiskKinks(Kinks):
    """The kinks of criterion(model(w, inputs), targets) + penalty(w)."""

    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    model: PiecewiseModel
    inputs: Any
    targets: Any
    criterion: Callable[[Any, Any], Any]
    penalty: Callable[[Params], Any] | None
    metric: Metric | None

    def loss(self, w: Params, activate: Activate) -> Scalar:
        """The risk with `activate` in the place of σ; the penalty must be smooth."""
        predictions = self.model.apply(w, self.inputs, activate)
        value = self.criterion(predictions, self.targets)
        return value if self.penalty is None else value + self.penalty(w)

    def normals(
        self, w: Params, slopes: Float[Array, " p"], pairs: Int[Array, " c"]
    ) -> Normals:
        """The model's, or by C reverse passes."""
        own = self.model.normals(w, self.inputs, slopes, pairs, self.metric)
        return Kinks.normals(self, w, slopes, pairs) if own is None else own

    def max_held(self, w: Params) -> int:
        """The model's."""
        return min(self.size(w), self.model.max_held(w, self.inputs))
