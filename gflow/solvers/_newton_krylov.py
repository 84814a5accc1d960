"""Newton's method for the equation of an implicit step, by conjugate gradients."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Bool, Float, Int

from .. import _trees as trees
from ..linalg import ConjugateGradient
from ._memory import Memory

Vector = Float[Array, " n"]
Scalar = Float[Array, ""]
Count = Int[Array, ""]

# diffrax's placeholder for a tolerance of the controller, which it does not export.
_FROM_CONTROLLER: Any = diffrax.with_stepsize_controller_tols(optx.Newton)().rtol
# A rate of convergence is forgotten by this factor each time it is measured.
_RATE_MEMORY = 0.3
# Corrections that grow by more are a divergence.
_DIVERGED = 2.0
# Approximate eigenvectors may push an eigenvalue below 1; hardly one came below this.
_MU = 0.3


class Equation(eqx.Module):
    """w = ψ + γ f(w), and what its solution is for.

    - `field`: w -> (f(w), anything that comes with it at no cost).
    - `weights`: of the inner product in which the Jacobian of f is symmetric.
    - `size`: the norm in which an error of 1 is an error of the step's tolerance.
    """

    field: Callable[[Vector], tuple[Vector, Any]]
    psi: Vector
    gamma: Scalar
    weights: Any
    size: Callable[[Vector], Scalar]


class Solution(eqx.Module):
    """Where Newton's method ended.

    `slope` and `aux` are the field's at `base`, the last point where it was evaluated;
    `w` is `base` plus the last correction.
    """

    w: Vector
    slope: Vector
    aux: Any
    converged: Bool[Array, ""]
    rate: Scalar
    memory: Memory | None
    num_gradients: Count
    num_products: Count


class _State(eqx.Module):
    """Between two evaluations of the field: either Newton's or of a product."""

    base: Vector
    slope: Vector
    aux: Any
    cg: ConjugateGradient
    memory: Memory | None
    # Whether the next evaluation is a product.
    in_krylov: Bool[Array, ""]
    num_newton: Count
    num_gradients: Count
    num_products: Count
    last_size: Scalar
    rate: Scalar
    done: Bool[Array, ""]
    failed: Bool[Array, ""]


class NewtonKrylov(eqx.Module):
    """Inexact Newton's method for w = ψ + γ f(w) with a symmetric Jacobian J of f.

    Each correction solves (1 - γ J) δ = ψ + γ f(w) - w by conjugate gradients, which
    end when their error in the A-norm, and so in the norm, is a share of what the step
    tolerates. Newton's method ends when the last correction times the rate of
    convergence is small enough. Rates are carried from step to step.

    **Arguments:**

    - `rtol`, `atol`, `norm`: default, those of the step-size controller.
    - `newton_tol`: error of Newton's method that a step tolerates, in units of the
        error of the step that is just accepted.
    - `krylov_tol`: the same for each linear solve.
    - `max_newton`, `max_krylov`: corrections, and products in each.
    - `exact`: products with J by automatic differentiation, at the cost of about two
        gradients each, instead of by differences of f at the cost of one. Default:
        in single precision, where differences lose half of few digits.

    **References:** Brown, Hindmarsh, "Matrix-free methods for stiff systems of ODEs"
    (1986); Hindmarsh et al., "SUNDIALS" (2005), section 2.1.
    """

    rtol: Any = _FROM_CONTROLLER
    atol: Any = _FROM_CONTROLLER
    norm: Any = _FROM_CONTROLLER
    newton_tol: float = 0.2
    krylov_tol: float = 0.02
    max_newton: int = eqx.field(static=True, default=4)
    max_krylov: int = eqx.field(static=True, default=500)
    exact: bool | None = eqx.field(static=True, default=None)

    def solve(
        self,
        equation: Equation,
        guess: Vector,
        constant: Scalar,
        rate: Scalar,
        memory: Memory | None = None,
    ) -> Solution:
        """Solve from a guess.

        **Arguments:**

        - `constant`: of the step's error, `constant` times a change of w.
        - `rate`: of convergence, as the last solve measured it.

        **Cost:** a gradient for each correction and a product for each iteration of
        conjugate gradients, all by one program for the field.
        """
        slope, aux = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(equation.field, guess)
        )
        zero = jnp.zeros((), jnp.int32)
        nothing = jnp.zeros_like(guess)
        state = _State(
            base=guess,
            slope=slope,
            aux=aux,
            cg=ConjugateGradient.start(nothing, nothing, nothing, equation.weights),
            memory=memory,
            in_krylov=jnp.asarray(False),
            num_newton=zero,
            num_gradients=zero,
            num_products=zero,
            last_size=jnp.zeros((), guess.dtype),
            rate=rate,
            done=jnp.asarray(False),
            failed=jnp.asarray(False),
        )

        def unfinished(state: _State) -> Any:
            return ~(state.done | state.failed)

        def body(state: _State) -> _State:
            return self._iterate(equation, constant, state)

        state = jax.lax.while_loop(unfinished, body, state)
        learnt = state.memory
        if learnt is not None:
            learnt = learnt.learnt(equation.weights)
        return Solution(
            w=state.base + state.cg.x,
            slope=state.slope,
            aux=state.aux,
            converged=state.done & ~state.failed,
            rate=state.rate,
            memory=learnt,
            num_gradients=state.num_gradients,
            num_products=state.num_products,
        )

    def _iterate(
        self,
        equation: Equation,
        constant: Scalar,
        old: _State,
    ) -> _State:
        """One evaluation of the field, and what follows from it."""
        slope, aux, product, work = self._evaluate(equation, old)
        gamma, weights = equation.gamma, equation.weights
        residual = equation.psi + gamma * slope - old.base
        # A product's evaluation continues the linear solve, Newton's begins one.
        nothing = jnp.zeros_like(residual)

        memory, mu = old.memory, 1.0
        if memory is not None:
            memory = memory.noted(old.in_krylov, old.cg.direction, -product)
            mu = _MU

        def precondition(r: Vector) -> Vector:
            if memory is None:
                return r
            return memory.preconditioner.apply(r, gamma, weights)

        start = precondition(residual)
        begun = ConjugateGradient.start(nothing, residual, start, weights, mu)
        applied = old.cg.direction - gamma * product
        gone_on = old.cg.advance(applied, precondition, weights, mu)
        cg = trees.where(old.in_krylov, gone_on, begun)
        state = eqx.tree_at(
            lambda s: (s.slope, s.aux, s.cg, s.num_gradients, s.num_products, s.memory),
            old,
            (
                *trees.where(old.in_krylov, (old.slope, old.aux), (slope, aux)),
                cg,
                old.num_gradients + work[0],
                old.num_products + work[1],
                memory,
            ),
            is_leaf=lambda x: x is None,
        )
        return self._judge(equation, constant, state)

    def _evaluate(self, equation: Equation, state: _State) -> Any:
        """(f, aux, Jp, work) where f and aux count in Newton's turn, Jp in the other's.

        One evaluation serves both, so that the field is compiled once: of f at w, or
        at w + σ p with Jp = (f(w + σ p) - f(w))/σ.
        """
        one, zero = jnp.ones((), jnp.int32), jnp.zeros((), jnp.int32)
        base, direction = state.base, state.cg.direction
        exact = self.exact
        if exact is None:
            exact = jnp.finfo(base.dtype).bits < 64
        if exact:

            def product() -> Any:
                _, tangent = jax.jvp(
                    lambda w: equation.field(w)[0], (base,), (direction,)
                )
                return state.slope, state.aux, tangent, (zero, one)

            def gradient() -> Any:
                slope, aux = equation.field(base)
                return slope, aux, jnp.zeros_like(base), (one, zero)

            return jax.lax.cond(state.in_krylov, product, gradient)
        # With an increment of eps^0.4 ‖w‖ a field with f'' ~ f'/‖w‖ is off by 1e-6 of
        # Jp, and one whose round-off is eps ‖J‖ ‖w‖ by 1e-10 ‖J‖ ‖p‖: what hurts in a
        # stiff step is the latter, so the increment is above the usual root of eps. In
        # the controller's norm, in which no large parameter hides how small others are.
        info = jnp.finfo(base.dtype)
        length = equation.size(direction)
        increment = info.eps**0.4 * equation.size(base)
        sigma = increment / jnp.where(length > 0, length, 1)
        sigma = jnp.where(sigma > 0, sigma, info.eps**0.5)
        point = base + jnp.where(state.in_krylov, sigma, 0) * direction
        slope, aux = equation.field(point)
        return slope, aux, (slope - state.slope) / sigma, (one, zero)

    def _judge(self, equation: Equation, constant: Scalar, state: _State) -> _State:
        """Go on with the linear solve, with Newton's method, or end."""
        cg = state.cg
        length = jnp.sqrt(jnp.sum(equation.weights * cg.residual**2))
        # The error's share of each component is not known; the residual's stands in
        # for it when the A-norm is turned into the norm of the controller.
        unit = equation.size(cg.residual) / jnp.where(length > 0, length, 1)
        solved = constant * unit * cg.error <= self.krylov_tol
        finite = jnp.isfinite(cg.rho)
        broken = ~finite | cg.indefinite | (cg.num_iterations >= self.max_krylov)
        size, tiny = equation.size(cg.x), jnp.finfo(cg.rho.dtype).tiny
        measured = jnp.where(
            state.num_newton > 0,
            jnp.maximum(_RATE_MEMORY * state.rate, size / (state.last_size + tiny)),
            state.rate,
        )
        num_newton = state.num_newton + solved
        within = constant * size * jnp.minimum(measured, 1) <= self.newton_tol
        diverged = (state.num_newton > 0) & (size > _DIVERGED * state.last_size)
        spent = num_newton >= self.max_newton
        next_turn = solved & ~within
        failed = broken | (next_turn & (diverged | spent))
        go_on = next_turn & ~failed
        return eqx.tree_at(
            lambda s: (
                s.base,
                s.cg.x,
                s.in_krylov,
                s.num_newton,
                s.last_size,
                s.rate,
                s.done,
                s.failed,
            ),
            state,
            (
                jnp.where(go_on, state.base + cg.x, state.base),
                jnp.where(go_on, 0, cg.x),
                ~solved,
                num_newton,
                jnp.where(solved, size, state.last_size),
                jnp.where(solved, measured, state.rate),
                solved & within & ~failed,
                failed,
            ),
        )
