"""Backward differentiation without matrices."""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from ..flows import FlowState
from ._bdf_control import SAFETY, next_step
from ._bdf_formula import Formula, extrapolation, formula
from ._bdf_history import History
from ._counting import CountingSolver, Work
from ._memory import Memory
from ._newton_krylov import Equation, NewtonKrylov, Solution
from ._secants import secant_correction

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


class BDFInterpolation(diffrax.AbstractLocalInterpolation):
    """The polynomial of a step: through its end and as many points as its order."""

    t0: Any
    t1: Any
    times: Any
    values: Any
    order: Any

    def evaluate(self, t0: Any, t1: Any | None = None, left: bool = True) -> Any:
        """Its value at t0, or its rise from t0 to t1."""
        del left
        weights = extrapolation(jnp.asarray(t0), self.times, self.order + 1)
        if t1 is not None:
            end = extrapolation(jnp.asarray(t1), self.times, self.order + 1)
            weights = end - weights
        return jax.tree.map(
            lambda y: jnp.tensordot(weights.astype(y.dtype), y, 1), self.values
        )


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
    length wanted, and no error norm but the controller's is used. With other
    coefficients steps are accepted alike and change more slowly. On linear modes with
    h |λ| from 1e-3 to 1e4, after exact points at equal distances, the error that
    decides is never below the true one of the step, and above 1 + γ |λ| times it
    where the mode is driven slowly.

    **Arguments:**

    - `max_order`: 1 to 5.
    - `num_secants`: past steps whose secants improve the guess of the next; 0 for
        none.
    - `num_ritz`: approximate eigenvectors of the Hessian that are kept from linear
        solves to precondition later ones; 0 for none. Fewer take less time where a
        gradient is cheap and more gradients where the flow is stiff.
    - `weights`: of the inner product in which the Jacobian is symmetric, a tree prefix
        of w: for rates r_g the weights 1/r_g, and any number for a group with rate 0.
        Default: all 1.
    - `root_finder`: a `NewtonKrylov`; by default it takes the tolerances of the
        controller.

    **Cost:** one gradient at the start; for each step one for each correction and one
    for each product, some 3 to 8 in all. Memory for 2 (max_order + 1) + 3 num_ritz
    vectors.

    **Differs from the source:** variable-coefficient BDF, where CVODE has fixed leading
    ones; error weights and Newton's constants are CVODE's in kind, not in value.

    **References:** Brayton, Gustavson, Hachtel, "A new efficient algorithm for solving
    differential-algebraic systems using implicit backward differentiation formulas"
    (1972); Hindmarsh et al., "SUNDIALS" (2005), 2.1; Hairer, Wanner, "Solving Ordinary
    Differential Equations II" (1996), V.1 and V.8.

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
        one = jnp.ones((), jnp.int32)
        memory = None
        if self.num_ritz > 0:
            core, _ = ravel_pytree(_core(y0))
            memory = Memory.empty(self.num_ritz, core.size, core.dtype)
        return BDFState(
            history=History.start(_strong(t0, time), flat, slope, depth),
            order=one,
            age=0 * one,
            wanted=_strong(t1 - t0, time),
            rate=jnp.ones((), flat.dtype),
            memory=memory,
        )

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
        state = eqx.tree_at(
            lambda s: s.history.num,
            solver_state,
            jnp.where(made_jump, 1, solver_state.history.num).astype(jnp.int32),
        )
        h = t1 - t0
        age = jnp.where(h < _CUT * state.wanted, 0, state.age)
        cut = h < _SHORT * state.wanted
        history = state.history.seen(h)
        order = jnp.minimum(state.order, jnp.maximum(history.num - 1, 1))
        # Times may be of higher precision than the state, and must not raise it.
        bdf = jax.tree.map(
            lambda x: x.astype(state.rate.dtype),
            formula(jnp.asarray(t1), history.times, order),
        )
        predictions, psi = history.combine(bdf.predictors), history.combine(bdf.psi)
        equation, size = self._equation(terms, t1, y0, args, bdf, psi)
        guess = self._guess(history, bdf, equation, predictions[1])
        flat, unravel = ravel_pytree(y0)
        # Once a step is shorter than the tolerance, an algebraic error that is small
        # beside the tolerance only is all there is of the step: w would drift along
        # past slopes, uphill as well. So it is held small beside the step, too.
        least = jnp.sqrt(jnp.finfo(flat.dtype).eps)
        length = jnp.clip(size(guess - flat[: len(guess)]), least, 1)
        solution = self.root_finder.solve(
            equation, guess, bdf.constants[1] / length, state.rate, state.memory
        )
        y, slope = _ended(equation, solution, psi)
        solved = solution.converged & jnp.all(jnp.isfinite(y))
        num = len(solution.w)
        errors = jax.vmap(lambda p, c: c * size(solution.w - p[:num], y))(
            predictions, bdf.constants
        )
        _, factor, next_order = next_step(
            errors, order, self.max_order, history.num, age, cut, solved
        )
        # A failed solve is refused by its error; what it left must not reach anyone.
        y = jnp.where(solved, y, flat)
        changes = (next_order != order) | (factor > 1)
        next_state = BDFState(
            history=history.pushed(t1, y, slope),
            order=next_order,
            age=jnp.where(changes, 0, age + 1).astype(jnp.int32),
            wanted=jnp.where(cut, state.wanted, factor * h).astype(state.wanted.dtype),
            rate=solution.rate,
            memory=solution.memory,
        )
        told = self._told(y0, unravel(y), factor)
        dense = {
            "times": jnp.concatenate([jnp.asarray(t1)[None], history.times]),
            "values": jax.vmap(unravel)(jnp.concatenate([y[None], history.values])),
            "order": order,
        }
        work = Work(solution.num_gradients, solution.num_products)
        okay = diffrax.RESULTS.successful
        return unravel(y), told, dense, next_state, okay, work

    def _equation(
        self, terms: Any, t1: Any, y0: Any, args: Any, bdf: Formula, psi: Any
    ) -> tuple[Equation, Callable[..., Any]]:
        """The equation for the flattened w, and the norm of its errors."""
        core, finder = _core(y0), self.root_finder
        num = sum(x.size for x in jax.tree.leaves(core))
        flat, unravel = ravel_pytree(y0)

        def field(w: Any) -> Any:
            y = unravel(jnp.concatenate([w, flat[num:]]))
            slope, _ = ravel_pytree(terms.vf(t1, y, args))
            return slope[:num], slope[num:]

        def size(error: Any, other: Any = flat) -> Any:
            largest = jnp.maximum(jnp.abs(flat), jnp.abs(other))[:num]
            scaled = error / (finder.atol + finder.rtol * largest)
            quadratures = jnp.zeros_like(flat[num:])
            return finder.norm(unravel(jnp.concatenate([scaled, quadratures])))

        weights = _spread(self.weights, core)
        return Equation(field, psi[:num], bdf.gamma, weights, size), size

    def _guess(
        self, history: History, bdf: Formula, equation: Equation, prediction: Any
    ) -> Any:
        """The prediction, corrected by what the last steps say of the field."""
        num, k = len(equation.psi), self.num_secants
        guess = prediction[:num]
        if k == 0:
            return guess
        values, slopes = history.values[: k + 1, :num], history.slopes[: k + 1, :num]
        used = jnp.arange(1, k + 1) < history.num
        weights = bdf.predictors[1, 1:]
        bends = history.slopes[1:, :num] - history.slopes[0, :num]
        slope = history.slopes[0, :num] + weights @ bends
        residual = equation.psi + bdf.gamma * slope - guess
        return guess + secant_correction(
            values, slopes, used, bdf.gamma, residual, equation.weights
        )

    def _told(self, y0: Any, y1: Any, factor: Any) -> Any:
        """The error for which the controller's factor for the step is this one."""
        finder = self.root_finder
        unit = finder.norm(jax.tree.map(jnp.ones_like, y0))

        def error(a: Any, b: Any) -> Any:
            scale = finder.atol + finder.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b))
            return (SAFETY / (factor * unit)).astype(a.dtype) * scale

        return jax.tree.map(error, y0, y1)


def _core(y: Any) -> Any:
    """What the equation is solved for; the rest are quadratures along it."""
    return y.w if isinstance(y, FlowState) else y


def _ended(equation: Equation, solution: Solution, psi: Any) -> tuple[Any, Any]:
    """State and slope at the end of a step.

    The slope is that of the formula, (w - ψ)/γ. The rate of the energy is quadratic in
    the slope, Σ weights slope², and is known where the field was last evaluated, so it
    is scaled by the ratio of the two squares.
    """
    w, weights = solution.w, equation.weights
    slope = (w - equation.psi) / equation.gamma
    top, bottom = (jnp.sum(weights * x**2) for x in (slope, solution.slope))
    ratio = jnp.where(bottom > 0, top / jnp.where(bottom > 0, bottom, 1), 1)
    rate = ratio * solution.aux
    quadratures = psi[len(w) :] + equation.gamma * rate
    return jnp.concatenate([w, quadratures]), jnp.concatenate([slope, rate])


def _spread(weights: Any, core: Any) -> Any:
    """A tree prefix of weights, one for each component, or 1."""
    if weights is None:
        return 1.0

    def fill(weight: Any, subtree: Any) -> Any:
        return jax.tree.map(lambda x: jnp.full(x.shape, weight, x.dtype), subtree)

    return ravel_pytree(jax.tree.map(fill, weights, core))[0]


def _strong(x: Any, dtype: Any) -> Any:
    return jax.lax.convert_element_type(x, dtype)
