"""The modified equation of gradient descent.

f(w) = -G^-1 ∇L(w) · η `eta`. One Euler step w + η f is the flow over time η of

    w' = f - (η/2) f'f + η² ((1/3) f'f'f + (1/12) f''(f, f)) + O(η³)             (1)
"""

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
from ._gradient import FlowState


class ModifiedFlow(Flow):
    """The flow that gradient descent with steps η follows more closely than -∇L.

    Equation (1) of this file up to ηʳ, r the order: after a fixed time gradient descent
    is within O(η^(r+1)) of it. At order 1 it is, in a constant metric, gradient flow on
    L + (η/4)‖∇L‖²_{G^-1}: implicit gradient regularization. The loss may rise where
    η times the sharpness is not small, and the series means nothing there.

    **Arguments:** `eta`: the step size that it models, > 0; another value does not
    compile anew. `order`: 0, 1 or 2.

    **Raises:** `ValueError` for an eta or order out of range.

    **Cost:** for each evaluation of the right side a gradient, and at order 1 one, at
    order 2 about four Hessian-vector products.

    **References:** Barrett, Dherin 2021 (arXiv 2009.11162); Hairer, Lubich, Wanner
    2006, IX.1.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * w**2)
    >>> flow = gf.flows.ModifiedFlow(0.1, order=2)
    >>> run = gf.simulate(problem, flow, jnp.array(1.0), t1=1.0)
    >>> print(f"{float(run.w1):.4f} {0.9**10:.4f}")  # gradient flow: 0.3679
    0.3488 0.3487

    ```
    """

    eta: Scalar
    order: int = eqx.field(static=True)
    monotone: ClassVar[bool] = False

    def __init__(self, eta: float, *, order: int = 1) -> None:
        if not 0 < eta < float("inf"):
            raise ValueError(f"eta must be > 0 and finite, not {eta!r}")
        if order not in (0, 1, 2):
            raise ValueError(f"order must be 0, 1 or 2, not {order!r}")
        self.eta = jnp.asarray(eta, float)
        self.order = order

    def init(self, w0: Params) -> FlowState:
        """w0 with zero energy."""
        return FlowState(w0, jnp.zeros((), trees.dtype(w0)))

    def terms(self, static: Params) -> diffrax.AbstractTerm[Any, Any]:
        """The right side ((1), -⟨∇L, dw/dt⟩)."""

        def field(t: Any, state: FlowState, problem: Problem) -> FlowState:
            del t
            dw_dt = self._velocity(problem, state.w, static)
            grad = problem.grad(eqx.combine(state.w, static))
            return FlowState(dw_dt, -trees.inner(grad, dw_dt))

        return diffrax.ODETerm(field)  # pyright: ignore[reportArgumentType]

    def params(self, state: FlowState) -> Params:
        """w."""
        return state.w

    def energy(self, state: FlowState) -> Float[Array | np.ndarray, "..."]:
        """-∫ ⟨∇L, w'⟩ dt, the loss dropped."""
        return state.energy

    def _velocity(self, problem: Problem, w: Params, static: Params) -> Params:
        def f(moving: Params) -> Params:
            return problem.velocity(eqx.combine(moving, static))

        def along(moving: Params, direction: Params) -> Params:
            return jax.jvp(f, (moving,), (direction,))[1]

        now = f(w)
        if self.order == 0:
            return now
        first = along(w, now)
        eta = self.eta.astype(trees.dtype(w))
        corrected = jax.tree.map(lambda a, b: a - eta / 2 * b, now, first)
        if self.order == 1:
            return corrected
        twice = along(w, first)
        bent = jax.jvp(lambda moving: along(moving, now), (w,), (now,))[1]
        return jax.tree.map(
            lambda a, b, c: a + eta**2 * (b / 3 + c / 12), corrected, twice, bent
        )
