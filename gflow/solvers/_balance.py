"""The energy balance of a single step."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._types import Scalar
from ..trajectory import BALANCE_SHARE, BALANCE_TOLERANCES


class Balance(eqx.Module):
    """Whether the energy that a step gains is the loss that it drops.

    It may be off by min(1000 tolerances, 0.1) of the loss dropped, or else by what an
    error as large as the tolerance does to the loss and to the energy (in a stiff step,
    which damps what it does not resolve, the latter is much the larger).

    **Arguments:**

    - `loss`: `(state, args) -> scalar`.
    - `energy`: `state -> scalar`, the loss that the law says to have dropped.
    - `energy_rate`: `(t, state, args) -> scalar`, its derivative.
    - `elapsed`: `(h, state, state) -> scalar`, the flow time of a step of length h.
    - `tolerance`: rtol, and atol relative to the size of the parameters; `size`: their
        number.
    """

    loss: Callable[[Any, Any], Scalar] = eqx.field(static=True)
    energy: Callable[[Any], Scalar] = eqx.field(static=True)
    energy_rate: Callable[[Any, Any, Any], Scalar] = eqx.field(static=True)
    elapsed: Callable[[Any, Any, Any], Scalar] = eqx.field(static=True)
    tolerance: Scalar
    size: int = eqx.field(static=True)

    def is_off(
        self,
        ends: tuple[Any, Any],
        t: Any,
        h: Any,
        dropped: Scalar,
        slack: Scalar,
        error: Any,
        scale: Any,
        norm: Callable[[Any], Scalar],
        args: Any,
        asked: Any,
    ) -> tuple[Any, Any]:
        """Whether it is, and the gradients that it took to tell.

        **Arguments:**

        - `ends`: the states before and after the step, `t` the time after it.
        - `dropped`: the loss dropped; `slack`: its round-off.
        - `error`: of the step; `scale`: the tolerance of each component; `norm`: of
            errors over the scale.
        - `asked`: whether anyone wants to know.

        **Cost:** nothing where it is on; three losses and three gradients else.
        """
        y0, y1 = ends
        gained = self.energy(y1) - self.energy(y0)
        off = jnp.abs(dropped - gained)
        share = jnp.minimum(BALANCE_TOLERANCES * self.tolerance, BALANCE_SHARE)
        # A step shorter than the tolerance is explained by it, and cannot lead astray.
        way = jax.tree.map(jnp.subtract, y1, y0)
        length = norm(jax.tree.map(jnp.divide, way, scale))

        def unexplained() -> Any:
            # An error as large as the tolerance, along the step's own, and along the
            # step, on which the loss depends most.
            size = norm(jax.tree.map(jnp.divide, error, scale))
            size = jnp.maximum(size, jnp.finfo(size.dtype).tiny)
            near = [jax.tree.map(lambda y, e: y + e / size, y1, error)]
            near.append(jax.tree.map(lambda y, w: y + w / length, y1, way))
            loss, rate = self.loss(y1, args), self.energy_rate(t, y1, args)
            explained = sum(
                jnp.abs(self.loss(y, args) - loss)
                + h * jnp.abs(self.energy_rate(t, y, args) - rate)
                for y in near
            )
            return off > explained, 3

        # An error as long as the tolerance changes the loss by at most ‖∇L‖ times that
        # to first order; the mean gradient over the step is known from the energy.
        mean_square = jnp.maximum(gained, 0) / self.elapsed(h, y0, y1)
        cheaply = jnp.sqrt(mean_square * self.size) * norm(scale)
        suspect = asked & (off > share * jnp.abs(dropped) + slack)
        suspect = suspect & (off > cheaply) & (length > 1)
        return jax.lax.cond(suspect, unexplained, lambda: (jnp.asarray(False), 0))
