"""A solver that stays on the leaf of given laws."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .. import _trees as trees
from .._types import InvariantFn, Invariants, Params
from ..flows import ClockedState, MomentumState
from ..problem import Metric, Problem
from ..solvers import BDF, RKC, ROCK4, Auto, CountingSolver, Work
from ..trajectory import check_invariants, check_kind, named
from ._leaf import Leaf
from ._projected_interpolation import Inside, core
from ._projected_state import ProjectedState


class Projected(CountingSolver, diffrax.AbstractWrappedSolver[Any]):
    """A solver whose every step ends on the leaf {h(w) = h(w0)} of given laws.

        w <- w + G^-1 Jᵀ λ,    h(w + G^-1 Jᵀ λ) = h(w0),

    with J the derivative of h at w, G the problem's metric. After each step w goes to
    the point of the leaf next to it in the metric in which it flows: that way is
    orthogonal to the velocity, leaves the loss as it is to first order, and moves no
    parameter whose rate is zero. λ is found by Newton's method to round-off of h. Laws
    may say the same twice, as entries (i, j) and (j, i) of a balancedness do. The
    energy of the audit is not touched.

    The order of the solver is kept, and its estimate of the error, made before the
    projection. Saved points between two steps, and stops, are found on the projected
    dense output.

    It helps where the laws decide what is asked for. A signed diagonal net with all its
    laws has one minimizer on a leaf: the limit came out to 2e-14 by BDF at rtol 1e-4,
    where it was 5e-5 off by itself. Along the leaf errors stay: a linear net of widths
    3, 4, 2 gained a factor of 1 to 4.

    Drift then says nothing of the solver's accuracy; `stats["solver"]` does instead,
    over all accepted steps:

    - `correction_largest`, `correction_total`: of the Euclidean lengths of all
        corrections. For laws of the flow they fall with the tolerance. For a quantity
        that is not conserved the total stays as it is: it is held all the same, the run
        is one of another flow, and its energy balance is off.
    - `correction_iterations`: Newton's, summed.
    - `off_leaf`: the largest |h(w) - h(w0)| after projection.

    A step from which no point of the leaf is found is not made: its error is infinite,
    and the controller shortens it until one is found or the run ends with an underflow.
    Under a controller that heeds no error (`diffrax.ConstantStepSize`) the solve fails
    with `nonlinear_divergence`. A saved point between steps is nan instead.

    Not for reverse-mode differentiation: Newton's method ends when it is exact enough.

    **Arguments:**

    - `solver`: `Tsit5` or another explicit Runge-Kutta method of diffrax with an error
        estimate, `RKC`, `ROCK4`, or `BDF`, the newest of whose past points is replaced
        by the projected one.
    - `invariants`: name -> callable `w -> array`, or an `Invariant`.
    - `metric`: G; `static`: the leaves of w that are not parameters. `gflow.simulate`
        fills in both; by default G is Euclidean and all leaves are parameters.

    **Raises:** `ValueError` for other solvers, without laws, and for the state of a
    momentum flow, which conserves no function of w alone; `TypeError` for a solver that
    is none, and laws that are no mapping. While it runs, `RuntimeError` if a law is not
    finite at w0.

    **Cost:** for k entries of n parameters, at each attempted step and saved point k
    derivatives of the laws, 2 k n numbers, the eigenvalues of a k by k matrix, and one
    to three evaluations of the laws. One gradient more a step where the solver would
    have used again that of the last step's end; of `BDF` none.

    **References:** Hairer, Lubich, Wanner, "Geometric Numerical Integration" (2006),
    IV.4; of multistep methods Eich, "Convergence results for a coordinate projection
    method applied to mechanical systems with algebraic constraints" (1993).

    ```python
    >>> import diffrax, jax.numpy as jnp, gflow as gf
    >>> from gflow.invariants import Projected
    >>> problem = gf.Objective(lambda w: (w["u"] * w["v"] - 1.0) ** 2)
    >>> w0 = {"u": jnp.array(2.0), "v": jnp.array(0.1)}
    >>> laws = {"balance": lambda w: w["u"] ** 2 - w["v"] ** 2}
    >>> run = gf.simulate(
    ...     problem,
    ...     gf.GradientFlow(),
    ...     w0,
    ...     t1=9.0,
    ...     solver=Projected(diffrax.Tsit5(), laws),
    ...     invariants=laws,
    ... )
    >>> eps = jnp.finfo(run.w1["u"].dtype).eps
    >>> bool(run.drift["balance"].relative < 100 * eps)
    True

    ```
    """

    solver: diffrax.AbstractSolver[Any]
    invariants: Mapping[str, InvariantFn]
    metric: Metric | None
    static: Any

    def __init__(
        self,
        solver: Any,
        invariants: Invariants,
        *,
        metric: Metric | None = None,
        static: Any = None,
    ) -> None:
        invariants = named("invariants", invariants)
        _check(solver, invariants)
        self.solver = solver
        # In the order in which jax would have it: entries are told by their place.
        self.invariants = dict(sorted(invariants.items()))
        self.metric = metric
        self.static = static

    @property
    def term_structure(self) -> Any:
        """The wrapped solver's."""
        return self.solver.term_structure

    @property
    def interpolation_cls(self) -> Any:  # pyright: ignore
        """The wrapped solver's, projected."""
        return Inside.of(self.solver.interpolation_cls, self._leaf)[0]

    @property
    def extrapolates(self) -> bool:
        """As the wrapped solver."""
        return getattr(self.solver, "extrapolates", True)

    @property
    def num_gradients_init(self) -> int:
        """The wrapped solver's; of a Runge-Kutta method none."""
        return getattr(self.solver, "num_gradients_init", 0)

    @property
    def owns_step(self) -> bool:
        """As the wrapped solver."""
        return getattr(self.solver, "owns_step", False)

    @property
    def root_finder(self) -> Any:
        """The wrapped solver's, if it is implicit."""
        solver: Any = self.solver
        return solver.root_finder

    @property
    def scan_kind(self) -> Any:
        """The wrapped solver's, if it is a Runge-Kutta method."""
        solver: Any = self.solver
        return solver.scan_kind

    def order(self, terms: Any) -> Any:
        """The wrapped solver's."""
        return self.solver.order(terms)

    def error_order(self, terms: Any) -> Any:
        """The wrapped solver's."""
        return self.solver.error_order(terms)

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """The wrapped solver's."""
        return self.solver.func(terms, t0, y0, args)

    def placed(self, problem: Problem, static: Params) -> "Projected":
        """In the problem's metric, with the leaves of w that do not move."""
        solver = self.solver
        if isinstance(solver, CountingSolver):
            solver = solver.placed(problem, static)
        metric = problem.metric if self.metric is None else self.metric
        static = static if self.static is None else self.static
        return Projected(solver, self.invariants, metric=metric, static=static)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> ProjectedState:
        """The wrapped solver's, and h(w0)."""
        if isinstance(y0.inner if isinstance(y0, ClockedState) else y0, MomentumState):
            raise ValueError(
                "Projected is for first-order flows: a momentum flow conserves no "
                "function of w alone. Use the solver by itself"
            )
        inner = self.solver.init(terms, t0, t1, y0, args)
        check_invariants(self.invariants, self._leaf.whole(core(y0)))
        target = self._leaf.values(core(y0))
        target = eqx.error_if(
            target, ~jnp.all(jnp.isfinite(target)), "a law is not finite at w0"
        )
        return ProjectedState.start(inner, target)

    def attempt(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        args: Any,
        solver_state: ProjectedState,
        made_jump: Any,
    ) -> tuple[Any, Any, Any, Any, diffrax.RESULTS, Work]:
        """The wrapped solver's step, its end brought to the leaf."""
        state = solver_state
        if not isinstance(self.solver, BDF):
            # To the field the projection is a jump: no slope outlives it.
            made_jump = made_jump | state.moved
        given = terms, t0, t1, y0, args, state.inner, made_jump
        y1, error, dense, inner, result, work = self._attempt(*given)
        landing = self._leaf.land(core(y1), state.target)
        good = landing.converged
        w = trees.where(good, landing.w, core(y1))
        y1 = eqx.tree_at(core, y1, w)
        error = jax.tree.map(lambda e: jnp.where(good, e, jnp.inf), error)
        failed: Any = diffrax.RESULTS.nonlinear_divergence
        result = diffrax.RESULTS.where(good, result, failed)
        if isinstance(self.solver, BDF):
            inner = _with_newest(inner, y1)
        _, arrays = Inside.of(self.solver.interpolation_cls, self._leaf)
        dense = {"inner": dense, "arrays": arrays, "target": state.target}
        return y1, error, dense, state.after(inner, landing), result, work

    def _attempt(self, *given: Any) -> tuple[Any, Any, Any, Any, Any, Work]:
        if isinstance(self.solver, CountingSolver):
            return self.solver.attempt(*given)
        *_, state, made_jump = given
        solver: Any = self.solver
        gradients = jnp.asarray(solver.tableau.num_stages, int)
        if state is not None:
            # Of a method whose last stage is the next step's first the state tells
            # whether this is its first step.
            is_first, _ = state
            gradients = gradients - 1 + (is_first | made_jump)
        return *solver.step(*given), Work(gradients, jnp.zeros((), int))

    def report(self, solver_state: ProjectedState) -> dict[str, Any]:
        """The sizes of the corrections, with what the wrapped solver tells."""
        told: dict[str, Any] = {}
        if isinstance(self.solver, CountingSolver):
            told = self.solver.report(solver_state.inner)
        return told | solver_state.told

    def carried(self, fresh: ProjectedState, old: ProjectedState) -> ProjectedState:
        """The fresh state with the old leaf, and what was told so far."""
        inner = fresh.inner
        if isinstance(self.solver, CountingSolver):
            inner = self.solver.carried(inner, old.inner)
        return dataclasses.replace(old, inner=inner, moved=fresh.moved)

    @property
    def _leaf(self) -> Leaf:
        return Leaf(self.invariants, self.static, self.metric)


def _with_newest(past: Any, y: Any) -> Any:
    """The state of BDF with another newest point.

    Its slope stays, that of the formula: it serves guesses of Newton's method alone.
    """
    values = past.history.values.at[0].set(ravel_pytree(y)[0])
    return eqx.tree_at(lambda s: s.history.values, past, values)


def _check(solver: Any, invariants: Invariants) -> None:
    check_kind("solver", solver, diffrax.AbstractSolver | Auto)
    fits = isinstance(solver, diffrax.AbstractERK | RKC | ROCK4 | BDF)
    if not fits or isinstance(solver, diffrax.AbstractWrappedSolver):
        raise ValueError(
            "Projected wraps an explicit Runge-Kutta method of diffrax with an error "
            f"estimate, RKC, ROCK4 or BDF, not {type(solver).__name__}: use Tsit5, or "
            "BDF where the flow is stiff"
        )
    if not invariants:
        raise ValueError("invariants must have at least one law to stay on: none given")
