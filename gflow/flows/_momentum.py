"""Flows with inertia: the limits of heavy ball and of Nesterov's method.

w the parameters · v = dw/dt · f(w) = -G^-1 ∇L(w) the velocity of gradient flow.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import _trees as trees
from .._types import Params, Scalar
from ..problem import Problem
from ._flow import Flow


class MomentumState(eqx.Module):
    """Parameters, their velocity, and the loss that they have given up."""

    w: Params
    velocity: Params
    energy: Float[Array, "..."]


class HeavyBall(Flow):
    """The heavy-ball flow w'' + friction w' = -G^-1 ∇L(w), from rest.

    The limit of heavy ball w_{k+1} = w_k - η ∇L + β (w_k - w_{k-1}) for small η, at
    √η of flow time a step, with friction = (1 - β)/√η. The loss may rise; ½‖w'‖² + L
    falls (under rates, ½⟨w', G w'⟩ + L). On ½λw² it oscillates where friction < 2√λ,
    in the envelope e^(-friction t/2).

    **Arguments:** `friction`: ≥ 0. Another value does not compile anew.

    **Raises:** `ValueError` for a friction that is negative or not finite.

    **Cost:** one gradient for each evaluation of the right side.

    **References:** Polyak 1964; Su, Boyd, Candès 2016 (arXiv 1503.01243).

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * w**2)
    >>> run = gf.simulate(problem, gf.flows.HeavyBall(2.0), jnp.array(1.0), t1=1.0)
    >>> print(f"{float(run.w1):.4f}")  # critically damped: (1 + t) e^-t
    0.7358

    ```
    """

    friction: Scalar
    monotone: ClassVar[bool] = False

    def __init__(self, friction: float) -> None:
        if not 0 <= friction < float("inf"):
            raise ValueError(f"friction must be >= 0 and finite, not {friction!r}")
        self.friction = jnp.asarray(friction, float)

    def init(self, w0: Params) -> MomentumState:
        """w0 at rest."""
        return _at_rest(w0)

    def terms(self, static: Params) -> diffrax.AbstractTerm[Any, Any]:
        """The right side (v, f(w) - friction v, -⟨∇L, v⟩)."""

        def push(t: Any, f: Array, v: Array) -> Array:
            del t
            return f - self.friction.astype(v.dtype) * v

        return _terms(push, static)

    def params(self, state: MomentumState) -> Params:
        """w."""
        return state.w

    def energy(self, state: MomentumState) -> Float[Array | np.ndarray, "..."]:
        """-∫ ⟨∇L, w'⟩ dt, the loss dropped."""
        return state.energy


class Nesterov(Flow):
    """Nesterov's flow w'' + (damping/t) w' = -G^-1 ∇L(w), from rest.

    The limit of Nesterov's method for convex losses for small η, at √η of flow time a
    step. With damping 3, L - L* ≤ 2‖w0 - w*‖²/t² for convex L, and on ½λw²
    w = 2 J₁(√λ t)/(√λ t) w0. The loss may rise.

    **Arguments:** `damping`: > 0, by default Nesterov's 3. Another value does not
    compile anew.

    **Raises:** `ValueError` for a damping that is not positive and finite.

    **Cost:** as `HeavyBall`.

    **References:** Su, Boyd, Candès 2016 (arXiv 1503.01243), equation 3, theorem 3.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * w**2)
    >>> run = gf.simulate(problem, gf.flows.Nesterov(), jnp.array(1.0), t1=1.0)
    >>> print(f"{float(run.w1):.4f}")  # 2 J1(1)
    0.8801

    ```
    """

    damping: Scalar
    monotone: ClassVar[bool] = False

    def __init__(self, damping: float = 3.0) -> None:
        if not 0 < damping < float("inf"):
            raise ValueError(f"damping must be > 0 and finite, not {damping!r}")
        self.damping = jnp.asarray(damping, float)

    def init(self, w0: Params) -> MomentumState:
        """w0 at rest."""
        return _at_rest(w0)

    def terms(self, static: Params) -> diffrax.AbstractTerm[Any, Any]:
        """The right side (v, f(w) - damping v/t, -⟨∇L, v⟩).

        At t = 0, where v = t v'(0) + O(t^2), it is v' = f/(1 + damping).
        """

        def push(t: Any, f: Array, v: Array) -> Array:
            damping, time = self.damping.astype(v.dtype), jnp.asarray(t, v.dtype)
            moving = time > 0
            later = f - damping * v / jnp.where(moving, time, 1)
            return jnp.where(moving, later, f / (1 + damping))

        return _terms(push, static)

    def params(self, state: MomentumState) -> Params:
        """w."""
        return state.w

    def energy(self, state: MomentumState) -> Float[Array | np.ndarray, "..."]:
        """-∫ ⟨∇L, w'⟩ dt, the loss dropped."""
        return state.energy


def _at_rest(w0: Params) -> MomentumState:
    still = jax.tree.map(jnp.zeros_like, w0)
    return MomentumState(w0, still, jnp.zeros((), trees.dtype(w0)))


def _terms(
    push: Callable[[Any, Array, Array], Array], static: Params
) -> diffrax.AbstractTerm[Any, Any]:
    """The law w'' = push(t, f(w), w'), with the loss that is dropped."""

    def field(t: Any, state: MomentumState, problem: Problem) -> MomentumState:
        w = eqx.combine(state.w, static)
        grad = problem.grad(w)
        f = problem.descent(w, grad)
        dv_dt = jax.tree.map(lambda f, v: push(t, f, v), f, state.velocity)
        return MomentumState(state.velocity, dv_dt, -trees.inner(grad, state.velocity))

    return diffrax.ODETerm(field)  # pyright: ignore[reportArgumentType]
