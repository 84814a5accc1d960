"""The equation of a step of backward differentiation, on flat vectors.

Of a `FlowState` the equation is for w alone; the energy is a quadrature along it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .. import _trees as trees
from ..flows import FlowState
from ._bdf_formula import Formula
from ._bdf_history import History
from ._newton_krylov import Equation, Solution
from ._secants import secant_correction


def core(y: Any) -> Any:
    """What the equation is solved for; the rest of y are quadratures."""
    return y.w if isinstance(y, FlowState) else y


def error_norm(finder: Any, y0: Any) -> Callable[..., Any]:
    """`(error, other end) -> size`: of errors of w, 1 at the controller's tolerance."""
    flat, unravel = ravel_pytree(y0)
    num = sum(x.size for x in jax.tree.leaves(core(y0)))

    def size(error: Any, other: Any = flat) -> Any:
        largest = jnp.maximum(jnp.abs(flat), jnp.abs(other))[:num]
        scaled = error / (finder.atol + finder.rtol * largest)
        quadratures = jnp.zeros_like(flat[num:])
        return finder.norm(unravel(jnp.concatenate([scaled, quadratures])))

    return size


def equation(
    field: Callable[[Any], Any],
    y0: Any,
    bdf: Formula,
    psi: Any,
    weights: Any,
    size: Callable[..., Any],
) -> Equation:
    """w = ψ + γ f(w).

    **Arguments:**

    - `field`: y -> dy/dt, trees.
    - `weights`: of the inner product, a tree prefix of w, or None.
    """
    flat, unravel = ravel_pytree(y0)
    num = sum(x.size for x in jax.tree.leaves(core(y0)))

    def flat_field(w: Any) -> Any:
        slope, _ = ravel_pytree(field(unravel(jnp.concatenate([w, flat[num:]]))))
        return slope[:num], slope[num:]

    return Equation(flat_field, psi[:num], bdf.gamma, _spread(weights, core(y0)), size)


def _spread(weights: Any, w: Any) -> Any:
    """A tree prefix of weights, one for each component, or 1."""
    if weights is None:
        return 1.0
    return ravel_pytree(trees.scaled(weights, jax.tree.map(jnp.ones_like, w)))[0]


def guessed(
    equation: Equation, bdf: Formula, history: History, prediction: Any, k: int
) -> Any:
    """The prediction, corrected by what the last k steps say of the field."""
    num = len(equation.psi)
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


def ended(equation: Equation, solution: Solution, psi: Any) -> tuple[Any, Any]:
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
