"""The interface of a discrete method, with gradient descent and optax."""

import abc
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, ArrayLike, Float

from .._types import Params, Scalar
from ..problem import Problem


class Stepper(eqx.Module):
    """A discrete algorithm on a problem, and the flow time that one step stands for."""

    label: eqx.AbstractVar[str]
    # Flow time of one step, t = eta k, or of each, t = Σ eta. An array: other values
    # do not compile anew.
    eta: eqx.AbstractVar[Float[Array, ""] | Float[Array, " steps"]]

    @property
    def name(self) -> str:
        """For tables and reports."""
        if self.eta.ndim == 0:
            return f"{self.label}, eta {float(self.eta):g}"
        low, high = float(jnp.min(self.eta)), float(jnp.max(self.eta))
        return f"{self.label}, eta {low:g} to {high:g}"

    def time(self, k: Any) -> Scalar:
        """The flow time after k steps, in a compiled program."""
        if self.eta.ndim == 0:
            return self.eta * k
        return jnp.append(0.0, jnp.cumsum(self.eta))[k]

    def times(self, num_steps: int) -> Callable[[Any], Any]:
        """Steps, as a numpy array, to flow times, on the host.

        **Raises:** `ValueError` if there are more steps than step sizes.
        """
        eta = np.asarray(self.eta, dtype=float)
        if eta.ndim == 0:
            return lambda k: k * eta
        if num_steps > len(eta):
            raise ValueError(f"{num_steps} steps, but {len(eta)} step sizes")
        table = np.append(0.0, np.cumsum(eta))
        return lambda k: table[k]

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
    eta: Float[Array, ""] | Float[Array, " steps"]

    def init(self, w0: Params) -> Any:
        """The number of the step."""
        del w0
        return jnp.zeros((), int)

    def step(
        self, problem: Problem, w: Params, grad: Params, state: Any
    ) -> tuple[Params, Any]:
        """One Euler step."""
        velocity = problem.descent(w, grad)
        eta = self.eta if self.eta.ndim == 0 else self.eta[state]
        w = jax.tree.map(lambda x, v: x + eta.astype(x.dtype) * v, w, velocity)
        return w, state + 1


class OptaxStepper(Stepper):
    """Any optax transformation, fed with the metric gradient G^-1 ∇L."""

    label: str = eqx.field(static=True)
    eta: Float[Array, ""] | Float[Array, " steps"]
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


def gradient_descent(eta: ArrayLike | Sequence[float]) -> Stepper:
    """Gradient descent w_{k+1} = w_k - eta ∇L(w_k), on the clock t = eta k.

    With per-group rates the step of group g is eta rate_g ∂L/∂w_g, the Euler step of
    the same flow.

    **Arguments:** `eta`, the step size > 0, or an array of one for each step, and then
    t is their running sum. Other values do not compile anew.

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
    transformation: optax.GradientTransformation,
    *,
    eta: ArrayLike | Sequence[float],
    name: str = "optax",
) -> Stepper:
    """Any optax transformation as a stepper.

    **Arguments:**

    - `transformation`: for example `optax.adam(1e-3)`. It sees G^-1 ∇L, so that rate
        zero freezes a group whatever the transformation does with scale.
    - `eta`: the flow time of one step, or of each: the step size for SGD, η/(1 - β) for
        heavy ball against gradient flow. It sets the clock, not the step.
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


def _positive(eta: ArrayLike | Sequence[float]) -> Array:
    sizes = np.asarray(eta, dtype=float)
    if sizes.ndim > 1 or sizes.size == 0:
        raise ValueError(f"eta must be a number or one for each step, not {eta!r}")
    if not np.all((sizes > 0) & (sizes < np.inf)):
        raise ValueError(f"eta must be > 0 and finite, not {eta!r}")
    return jnp.asarray(sizes, float)
