"""The interface of a discrete method, with gradient descent and optax."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from .._types import Params, Scalar
from ..problem import Problem


class Stepper(eqx.Module):
    """A discrete algorithm on a problem, and the flow time that one step stands for."""

    label: eqx.AbstractVar[str]
    # Flow time of one step: t = eta k. An array: another value does not compile anew.
    eta: eqx.AbstractVar[Scalar]

    @property
    def name(self) -> str:
        """For tables and reports."""
        return f"{self.label}, eta {float(self.eta):g}"

    @abc.abstractmethod
    def init(self, w0: Params) -> Any:
        """The method's own state, from the parameter leaves of w0."""

    @abc.abstractmethod
    def step(
        self, problem: Problem, w: Params, grad: Params, state: Any
    ) -> tuple[Params, Any]:
        """The next parameter leaves and state, from the gradient at w."""


class GradientDescent(Stepper):
    """w_{k+1} = w_k - eta G^-1 ∇L(w_k): one Euler step of gradient flow."""

    label: str = eqx.field(static=True)
    eta: Scalar

    def init(self, w0: Params) -> Any:
        """Nothing to remember."""
        del w0

    def step(
        self, problem: Problem, w: Params, grad: Params, state: Any
    ) -> tuple[Params, Any]:
        """One Euler step."""
        velocity = problem.descent(w, grad)
        w = jax.tree.map(lambda x, v: x + self.eta.astype(x.dtype) * v, w, velocity)
        return w, state


class OptaxStepper(Stepper):
    """Any optax transformation, fed with the metric gradient G^-1 ∇L."""

    label: str = eqx.field(static=True)
    eta: Scalar
    transformation: optax.GradientTransformation

    def init(self, w0: Params) -> Any:
        """optax's state."""
        return self.transformation.init(w0)

    def step(
        self, problem: Problem, w: Params, grad: Params, state: Any
    ) -> tuple[Params, Any]:
        """optax's update, applied."""
        gradient = jax.tree.map(jnp.negative, problem.descent(w, grad))
        updates, state = self.transformation.update(gradient, state, w)
        return optax.apply_updates(w, updates), state  # pyright: ignore[reportReturnType]


def gradient_descent(eta: float) -> Stepper:
    """Gradient descent w_{k+1} = w_k - eta ∇L(w_k), on the clock t = eta k.

    With per-group rates the step of group g is eta rate_g ∂L/∂w_g, the Euler step of
    the same flow.

    **Arguments:** `eta`, the step size > 0. Another value does not compile anew.

    **Raises:** `ValueError` if eta is not positive and finite.

    **Cost:** one gradient a step.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * w**2)
    >>> gd = gf.iterate(problem, gf.gradient_descent(0.5), jnp.array(1.0), num_steps=2)
    >>> print(gd.w1, gd.ts)
    0.25 [0.  0.5 1. ]

    ```
    """
    return GradientDescent("gradient descent", _positive(eta))


def from_optax(
    transformation: optax.GradientTransformation, *, eta: float, name: str = "optax"
) -> Stepper:
    """Any optax transformation as a stepper.

    **Arguments:**

    - `transformation`: for example `optax.adam(1e-3)`. It sees G^-1 ∇L, so that rate
        zero freezes a group whatever the transformation does with scale.
    - `eta`: the flow time of one step: the step size for SGD, η/(1 - β) for heavy ball
        against gradient flow.
    - `name`: for tables and reports.

    **Raises:** `ValueError` if eta is not positive and finite.

    ```python
    >>> import jax.numpy as jnp, optax, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * w**2)
    >>> sgd = gf.from_optax(optax.sgd(0.5), eta=0.5)
    >>> print(gf.iterate(problem, sgd, jnp.array(1.0), num_steps=2).w1)
    0.25

    ```
    """
    return OptaxStepper(name, _positive(eta), transformation)


def _positive(eta: float) -> Scalar:
    if not 0 < eta < float("inf"):
        raise ValueError(f"eta must be > 0 and finite, not {eta!r}")
    return jnp.asarray(eta, float)
