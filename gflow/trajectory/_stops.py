"""When a run ends before its end."""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from .. import _trees as trees
from .._results import Outcome
from .._types import Observable, Params, Scalar
from ..problem import Problem


class Stop(eqx.Module):
    """Ends a run. Either a `LocatedStop` or a `Budget`."""

    outcome: eqx.AbstractClassVar[Outcome]


class LocatedStop(Stop):
    """Ends a run at the time where `margin`, positive before, reaches zero.

    In a flow that time is found by root finding inside the step; a discrete method
    ends at the first step where the margin is not positive. If two stops fall in one
    step, the first one given wins.
    """

    # Gradients and losses that one look at the margin costs.
    num_gradients: ClassVar[int] = 0
    num_losses: ClassVar[int] = 0

    @abc.abstractmethod
    def reference(self, t: Any, w: Params, problem: Problem) -> Any:
        """What has to be measured at the start, as a pytree of arrays."""

    @abc.abstractmethod
    def margin(self, t: Any, w: Params, problem: Problem, reference: Any) -> Scalar:
        """Positive until the stop."""


class Stationary(LocatedStop):
    """Stop when ‖∇L(w)‖ ≤ rtol ‖∇L(w0)‖. Cost: one gradient a step.

    The norm is the metric's, √⟨∇L, G^-1 ∇L⟩, so that frozen parameters do not count.

    Where kinks are declared it takes the derivative of one side at a value held on its
    kink: |w| at rest in 0 has gradient norm 1 for ever. There watch the loss instead.

    On a plateau or near a saddle the gradient is small as well: the outcome says that
    the gradient is small, not that a minimum was reached.
    """

    rtol: Scalar = eqx.field(converter=jnp.asarray)
    outcome: ClassVar[Outcome] = Outcome.stationary
    num_gradients: ClassVar[int] = 1

    def __check_init__(self) -> None:
        _positive("Stationary", "rtol", self.rtol)

    def reference(self, t: Any, w: Params, problem: Problem) -> Any:
        """‖∇L(w0)‖."""
        del t
        return _metric_norm(problem, w)

    def margin(self, t: Any, w: Params, problem: Problem, reference: Any) -> Scalar:
        """‖∇L(w)‖ - rtol ‖∇L(w0)‖."""
        del t
        return _metric_norm(problem, w) - self.rtol * reference


def _metric_norm(problem: Problem, w: Params) -> Scalar:
    grad = problem.grad(w)
    return jnp.sqrt(-trees.inner(grad, problem.descent(w, grad)))


class LossBelow(LocatedStop):
    """Stop when L(w) ≤ value. Cost: one loss a step."""

    value: Scalar = eqx.field(converter=jnp.asarray)
    outcome: ClassVar[Outcome] = Outcome.loss_reached
    num_losses: ClassVar[int] = 1

    def __check_init__(self) -> None:
        _finite("LossBelow", "value", self.value)

    def reference(self, t: Any, w: Params, problem: Problem) -> Any:
        """Nothing."""
        del t, w, problem

    def margin(self, t: Any, w: Params, problem: Problem, reference: Any) -> Scalar:
        """L(w) - value."""
        del t, reference
        return problem.loss(w) - self.value


class Target(LocatedStop):
    """Stop when a scalar observable reaches a value, from whichever side it starts.

    Cost: one observable a step.
    """

    observable: Observable
    value: Scalar = eqx.field(converter=jnp.asarray)
    outcome: ClassVar[Outcome] = Outcome.target_reached

    def __check_init__(self) -> None:
        if not callable(self.observable):
            raise TypeError(
                "Target needs a callable (t, w, problem) -> number, not "
                f"{self.observable!r}"
            )
        _finite("Target", "value", self.value)

    def reference(self, t: Any, w: Params, problem: Problem) -> Any:
        """The side on which the observable starts."""
        return jnp.sign(self.observable(t, w, problem) - self.value)

    def margin(self, t: Any, w: Params, problem: Problem, reference: Any) -> Scalar:
        """The signed distance to the value."""
        return reference * (self.observable(t, w, problem) - self.value)


class Diverged(LocatedStop):
    """Stop when ‖w‖ ≥ norm. Not a success."""

    norm: Scalar = eqx.field(converter=jnp.asarray)
    outcome: ClassVar[Outcome] = Outcome.diverged

    def __check_init__(self) -> None:
        _positive("Diverged", "norm", self.norm)

    def reference(self, t: Any, w: Params, problem: Problem) -> Any:
        """Nothing."""
        del t, w, problem

    def margin(self, t: Any, w: Params, problem: Problem, reference: Any) -> Scalar:
        """norm - ‖w‖."""
        del t, problem, reference
        return self.norm - trees.norm(eqx.filter(w, eqx.is_inexact_array))


class Watch(eqx.Module):
    """The located stops of a run, with what each of them measured at the start."""

    stops: tuple[LocatedStop, ...]
    references: tuple[Any, ...]
    first: tuple[Scalar, ...]

    def __init__(
        self, stops: Sequence[Stop], t: Any, w: Params, problem: Problem
    ) -> None:
        if isinstance(stops, Stop):
            raise TypeError("stops must be a sequence: put the stop in a list")
        for stop in stops:
            check_kind("a stop", stop, Stop)
        self.stops = tuple(s for s in stops if isinstance(s, LocatedStop))
        measured = [_checked_look(stop, t, w, problem) for stop in self.stops]
        self.references = tuple(reference for reference, _ in measured)
        self.first = tuple(margin for _, margin in measured)

    def margins(self, t: Any, w: Params, problem: Problem) -> Any:
        """Each margin as a share of its value at the start: 1 there, 0 at the stop.

        A margin that is not a number counts as met: the run must not go on without it.
        """
        parts = zip(self.stops, self.references, self.first, strict=True)
        shares = [s.margin(t, w, problem, r) / first for s, r, first in parts]
        margins = jnp.stack(shares).astype(trees.dtype(w))
        return jnp.where(jnp.isnan(margins), -1.0, margins)

    def met_at_start(self) -> Outcome | None:
        """The outcome of the first stop that the start already meets."""
        for stop, margin in zip(self.stops, self.first, strict=True):
            if not margin > 0:
                return stop.outcome
        return None

    def met(self, t: Any, w: Params, problem: Problem) -> tuple[Outcome, str]:
        """The outcome of the stop nearest to being met."""
        margins = eqx.filter_jit(Watch.margins)(self, t, w, problem)
        nearest = int(jnp.argmin(margins))
        stop = self.stops[nearest]
        if jnp.isnan(stop.margin(t, w, problem, self.references[nearest])):
            return Outcome.nonfinite_observable, f"that of {type(stop).__name__}"
        return stop.outcome, ""

    @property
    def num_gradients(self) -> int:
        """Gradients that one look at all margins costs."""
        return sum(stop.num_gradients for stop in self.stops)

    @property
    def num_losses(self) -> int:
        """Losses that one look at all margins costs."""
        return sum(stop.num_losses for stop in self.stops)


def _checked_look(stop: LocatedStop, t: Any, w: Params, problem: Problem) -> Any:
    name = type(stop).__name__
    try:
        reference, margin = _first_look(stop, t, w, problem)
    except Exception as error:
        raise ValueError(
            f"the stop {name} cannot be evaluated at w0: {type(error).__name__}: "
            f"{trees.first_line(error)}"
        ) from error
    if jnp.shape(margin) != () or jnp.isnan(margin):
        raise ValueError(f"the stop {name} must watch one real number, not {margin}")
    return reference, margin


def check_kind(name: str, value: Any, kind: Any) -> None:
    """Raise `TypeError` unless `value` is an instance of `kind`."""
    if not isinstance(value, kind):
        kinds = getattr(kind, "__args__", (kind,))
        names = (k.__name__ for k in kinds if k is not type(None))
        wanted = " or ".join(names) + (" or None" if len(kinds) > 1 else "")
        given = (
            f"the class {value.__name__}" if isinstance(value, type) else repr(value)
        )
        raise TypeError(f"{name} must be an instance of {wanted}, not {given:.60}")


@eqx.filter_jit
def _first_look(stop: LocatedStop, t: Any, w: Params, problem: Problem) -> Any:
    reference = stop.reference(t, w, problem)
    return reference, stop.margin(t, w, problem, reference)


class Budget(Stop):
    """Ends a run that has used up its means, between two compiled chunks."""

    @abc.abstractmethod
    def used_up(self, seconds: float, num_steps: int) -> bool:
        """Whether the run must end."""

    @abc.abstractmethod
    def steps_left(self, num_steps: int) -> int | None:
        """How many more steps may be tried, or None for any number."""


class WallClock(Budget):
    """Stop after so many seconds, compile time not counted. Not a success."""

    seconds: float
    outcome: ClassVar[Outcome] = Outcome.wall_clock

    def __check_init__(self) -> None:
        _positive("WallClock", "seconds", self.seconds)

    def used_up(self, seconds: float, num_steps: int) -> bool:
        """Whether the time is over."""
        del num_steps
        return seconds >= self.seconds

    def steps_left(self, num_steps: int) -> int | None:
        """Any number."""
        del num_steps


class MaxSteps(Budget):
    """Stop after so many steps, accepted and rejected together. Not a success.

    `simulate` applies `MaxSteps(1_000_000)` where no other is given.
    """

    num: int
    outcome: ClassVar[Outcome] = Outcome.max_steps

    def __check_init__(self) -> None:
        if self.num < 1:
            raise ValueError(f"MaxSteps needs num >= 1, not {self.num}")

    def used_up(self, seconds: float, num_steps: int) -> bool:
        """Whether the steps are used up."""
        del seconds
        return num_steps >= self.num

    def steps_left(self, num_steps: int) -> int | None:
        """What remains."""
        return max(self.num - num_steps, 0)


def _positive(owner: str, name: str, value: Any) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{owner} needs {name} > 0 and finite, not {value}")


def _finite(owner: str, name: str, value: Any) -> None:
    if not abs(value) < float("inf"):
        raise ValueError(f"{owner} needs a finite {name}, not {value}")
