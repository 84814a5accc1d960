"""One compiled stretch of a discrete method."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .. import _trees as trees
from .._types import Params
from ..problem import Problem
from ..trajectory import Watch
from ._stepper import Stepper


class Setting(eqx.Module):
    """All that the compiled loop rests on besides where it stands."""

    problem: Problem
    stepper: Stepper
    static: Params
    watch: Watch
    # (w, key) -> an estimate of the gradient, in its place; and the key of step 0.
    estimate: Callable[[Params, Any], Params] | None
    key: Any

    def grad(self, k: Any, w: Params) -> Params:
        """The gradient at step k, or its estimate."""
        full = eqx.combine(w, self.static)
        if self.estimate is None:
            return self.problem.grad(full)
        return self.estimate(full, jax.random.fold_in(self.key, k))

    def is_met(self, k: Any, w: Params) -> Any:
        """Whether any stop is met after k steps."""
        if not self.watch.stops:
            return jnp.asarray(False)
        full = eqx.combine(w, self.static)
        t = self.stepper.time(k).astype(trees.dtype(w))
        return jnp.min(self.watch.margins(t, full, self.problem)) <= 0


class Iterate(eqx.Module):
    """Where the method stands."""

    k: Any
    w: Params
    state: Any
    # The next iterate is not finite; w is the last one that is.
    broken: Any
    stopped: Any


@eqx.filter_jit
def advance(
    setting: Setting, now: Iterate, due: Any, k_end: Any
) -> tuple[Iterate, Params]:
    """Step until k_end, a stop or a non-finite iterate; keep the iterates at `due`."""

    def go_on(carry: tuple[Iterate, Any, Params]) -> Any:
        now, _, _ = carry
        return (now.k < k_end) & ~now.broken & ~now.stopped

    def body(carry: tuple[Iterate, Any, Params]) -> tuple[Iterate, Any, Params]:
        now, num, saved = carry
        grad = setting.grad(now.k, now.w)
        w, state = setting.stepper.step(setting.problem, now.w, grad, now.state)
        broken = ~trees.all_finite(w)
        keep = lambda a, b: jnp.where(broken, b, a)  # noqa: E731
        k = jnp.where(broken, now.k, now.k + 1)
        new = Iterate(
            k=k,
            w=jax.tree.map(keep, w, now.w),
            state=jax.tree.map(keep, state, now.state),
            broken=broken,
            stopped=~broken & setting.is_met(k, w),
        )
        is_due = ~broken & (k == due[num])
        saved = jax.tree.map(
            lambda s, x: s.at[num].set(jnp.where(is_due, x, s[num])), saved, new.w
        )
        return new, num + is_due, saved

    saved = jax.tree.map(lambda x: jnp.zeros((len(due), *x.shape), x.dtype), now.w)
    now, _, saved = jax.lax.while_loop(go_on, body, (now, jnp.zeros((), int), saved))
    return now, saved
