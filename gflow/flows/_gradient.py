"""Gradient flow."""

from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import _trees as trees
from .._types import Params
from ..problem import Problem
from ._flow import Flow


class FlowState(eqx.Module):
    """Parameters, and the energy ∫ ‖∇L‖²_{G^-1} dt that they have given up."""

    w: Params
    energy: Float[Array, "..."]


class GradientFlow(Flow):
    """Gradient flow dw/dt = -G(w)^-1 ∇L(w), with G the problem's metric.

    The loss never rises: dL/dt = -‖∇L‖²_{G^-1}. That right side is integrated along
    with w, so L(w(0)) - L(w(t)) can be compared with it: the energy-balance audit.

    **Cost:** one gradient for each evaluation of the right side.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * w**2)
    >>> run = gf.simulate(problem, gf.GradientFlow(), jnp.array(1.0), t1=1.0)
    >>> print(f"{float(run.w1):.5f}")
    0.36788

    ```
    """

    monotone: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True

    def init(self, w0: Params) -> FlowState:
        """w0 with zero energy."""
        return FlowState(w0, jnp.zeros((), trees.dtype(w0)))

    def terms(self, static: Params) -> diffrax.AbstractTerm[Any, Any]:
        """The right side (-G^-1 ∇L, ‖∇L‖²_{G^-1})."""

        def field(t: Any, state: FlowState, problem: Problem) -> FlowState:
            del t
            w = eqx.combine(state.w, static)
            grad = problem.grad(w)
            dw_dt = problem.descent(w, grad)
            return FlowState(dw_dt, -trees.inner(grad, dw_dt))

        return diffrax.ODETerm(field)  # pyright: ignore[reportArgumentType]

    def params(self, state: FlowState) -> Params:
        """w."""
        return state.w

    def energy(self, state: FlowState) -> Float[Array | np.ndarray, "..."]:
        """∫ ‖∇L‖²_{G^-1} dt."""
        return state.energy
