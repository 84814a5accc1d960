"""Backward differentiation without matrices."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from .._types import Params
from ..problem import Problem
from ._bdf_control import SAFETY, next_step
from ._bdf_equation import core, ended, equation, error_norm, guessed
from ._bdf_formula import Formula, formula
from ._bdf_history import History
from ._bdf_interpolation import BDFInterpolation
from ._counting import CountingSolver, Work
from ._memory import Memory
from ._newton_krylov import NewtonKrylov, Solution

# A step below this share of the one asked for was refused before, or cut.
_CUT = 0.95
# One below this share grows back as fast as its error allows.
_SHORT = 0.3


class BDFState(eqx.Module):
    """What BDF carries from step to step."""

    history: History
    order: Int[Array, ""]
    # Accepted steps since the order or the step changed.
    age: Int[Array, ""]
    # The step that is asked for.
    wanted: Float[Array, ""]
    # Newton's rate of convergence, as it was last measured.
    rate: Float[Array, ""]
    memory: Memory | None


class BDF(CountingSolver, diffrax.AbstractImplicitSolver[Any]):
    """Backward differentiation of orders 1 to 5 for flows with a symmetric Jacobian.

        w_n = ψ + γ f(t_n, w_n),

    with the coefficients of the polynomial through the past points as they lie, so
    that every step may have a length of its own. Each equation is solved by Newton's
    method with conjugate gradients (`NewtonKrylov`): no matrix is formed, and a step
    takes a few gradients however stiff the flow is. Order and step are chosen by the
    errors that the neighboring orders would have made.

    For stiff smooth flows at any tolerance; use an explicit solver where the step is
    short of the stability limit anyway, and where the field has kinks. The Jacobian of
    f must be symmetric in the inner product of `weights`, as it is for gradient flows
    in a metric that does not depend on w. Where it has eigenvalues > 0 (near saddles)
    a step whose matrix 1 - γ J shows itself not positive definite is tried again at a
    quarter of its length: a longer one would damp what grows.

    In a `FlowState` the energy is integrated by the same formula without an equation:
    its rate is the square of the slope, which the formula itself knows at the end.

    The order and length of steps are the solver's own. The error that it tells is
    made so that `diffrax.PIDController` with its default coefficients proposes the
    length wanted; with others steps are accepted alike and change more slowly. On
    linear modes with h |λ| from 1e-3 to 1e4, after exact points at equal distances,
    the error that decides is never below the true one of the step, and above 1 + γ |λ|
    times it where the mode is driven slowly.

    A bare `diffeqsolve` holds each step to the tolerance given, and errors at the end
    fall slower, as its power p/(p + 1) at order p; `gflow.simulate` lowers the
    tolerance of a step so that they follow the one asked for.

    Not for reverse-mode differentiation: linear solves end when they are exact enough.
    Under `jax.vmap` each lane takes its own steps. They are those that it takes alone,
    to round-off (1e-12), with `num_ritz` and `num_secants` 0 only: otherwise small
    eigenproblems, whose round-off differs in a batch, decide when solves end, and the
    results agree to the tolerance.

    **Arguments:**

    - `max_order`: 1 to 5.
    - `num_secants`: past steps whose secants improve the guess of the next, or 0.
    - `num_ritz`: approximate eigenvectors of the Hessian that are kept from linear
        solves to precondition later ones; 0 for none. Fewer take less time where a
        gradient is cheap, more gradients where the flow is stiff, and spread errors
        less onto small parameters, whose invariants then drift less.
    - `weights`: of the inner product in which the Jacobian is symmetric, a tree prefix
        of w, by default all 1: for rates r_g the weights 1/r_g, any number for rate 0.
    - `root_finder`: a `NewtonKrylov`; by default with the controller's tolerances.

    **Cost:** one gradient at the start; for each step one for each correction and one
    for each product, some 3 to 8 in all. Memory for 2 (max(max_order, num_secants) + 1)
    vectors, and for 2 num_ritz + 40 more unless num_ritz is 0.

    **Differs from the source:** coefficients vary, where CVODE fixes the leading one.

    **References:** Brayton, Gustavson, Hachtel 1972; Hindmarsh et al. 2005 (SUNDIALS),
    2.1; Hairer, Wanner, "Solving Ordinary Differential Equations II", V.1 and V.8.

    ```python
    >>> import jax, jax.numpy as jnp, diffrax
    >>> from gflow.solvers import BDF
    >>> rate = jnp.array([1.0, 1e6])
    >>> solution = diffrax.diffeqsolve(
    ...     diffrax.ODETerm(lambda t, w, args: -rate * w),
    ...     BDF(),
    ...     0.0,
    ...     1.0,
    ...     None,
    ...     jnp.ones(2),
    ...     stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-4),
    ... )
    >>> print(f"{solution.ys[0, 0]:.2f}", int(solution.stats["num_steps"]) < 150)
    0.37 True

    ```
    """

    max_order: int = eqx.field(static=True, default=5)
    num_secants: int = eqx.field(static=True, default=5)
    num_ritz: int = eqx.field(static=True, default=40)
    weights: Any = None
    root_finder: Any = eqx.field(default_factory=NewtonKrylov)

    term_structure: ClassVar[Any] = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Any]] = BDFInterpolation
    owns_step: ClassVar[bool] = True
    extrapolates: ClassVar[bool] = False

    def __check_init__(self) -> None:
        if not 1 <= self.max_order <= 5:
            raise ValueError(f"max_order must be 1 to 5, not {self.max_order!r}")
        for name in ("num_secants", "num_ritz"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, not {getattr(self, name)!r}")

    @property
    def root_find_max_steps(self) -> int:
        """Newton's."""
        return self.root_finder.max_newton

    def order(self, terms: Any) -> int:
        """That of the highest formula."""
        return self.max_order

    def error_order(self, terms: Any) -> int:
        """1: the controller's factor is to be the inverse of the error told."""
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
        memory = None
        if self.num_ritz > 0:
            w, _ = ravel_pytree(core(y0))
            memory = Memory.empty(self.num_ritz, w.size, w.dtype)
        return BDFState(
            history=History.start(_strong(t0, time), flat, slope, depth),
            order=jnp.ones((), jnp.int32),
            age=jnp.zeros((), jnp.int32),
            wanted=_strong(t1 - t0, time),
            rate=jnp.ones((), flat.dtype),
            memory=memory,
        )

    def placed(self, problem: Problem, static: Params) -> "BDF":
        """With the weights of the problem's metric, unless it has its own."""
        if self.weights is not None or problem.metric is None:
            return self
        return dataclasses.replace(self, weights=problem.metric.weights())

    def report(self, solver_state: BDFState) -> dict[str, Any]:
        """The order of the next step."""
        return {"order": solver_state.order}

    def attempt(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        args: Any,
        solver_state: BDFState,
        made_jump: Any,
    ) -> tuple[Any, Any, Any, Any, diffrax.RESULTS, Work]:
        """One step of the order chosen before, and its error."""
        restarted = jnp.where(made_jump, 1, solver_state.history.num)
        state = eqx.tree_at(
            lambda s: s.history.num, solver_state, restarted.astype(jnp.int32)
        )
        history = state.history.seen(t1 - t0)
        order = jnp.minimum(state.order, jnp.maximum(history.num - 1, 1))
        # Times may be of higher precision than the state, and must not raise it.
        bdf = jax.tree.map(
            lambda x: x.astype(state.rate.dtype),
            formula(jnp.asarray(t1), history.times, order),
        )
        size = error_norm(self.root_finder, y0)
        predictions, solution, (y, slope) = self._solved(
            lambda y: terms.vf(t1, y, args), y0, bdf, history, state, size
        )
        solved = solution.converged & jnp.all(jnp.isfinite(y))
        num = len(solution.w)
        errors = jax.vmap(lambda p, c: c * size(solution.w - p[:num], y))(
            predictions, bdf.constants
        )
        # A failed solve is refused by its error; what it left must not reach anyone.
        flat, unravel = ravel_pytree(y0)
        y = jnp.where(solved, y, flat)
        past = history.pushed(t1, y, slope)
        state, factor = self._next(
            state, past, order, t1 - t0, errors, history.num, solution, solved
        )
        dense = {
            "times": past.times,
            "values": jax.vmap(unravel)(past.values),
            "order": order,
        }
        work = Work(solution.num_gradients, solution.num_products)
        told = self._told(y0, unravel(y), factor)
        return unravel(y), told, dense, state, diffrax.RESULTS.successful, work

    def _solved(
        self,
        field: Callable[[Any], Any],
        y0: Any,
        bdf: Formula,
        history: History,
        state: BDFState,
        size: Callable[..., Any],
    ) -> tuple[Any, Solution, tuple[Any, Any]]:
        """The predictions; the solution; and the state and slope that it makes."""
        predictions, psi = history.combine(bdf.predictors), history.combine(bdf.psi)
        to_solve = equation(field, y0, bdf, psi, self.weights, size)
        guess = guessed(to_solve, bdf, history, predictions[1], self.num_secants)
        # Once a step is shorter than the tolerance, an algebraic error that is small
        # beside the tolerance only is all there is of the step: w would drift along
        # past slopes, uphill as well. So it is held small beside the step, too.
        least = jnp.sqrt(jnp.finfo(guess.dtype).eps)
        length = jnp.clip(size(guess - history.values[0][: len(guess)]), least, 1)
        solution = self.root_finder.solve(
            to_solve, guess, bdf.constants[1] / length, state.rate, state.memory
        )
        return predictions, solution, ended(to_solve, solution, psi)

    def _next(
        self,
        state: BDFState,
        past: History,
        order: Any,
        h: Any,
        errors: Any,
        num_points: Any,
        solution: Solution,
        solved: Any,
    ) -> tuple[BDFState, Any]:
        """The state after a step, and the factor for the next one's length."""
        age = jnp.where(h < _CUT * state.wanted, 0, state.age)
        cut = h < _SHORT * state.wanted
        _, factor, next_order = next_step(
            errors, order, self.max_order, num_points, age, cut, solved
        )
        changes = (next_order != order) | (factor > 1)
        # What is cut to end in time goes on with what was wanted, unless it fails.
        wanted = jnp.where(cut & (factor > 1), state.wanted, factor * h)
        after = BDFState(
            history=past,
            order=next_order,
            age=jnp.where(changes, 0, age + 1).astype(jnp.int32),
            wanted=wanted.astype(state.wanted.dtype),
            rate=solution.rate,
            memory=solution.memory,
        )
        return after, factor

    def _told(self, y0: Any, y1: Any, factor: Any) -> Any:
        """The error for which the controller's factor for the step is this one."""
        finder = self.root_finder
        unit = finder.norm(jax.tree.map(jnp.ones_like, y0))

        def error(a: Any, b: Any) -> Any:
            scale = finder.atol + finder.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b))
            return (SAFETY / (factor * unit)).astype(a.dtype) * scale

        return jax.tree.map(error, y0, y1)


def _strong(x: Any, dtype: Any) -> Any:
    return jax.lax.convert_element_type(x, dtype)
