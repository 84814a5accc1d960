"""A flow under a clock.

s is the clock's variable, t flow time, tau = log(1 + t / t_ref).
"""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import _trees as trees
from .._types import Params, Scalar
from ..problem import Problem
from ._clock import Clock
from ._flow import Flow


class ClockedState(eqx.Module):
    """The state of the flow, and flow time as one component more."""

    inner: Any
    tau: Float[Array, "..."]


class Clocked(Flow):
    """A flow as a law in a clock's variable s, flow time being part of the state.

    d state/ds = (d state/dt) (dt/ds), d tau/ds = (dt/ds) / (t_ref + t).

    Time stands in the state by its logarithm: on the runs that a clock is for, t grows
    by a factor in each step, and its logarithm is the straighter function.

    **Arguments:**

    - `flow`: the law in t; `clock`: the time change.
    - `t_ref`: any time; below it tau is linear in t. Results do not rest on it.
    """

    flow: Flow
    clock: Clock
    t_ref: Scalar

    @property
    def monotone(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the flow: a clock runs forward only."""
        return self.flow.monotone

    def init(self, w0: Params) -> ClockedState:
        """The flow's state at t = 0."""
        return ClockedState(self.flow.init(w0), jnp.zeros((), trees.dtype(w0)))

    def time(self, state: ClockedState) -> Any:
        """Flow time; also of stacked states."""
        return (self.t_ref * jnp.expm1(state.tau)).astype(state.tau.dtype)

    def tau(self, t: Any) -> Any:
        """The component that stands for flow time t."""
        return jnp.log1p(t / self.t_ref)

    def terms(self, static: Params) -> diffrax.AbstractTerm[Any, Any]:
        """The right side in s."""
        inner: Any = self.flow.terms(static)

        def field(s: Any, state: ClockedState, problem: Problem) -> ClockedState:
            del s
            t = self.time(state)
            velocity = inner.vf(t, state.inner, problem)
            w = eqx.combine(self.flow.params(state.inner), static)
            dt_ds = self.clock.rate(t, w, self.flow.params(velocity), problem)
            dt_ds = dt_ds.astype(state.tau.dtype)
            moved = jax.tree.map(lambda x: dt_ds * x, velocity)
            return ClockedState(moved, dt_ds / (self.t_ref + t).astype(dt_ds.dtype))

        return diffrax.ODETerm(field)  # pyright: ignore[reportArgumentType]

    def pace(self, static: Params, state: ClockedState, problem: Problem) -> Any:
        """dt/ds at a state. Cost: one gradient."""
        rate: Any = self.terms(static).vf(0.0, state, problem)
        return rate.tau * (self.t_ref + self.time(state))

    def params(self, state: ClockedState) -> Params:
        """w."""
        return self.flow.params(state.inner)

    def energy(self, state: ClockedState) -> Float[Array | np.ndarray, "..."]:
        """As the flow's."""
        return self.flow.energy(state.inner)


def clocked(flow: Flow, clock: Clock, problem: Problem, w0: Params) -> Clocked:
    """The flow under a clock, from w0. Cost: one gradient."""
    clock.check(w0, problem)
    return Clocked(flow, clock, _time_scale(flow, problem, w0))


@eqx.filter_jit
def _time_scale(flow: Flow, problem: Problem, w0: Params) -> Any:
    """The shorter of ‖w‖ / ‖dw/dt‖ and |L| / |dL/dt|, of those that are a time."""
    params, static = eqx.partition(w0, eqx.is_inexact_array)
    state, terms = flow.init(params), flow.terms(static)
    zero = jnp.zeros((), trees.dtype(params))
    velocity: Any = terms.vf(zero, state, problem)
    scales = jnp.stack(
        [
            trees.norm(params) / trees.norm(flow.params(velocity)),
            jnp.abs(problem.loss(w0) / flow.energy(velocity)),
        ]
    )
    sound = jnp.isfinite(scales) & (scales > 0)
    scale = jnp.min(jnp.where(sound, scales, jnp.inf))
    return jnp.where(jnp.isfinite(scale), scale, 1.0).astype(zero.dtype)
