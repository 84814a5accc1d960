"""What flows with inertia have in the place of the laws of gradient flow.

v = w' · γ the friction, of Nesterov's flow damping/t · s(t) = exp ∫γ, which is e^(γt)
for heavy ball and t^damping for Nesterov's.

1. (½‖v‖² + L)' = ⟨v, -∇L - γ v⟩ + ⟨∇L, v⟩ = -γ‖v‖².
2. (s⟨v, ξ⟩)' = s(⟨v, ξ'⟩ - ⟨∇L, ξ⟩) for a field ξ(w). The loss does not change along a
   symmetry ξ, and if ξ moves w like a rotation or a shift, then ⟨v, ξ'⟩ = 0 too. So a
   scale of units has no charge, but a rotation of them has.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .. import _trees as trees
from .._types import Params
from ..flows import HeavyBall, Nesterov
from ..problem import Problem
from ._invariant import Invariant

Inertial = HeavyBall | Nesterov

_NOETHER = "Głuch, Urbanke 2021 (arXiv 2104.05508)"


class MomentumLaw(eqx.Module):
    """A quantity of (t, w, w') that a flow with inertia conserves.

    What stays is the value plus, where something is dissipated, the integral of that
    over time.

    **Arguments:**

    - `value`: `(t, w, v) -> array`, v = w', of the parameters' structure.
    - `formula`, `conserved_by`, `reference`: as of `Invariant`.
    - `dissipated`: `(t, w, v) -> array`, a rate, or None.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> from gflow.invariants import energy_law
    >>> problem = gf.Objective(lambda w: 0.5 * w**2)
    >>> law = energy_law(gf.flows.HeavyBall(2.0), problem)
    >>> w, v = jnp.array(1.0), jnp.array(3.0)
    >>> print(law(0.0, w, v), law.dissipated(0.0, w, v))
    5.0 18.0

    ```
    """

    value: Callable[[Any, Params, Params], Any]
    formula: str = eqx.field(static=True)
    conserved_by: tuple[str, ...] = eqx.field(static=True)
    reference: str = eqx.field(static=True)
    dissipated: Callable[[Any, Params, Params], Any] | None = None

    def __call__(self, t: Any, w: Params, v: Params) -> Any:
        """The value at time t, parameters w and velocity v."""
        return self.value(t, w, v)


def energy_law(flow: Inertial, problem: Problem) -> MomentumLaw:
    """½‖w'‖² + L, of which friction takes γ‖w'‖² at a time.

    Under rates ½⟨w', G w'⟩ in its place. `MomentumState.energy` holds the loss dropped,
    which is that plus what was dissipated since the start at rest.

    **Raises:** `ValueError` for a metric that depends on w; `TypeError` for a flow
    without inertia.

    **References:** Su, Boyd, Candès 2016 (arXiv 1503.01243).
    """
    _check(flow)
    weights = None if problem.metric is None else problem.metric.weights()
    if problem.metric is not None and weights is None:
        raise ValueError("energy_law is for metrics that do not depend on w: rates")
    return MomentumLaw(
        eqx.Partial(_energy, problem, weights),
        formula="|w'|^2/2 + L + int gamma |w'|^2 dt",
        conserved_by=(type(flow).__name__,),
        reference="Su, Boyd, Candès 2016 (arXiv 1503.01243)",
        dissipated=eqx.Partial(_dissipated, flow, weights),
    )


def angular_momentum(
    flow: Inertial,
    into: Callable[[Params], Array],
    out: Callable[[Params], Array],
) -> MomentumLaw:
    """s(t) times the skew part of A' Aᵀ + B' Bᵀ, for a rotation of hidden features.

    A the rows of weights (and biases) into each feature, B those out of it: of linear
    layers B = W_{l+1}ᵀ. At rate 1 for all parameters. From rest it is 0.

    **Arguments:** `into`, `out`: w -> (features, any), linear in w.

    **Raises:** `TypeError` for a flow without inertia; when called, `ValueError` if the
    two have not as many rows.

    **References:** Głuch, Urbanke 2021 (arXiv 2104.05508); Marcotte, Gribonval, Peyré
    2024 (arXiv 2405.12888).

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> from gflow.invariants import angular_momentum
    >>> flow = gf.flows.HeavyBall(1.0)
    >>> law = angular_momentum(flow, lambda w: w["u"], lambda w: w["v"].T)
    >>> w = {"u": jnp.eye(2), "v": jnp.zeros((1, 2))}
    >>> turning = {"u": jnp.array([[0.0, -1.0], [1.0, 0.0]]), "v": jnp.zeros((1, 2))}
    >>> print(law(0.0, w, turning))
    [[ 0. -2.]
     [ 2.  0.]]

    ```
    """
    _check(flow)
    return MomentumLaw(
        eqx.Partial(_angular, flow, into, out),
        formula=f"{growth(flow)} (A' A^T - A A'^T + B' B^T - B B'^T)",
        conserved_by=(type(flow).__name__,),
        reference="Marcotte, Gribonval, Peyré 2024 (arXiv 2405.12888)",
    )


def shift_momentum(flow: Inertial, law: Invariant) -> MomentumLaw:
    """s(t) times the velocity of a linear law: of a sum of weights, the sum of w'.

    From rest it is 0, so that the law itself stays.

    **Arguments:** `law`: linear in w, conserved as the loss is invariant to shifts.

    **Raises:** `TypeError` for a flow without inertia.

    **References:** Głuch, Urbanke 2021 (arXiv 2104.05508).

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> from gflow.invariants import shift_momentum
    >>> total = gf.Invariant(jnp.sum, formula="w_0 + w_1")
    >>> law = shift_momentum(gf.flows.Nesterov(3.0), total)
    >>> print(law.formula, law(2.0, jnp.zeros(2), jnp.ones(2)))
    t^damping (w_0 + w_1)' 16.0

    ```
    """
    _check(flow)
    return MomentumLaw(
        eqx.Partial(_shift, flow, law),
        formula=f"{growth(flow)} ({law.formula})'",
        conserved_by=(type(flow).__name__,),
        reference=_NOETHER,
    )


def _friction(flow: Inertial, t: Any) -> Any:
    if isinstance(flow, HeavyBall):
        return flow.friction
    # At t = 0 the velocity is 0 as well, and falls faster.
    return jnp.where(t > 0, flow.damping / jnp.where(t > 0, t, 1), 0)


def _check(flow: Any) -> None:
    if not isinstance(flow, HeavyBall | Nesterov):
        name = type(flow).__name__
        raise TypeError(f"only HeavyBall and Nesterov have inertia, not {name}")


def gain(flow: Inertial, t: Any) -> Any:
    if isinstance(flow, HeavyBall):
        return jnp.exp(flow.friction * t)
    return t**flow.damping


def growth(flow: Inertial) -> str:
    return "e^(gamma t)" if isinstance(flow, HeavyBall) else "t^damping"


def _energy(problem: Problem, weights: Any, t: Any, w: Params, v: Params) -> Array:
    del t
    return 0.5 * _square(weights, v) + problem.loss(w)


def _dissipated(flow: Inertial, weights: Any, t: Any, w: Params, v: Params) -> Any:
    del w
    return _friction(flow, t) * _square(weights, v)


def _square(weights: Any, v: Params) -> Any:
    """⟨v, G v⟩."""
    return trees.inner(v if weights is None else trees.scaled(weights, v), v)


def _angular(
    flow: Inertial, into: Any, out: Any, t: Any, w: Params, v: Params
) -> Array:
    moving = eqx.combine(v, eqx.filter(w, eqx.is_inexact_array, inverse=True))
    if len(into(w)) != len(out(w)):
        raise ValueError(
            "into and out must have a row for each hidden feature, not "
            f"{len(into(w))} and {len(out(w))}"
        )
    # The rows turn together: A -> R A, B -> R B, as R^-T = R.
    moment = into(moving) @ into(w).T + out(moving) @ out(w).T
    return gain(flow, t) * (moment - moment.T)


def _shift(flow: Inertial, law: Invariant, t: Any, w: Params, v: Params) -> Array:
    return gain(flow, t) * eqx.filter_jvp(law, (w,), (v,))[1]
