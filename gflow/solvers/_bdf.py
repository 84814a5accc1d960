"""Backward differentiation without matrices."""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from ..flows._gradient import FlowState
from ..linalg import SpectralPreconditioner
from ._bdf_formula import extrapolation, formula
from ._bdf_history import History
from ._counting import CountingSolver, Work
from ._newton_krylov import Equation, NewtonKrylov

# The controller's factor for the next step is safety/(norm of the error).
_SAFETY = 0.9
# A step whose equation could not be solved is tried again at this share.
_RETREAT = 0.25
# Errors are multiplied by these before a step is chosen: it is to be accepted, and a
# change of order is to be worth it.
_BIAS = (2.0, 2.0, 3.5)
_LEAST_GROWTH = 1.2
_CUT = 0.95
_LARGEST_GROWTH, _LARGEST_FIRST_GROWTH = 2.0, 10.0


class BDFState(eqx.Module):
    """What BDF carries from step to step."""

    history: History
    order: Int[Array, ""]
    # Accepted steps since the order or the step changed.
    age: Int[Array, ""]
    # The step that is asked for; a shorter one was refused or cut.
    wanted: Float[Array, ""]
    # Newton's rate of convergence.
    rate: Float[Array, ""]
    preconditioner: SpectralPreconditioner | None
    num_corrections: Int[Array, ""]


class _Interpolation(diffrax.AbstractLocalInterpolation):
    """The polynomial of a step through its end and the points before."""

    t0: Any
    t1: Any
    times: Any
    values: Any
    order: Any

    def evaluate(self, t0: Any, t1: Any | None = None, left: bool = True) -> Any:
        """Its value at t0, or its rise from t0 to t1."""
        del left
        weights = extrapolation(t0, self.times, self.order + 1)
        if t1 is not None:
            weights = extrapolation(t1, self.times, self.order + 1) - weights
        return jax.tree.map(lambda y: jnp.tensordot(weights, y, 1), self.values)


class BDF(CountingSolver, diffrax.AbstractImplicitSolver[Any]):
    """Backward differentiation of orders 1 to 5, its equations solved without matrices.

    ...
    """

    max_order: int = eqx.field(static=True, default=5)
    num_secants: int = eqx.field(static=True, default=5)
    num_ritz: int = eqx.field(static=True, default=40)
    weights: Any = None
    root_finder: Any = eqx.field(default_factory=NewtonKrylov)
    root_find_max_steps: int = eqx.field(static=True, default=4)

    term_structure: ClassVar[Any] = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Any]] = _Interpolation
    owns_step: ClassVar[bool] = True

    def order(self, terms: Any) -> int:
        """That of the highest formula."""
        return self.max_order

    def error_order(self, terms: Any) -> int:
        """1: the controller's factor for the step is the inverse of the error told.

        The error that a step tells is made so that this is the factor wanted.
        """
        return 1

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """The field."""
        return terms.vf(t0, y0, args)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> BDFState:
        """A history of one point. Cost: one gradient."""
        flat, _ = ravel_pytree(y0)
        slope, _ = ravel_pytree(terms.vf(t0, y0, args))
        time = jnp.result_type(t0, t1, float)
        depth = max(self.max_order, self.num_secants) + 1
        one = jnp.ones((), jnp.int32)
        return BDFState(
            history=History.start(jnp.asarray(t0, time), flat, slope, depth),
            order=one,
            age=0 * one,
            wanted=jnp.asarray(t1 - t0, time),
            rate=jnp.ones((), flat.dtype),
            preconditioner=self._identity(y0),
            num_corrections=0 * one,
        )

    def _identity(self, y: Any) -> SpectralPreconditioner | None:
        if self.num_ritz == 0:
            return None
        flat, _ = ravel_pytree(_parts(y)[0])
        return SpectralPreconditioner.empty(self.num_ritz, flat.size, flat.dtype)

    def attempt(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        args: Any,
        solver_state: Any,
        made_jump: Any,
    ) -> tuple[Any, Any, Any, Any, diffrax.RESULTS, Work]:
        """One attempted step."""
        state: BDFState = solver_state
        core, quadrature = _parts(y0)
        flat, unravel = ravel_pytree(y0)
        num = sum(x.size for x in jax.tree.leaves(core))
        finder: NewtonKrylov = self.root_finder
        h = t1 - t0
        history = state.history.seen(h)
        age = jnp.where(h < _CUT * state.wanted, 0, state.age)
        order = jnp.minimum(state.order, jnp.maximum(history.num - 1, 1))
        bdf = formula(t1, history.times, order)
        predictions = history.combine(bdf.predictors)
        psi = history.combine(bdf.psi)
        weights = _spread(self.weights, core)

        def field(w: Any) -> Any:
            y = unravel(jnp.concatenate([w, flat[num:]]))
            slope, _ = ravel_pytree(terms.vf(t1, y, args))
            return slope[:num], slope[num:]

        def size(v: Any, other: Any = flat) -> Any:
            largest = jnp.maximum(jnp.abs(flat), jnp.abs(other))[:num]
            scaled = v / (finder.atol + finder.rtol * largest)
            zeros = jnp.zeros_like(flat[num:])
            return finder.norm(unravel(jnp.concatenate([scaled, zeros])))

        equation = Equation(field, psi[:num], bdf.gamma, weights, size)
        guess = predictions[1, :num]
        if self.num_secants > 0:
            guess = guess + _correction(
                history, bdf, guess, psi, weights, num, self.num_secants
            )
        solution = finder.solve(
            equation, guess, bdf.constants[1], state.rate, state.preconditioner
        )
        w = solution.w
        slope = (w - equation.psi) / bdf.gamma
        # The energy's rate is quadratic in the slope, and known at the last base.
        ratio = _ratio(weights, slope, solution.slope)
        rise = solution.aux * ratio
        y = jnp.concatenate([w, psi[num:] + bdf.gamma * rise])
        slope = jnp.concatenate([slope, rise])
        errors = jax.vmap(lambda p, c: c * size(w - p[:num], y))(
            predictions, bdf.constants
        )
        ok = solution.converged & jnp.all(jnp.isfinite(y))
        accepted = ok & (errors[1] <= 1)
        factor, next_order = self._choose(age, history, order, errors, ok)
        changed = (next_order != order) | (factor > 1)
        y = jnp.where(ok, y, flat)
        next_state = BDFState(
            history=history.pushed(t1, y, slope),
            order=next_order,
            age=jnp.where(changed, 0, age + 1).astype(jnp.int32),
            wanted=(factor * h).astype(state.wanted.dtype),
            rate=solution.rate,
            preconditioner=solution.preconditioner,
            num_corrections=state.num_corrections,
        )
        y1 = unravel(y)
        message = self._message(y0, y1, jnp.where(accepted, factor, factor))
        rows = jax.vmap(unravel)
        dense = {
            "times": jnp.concatenate([jnp.asarray(t1)[None], history.times]),
            "values": rows(jnp.concatenate([y[None], history.values])),
            "order": order,
        }
        work = Work(solution.num_gradients, solution.num_products)
        return y1, message, dense, next_state, diffrax.RESULTS.successful, work

    def _message(self, y0: Any, y1: Any, factor: Any) -> Any:
        finder = self.root_finder

        def scale(a: Any, b: Any) -> Any:
            return finder.atol + finder.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b))

        unit = finder.norm(jax.tree.map(jnp.ones_like, y0))
        told = _SAFETY / factor / unit
        return jax.tree.map(lambda a, b: told * scale(a, b), y0, y1)

    def _choose(
        self, age: Any, history: History, order: Any, errors: Any, ok: Any
    ) -> tuple[Any, Any]:
        """The factor for the next step, < 1 where this one is refused, and its order."""
        orders = order + jnp.arange(-1, 2)
        bias = jnp.asarray(_BIAS, errors.dtype)
        factors = (bias * errors + 1e-30) ** (-1.0 / (orders + 1))
        can = jnp.stack(
            [
                order > 1,
                jnp.asarray(True),
                (order < self.max_order)
                & (history.num >= order + 2)
                & (age >= order),
            ]
        )
        factors = jnp.where(can, factors, 0)
        best = jnp.argmax(factors)
        ripe = age >= order
        first = history.num < 3
        most = jnp.where(first, _LARGEST_FIRST_GROWTH, _LARGEST_GROWTH)
        grown = jnp.minimum(factors[best], most)
        lowered = can[0] & (factors[0] > factors[1]) & (errors[1] > 0.5)
        changes = (ripe | first) & (grown >= _LEAST_GROWTH)
        factor = jnp.where(changes, grown, 1)
        next_order = jnp.where(changes, orders[best], order)
        next_order = jnp.where(~changes & lowered, order - 1, next_order)
        shrunk = jnp.clip(factors[1], 0.2, _SAFETY)
        shrunk = jnp.where(ok, shrunk, _RETREAT)
        accepted = ok & (errors[1] <= 1)
        factor = jnp.where(accepted, factor, shrunk)
        return factor, next_order.astype(jnp.int32)


_CUTOFF = 1e-8


def _correction(
    history: Any, bdf: Any, guess: Any, psi: Any, weights: Any, num: int, k: int
) -> Any:
    slope = (
        history.slopes[0]
        + bdf.predictors[1, 1:] @ (history.slopes[1:] - history.slopes[0])
    )[:num]
    residual = psi[:num] + bdf.gamma * slope - guess
    rise = (history.values[:-1] - history.values[1:])[:k, :num]
    turn = (history.slopes[:-1] - history.slopes[1:])[:k, :num]
    valid = (jnp.arange(k) + 1 < history.num)[:, None]
    applied = jnp.where(valid, rise - bdf.gamma * turn, 0)
    scale = jnp.sqrt(jnp.sum(weights * applied**2, axis=1, keepdims=True))
    scale = jnp.where(scale > 0, scale, 1)
    applied = applied / scale
    rise = jnp.where(valid, rise, 0) / scale
    gram = (applied * weights) @ applied.T
    values, vectors = jnp.linalg.eigh(gram)
    kept = values > _CUTOFF * jnp.max(values)
    inverse = jnp.where(kept, 1 / jnp.where(kept, values, 1), 0)
    right = (applied * weights) @ residual
    return (vectors @ (inverse * (vectors.T @ right))) @ rise


def _parts(y: Any) -> tuple[Any, Any]:
    """What Newton's method solves for, and the quadratures along it."""
    if isinstance(y, FlowState):
        return y.w, y.energy
    return y, None


def _spread(weights: Any, core: Any) -> Any:
    """A tree prefix of weights, one for each component, or 1."""
    if weights is None:
        return 1.0
    full = jax.tree.map(
        lambda m, sub: jax.tree.map(lambda x: jnp.broadcast_to(m, x.shape), sub),
        weights,
        core,
    )
    return ravel_pytree(full)[0]


def _ratio(weights: Any, slope: Any, base_slope: Any) -> Any:
    top, bottom = jnp.sum(weights * slope**2), jnp.sum(weights * base_slope**2)
    return jnp.where(bottom > 0, top / jnp.where(bottom > 0, bottom, 1), 1)
