"""Step-size control that refuses a step along which the loss rises or is not paid for.

A loose explicit solve can leave a gradient flow and still pass its own error
estimate; but along the flow the loss never rises, and falls by what the energy gains.
A step that raises it beyond round-off, or whose balance is off by more than its
tolerance explains, is wrong whatever the estimate says.
"""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .. import _trees as trees
from .._types import Scalar
from ._balance import Balance
from ._counting import Reported

# The loss is computed with a round-off of a few units in its largest terms. Those are
# not known; its value at the start stands in for them.
_ROUND_OFF = 8
# After a refusal the step is halved, and may grow only by this much a step: without
# the brake the controller would walk into the same refusal at every second step.
_SHRINK = 0.5
_BRAKE = 1.1
_BRAKED_STEPS = 10
_LEAST_CUT = 0.95
# A step that ended at a non-finite state says nothing about the size that would not.
_RETREAT = 0.2


class GuardState(eqx.Module):
    """What the controller carries from step to step, rejected ones included."""

    inner: Any
    # The size of the next step, before it is clipped to the end of the stretch.
    dt: Float[Array, ""]
    loss: Float[Array, ""]
    num_accepted: Int[Array, ""]
    num_rejected: Int[Array, ""]
    num_refused: Int[Array, ""]
    # The error estimates of accepted steps added up, in the controller's norm.
    error_sum: Float[Array, ""]
    # What a `CountingSolver` told of its work.
    gradients: Int[Array, ""]
    products: Int[Array, ""]
    # Accepted steps until growth is free again.
    brake: Int[Array, ""]
    # The cause of the last rejection.
    was_finite: Bool[Array, ""]
    was_refused: Bool[Array, ""]
    was_off_balance: Bool[Array, ""]


class Guard(diffrax.AbstractAdaptiveStepSizeController[Any, Any]):
    """Wraps a step-size controller; also counts, and ends a stretch after `budget`.

    A step is accepted if the wrapped controller accepts it, its end is finite, and
    (where `monotone`) its loss is at most the loss before it plus round-off, taken as
    8 eps max(|L|, |L(w0)|), and its energy is in balance. It also carries the size of
    the next step across a clipped one and across stretches, so that cutting a solve
    into stretches changes no bit of it.

    **Arguments:**

    - `inner`: an adaptive diffrax controller.
    - `balance`: the loss, the energy, and what they may be apart by.
    - `monotone`: whether the loss may never rise.
    - `loss_scale`: |L(w0)|.
    - `budget`: total attempted steps after which to hand control back.

    **Result codes:** `dt_min_reached` when the next step is below the resolution of
    time, `max_steps_reached` when the budget is used up.

    **Cost:** one loss for each attempted step; three losses and three gradients more
    where the balance is off, which is rare.
    """

    inner: diffrax.PIDController
    balance: Balance
    monotone: bool = eqx.field(static=True)
    loss_scale: Scalar
    budget: Int[Array, ""]

    @property
    def rtol(self) -> Any:
        """The wrapped controller's."""
        return self.inner.rtol

    @property
    def atol(self) -> Any:
        """The wrapped controller's."""
        return self.inner.atol

    @property
    def norm(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The wrapped controller's."""
        return self.inner.norm

    def wrap(self, direction: Any) -> "Guard":
        """For diffrax."""
        return eqx.tree_at(lambda s: s.inner, self, self.inner.wrap(direction))

    def init(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        dt0: Any,
        args: Any,
        func: Any,
        error_order: Any,
    ) -> tuple[Any, GuardState]:
        """The wrapped controller's first step, with the counters at zero."""
        tnext, inner = self.inner.init(terms, t0, t1, y0, dt0, args, func, error_order)
        zero, true = jnp.zeros((), int), jnp.asarray(True)
        # A first guess that is not finite or not positive (a gradient that is zero or
        # has just one tiny entry) is replaced by the whole stretch and tried.
        dt = tnext - t0
        dt = jnp.where(jnp.isfinite(dt) & (dt > 0), jnp.minimum(dt, t1 - t0), t1 - t0)
        state = GuardState(
            inner=inner,
            dt=dt,
            loss=self.balance.loss(y0, args),
            num_accepted=zero,
            num_rejected=zero,
            num_refused=zero,
            error_sum=jnp.zeros_like(dt),
            gradients=zero,
            products=zero,
            brake=zero,
            was_finite=true,
            was_refused=~true,
            was_off_balance=~true,
        )
        return t0 + dt, state

    def adapt_step_size(
        self,
        t0: Any,
        t1: Any,
        y0: Any,
        y1_candidate: Any,
        args: Any,
        y_error: Any,
        error_order: Any,
        controller_state: GuardState,
    ) -> tuple[Any, Any, Any, Any, GuardState, diffrax.RESULTS]:
        """The wrapped controller's verdict, and the guard's."""
        old = controller_state
        error, gradients, products = _heard(y_error, old)
        kept, _, t_next, jump, inner, result = self.inner.adapt_step_size(
            t0, t1, y0, y1_candidate, args, error, error_order, old.inner
        )
        loss = self.balance.loss(y1_candidate, args).astype(old.loss.dtype)
        finite = trees.all_finite(y1_candidate) & jnp.isfinite(loss)
        refused = off = jnp.asarray(False)
        if self.monotone:
            asked, ends = kept & finite, (y0, y1_candidate)
            off, looks = self._is_off_balance(
                ends, t1, t1 - t0, old.loss - loss, error, args, asked
            )
            gradients += looks
            refused = asked & (self._rises(old.loss, loss) | off)
        accepted = kept & finite & ~refused
        t_start = jnp.where(accepted, t1, t0)
        proposed = t_next - jnp.where(kept, t1, t0)
        dt = self._next_dt(old, t1 - t0, proposed, accepted, finite, refused)
        # The wrapped controller learns only from steps that it alone judged.
        own = finite & ~refused
        inner = jax.tree.map(lambda a, b: jnp.where(own, a, b), inner, old.inner)
        brake = jnp.where(accepted, jnp.maximum(old.brake - 1, 0), old.brake)
        state = GuardState(
            inner=inner,
            dt=dt,
            loss=jnp.where(accepted, loss, old.loss),
            num_accepted=old.num_accepted + accepted,
            num_rejected=old.num_rejected + ~accepted,
            num_refused=old.num_refused + refused,
            error_sum=old.error_sum + jnp.where(accepted, self.norm(error), 0),
            gradients=gradients,
            products=products,
            brake=jnp.where(refused, _BRAKED_STEPS, brake),
            was_finite=jnp.where(accepted, old.was_finite, finite),
            was_refused=jnp.where(accepted, old.was_refused, refused),
            was_off_balance=jnp.where(accepted, old.was_off_balance, off),
        )
        return (
            accepted,
            t_start,
            t_start + dt,
            jump,
            state,
            self._result(state, t_start, result),
        )

    def _slack(self, loss: Scalar) -> Scalar:
        eps = jnp.finfo(loss.dtype).eps
        return _ROUND_OFF * eps * jnp.maximum(jnp.abs(loss), self.loss_scale)

    def _rises(self, before: Scalar, after: Scalar) -> Any:
        return after > before + self._slack(before)

    def _is_off_balance(
        self,
        ends: tuple[Any, Any],
        t: Any,
        h: Any,
        dropped: Scalar,
        error: Any,
        args: Any,
        asked: Any,
    ) -> tuple[Any, Any]:
        return self.balance.is_off(
            ends,
            t,
            h,
            dropped,
            self._slack(dropped),
            error,
            self._scale(*ends),
            self.norm,
            args,
            asked,
        )

    def _scale(self, y0: Any, y1: Any) -> Any:
        def scale(a: Any, b: Any) -> Any:
            return self.atol + self.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b))

        return jax.tree.map(scale, y0, y1)

    def _next_dt(
        self,
        old: GuardState,
        h: Any,
        proposed: Any,
        accepted: Any,
        finite: Any,
        refused: Any,
    ) -> Any:
        # A step clipped to the end of a stretch passed its test with room to spare:
        # go on with the size wanted before the clip.
        clipped = accepted & (h < old.dt)
        grown = jnp.where(clipped, jnp.maximum(proposed, old.dt), proposed)
        grown = jnp.where(
            accepted & (old.brake > 0), jnp.minimum(grown, _BRAKE * old.dt), grown
        )
        dt = jnp.where(refused, _SHRINK * h, grown)
        dt = jnp.where(finite, dt, _RETREAT * h)
        # Near the resolution of time h is dt rounded, perhaps up: what follows a
        # rejection must be shorter than what was asked for, or nothing ever ends.
        return jnp.where(accepted, dt, jnp.minimum(dt, _LEAST_CUT * old.dt))

    def _result(self, state: GuardState, t: Any, result: Any) -> Any:
        attempted = state.num_accepted + state.num_rejected
        result = diffrax.RESULTS.where(
            attempted >= self.budget, diffrax.RESULTS.max_steps_reached, result
        )
        # Below two units in the last place of t the step's own length is lost.
        info = jnp.finfo(jnp.result_type(t))
        too_short = state.dt <= jnp.maximum(2 * info.eps * jnp.abs(t), info.tiny)
        return diffrax.RESULTS.where(too_short, diffrax.RESULTS.dt_min_reached, result)


def _heard(y_error: Any, old: GuardState) -> tuple[Any, Any, Any]:
    """The error estimate, and gradients and products with those it tells of."""
    gradients, products = old.gradients, old.products
    if isinstance(y_error, Reported):
        # diffrax maps over error estimates, which makes the counts floats.
        gradients += y_error.work.gradients.astype(gradients.dtype)
        products += y_error.work.products.astype(products.dtype)
        y_error = y_error.error
    return y_error, gradients, products
