"""Gradients counted as they are evaluated, whatever the solver tells."""

import dataclasses
from typing import Any

import jax

from gflow.problem import Metric, Problem


@dataclasses.dataclass(eq=False)
class Count:
    """Gradients and Hessian-vector products evaluated so far.

    A product is the derivative of a gradient along one direction.
    """

    gradients: int = 0
    hvps: int = 0


class Counted(Problem):
    """A problem that calls back to the host at every gradient of a flow's right side.

    Saving takes loss and gradient together, and is not counted. It is slow, so a
    counting run is not the one that is timed. Call `jax.effects_barrier()` before
    reading the count.
    """

    inner: Problem
    metric: Metric | None
    count: Count

    def __init__(self, inner: Problem, count: Count) -> None:
        self.inner = inner
        self.metric = inner.metric
        self.count = count

    def loss(self, w: Any) -> Any:
        """L(w), not counted."""
        return self.inner.loss(w)

    def predict(self, w: Any) -> Any:
        """f(w), not counted."""
        return self.inner.predict(w)

    def grad(self, w: Any) -> Any:
        """∇L(w), counted."""
        return self.inner.grad(_ticking(self.count)(w))


def _ticking(count: Count) -> Any:
    """The identity, counting its evaluations and those of its derivative."""

    # The callbacks take an entry of what they count, or a Jacobian made by mapping
    # over directions would call back once and not once a direction.
    def on_gradient(_: Any) -> None:
        count.gradients += 1

    def on_product(_: Any) -> None:
        count.hvps += 1

    def entry(tree: Any) -> Any:
        return jax.tree.leaves(tree)[0].ravel()[0]

    def identity(w: Any) -> Any:
        jax.debug.callback(on_gradient, entry(w))
        return w

    def derivative(primals: Any, tangents: Any) -> Any:
        jax.debug.callback(on_product, entry(tangents[0]))
        return ticking(primals[0]), tangents[0]

    ticking = jax.custom_jvp(identity)
    ticking.defjvp(derivative)
    return ticking
