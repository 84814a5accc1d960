"""One step of Tsitouras' 5(4) pair with its continuous extension as a polynomial."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

NUM_STAGES = 7
# The stage whose time lies nearest to the middle of the step, and that time.
MIDDLE, MIDDLE_TIME = 2, 0.327


def _weights() -> Float[np.ndarray, "7 ..."]:
    """The b_i(θ) of the free interpolant, as coefficients of θ, θ², θ³, θ⁴.

    Tsitouras 2011, from the factored form in which they are commonly given.
    """
    quadratics = (
        (0.1017, -0.1017 * 2.1966568338249754, 0.1017 * 1.2949852507374631),
        tuple(
            2.490627285651252793 * c
            for c in (1, -2.38535645472061657, 1.57803468208092486)
        ),
        _product(-16.54810288924490272, 1.21712927295533244, 0.61620406037800089),
        _product(47.37952196281928122, 1.203071208372362603, 0.658047292653547382),
        _product(-34.87065786149660974, 1.2, 0.666666666666666667),
        _product(2.5, 1.0, 0.6),
    )
    first = -1.0530884977290216 * np.polymul(
        (1, -1.3299890189751412), (1, -1.4364028541716351, 0.7139816917074209)
    )
    rows = [first[::-1]] + [np.array([0.0, *q[::-1]]) for q in quadratics]
    return np.stack(rows)


def _product(scale: float, one: float, other: float) -> tuple[float, float, float]:
    return scale, -scale * (one + other), scale * one * other


DENSE = _weights()


def _matrix() -> Float[np.ndarray, "7 ..."]:
    tableau = diffrax.Tsit5.tableau
    rows = [np.zeros(NUM_STAGES)]
    rows += [np.pad(row, (0, NUM_STAGES - len(row))) for row in tableau.a_lower]
    return np.stack(rows)


class Step(eqx.Module):
    """A step of length h from y0: y(θ) = y0 + Σ_k coefficients_k θ^k."""

    y1: Float[Array, " n"]
    error: Float[Array, " n"]
    # Field at the end, and at the stage in the middle the state.
    k1: Float[Array, " n"]
    y_middle: Float[Array, " n"]
    coefficients: Float[Array, "4 n"]
    # What the field gave beside its value, stage by stage from the second.
    extras: Any


def tsit5(
    field: Callable[[Any, Any], tuple[Any, Any]], t: Any, y0: Any, k0: Any, h: Any
) -> Step:
    """One step of y' = field(t, y)[0] on a flat vector; k0 is the field at its start.

    **Cost:** six evaluations of the field.

    **References:** Tsitouras 2011 (Computers & Mathematics with Applications 62).
    """
    tableau = diffrax.Tsit5.tableau
    A = jnp.asarray(_matrix(), y0.dtype)
    c = jnp.asarray(np.concatenate([[0.0], tableau.c]), y0.dtype)
    ks = jnp.zeros((NUM_STAGES, *k0.shape), y0.dtype).at[0].set(k0)

    def stage(ks: Any, i: Any) -> tuple[Any, Any]:
        y = y0 + h * (A[i] @ ks)
        k, extra = field(t + c[i] * h, y)
        return ks.at[i].set(k), extra

    ks, extras = jax.lax.scan(stage, ks, jnp.arange(1, NUM_STAGES))
    return Step(
        y1=y0 + h * (A[-1] @ ks),
        error=h * (jnp.asarray(tableau.b_error, y0.dtype) @ ks),
        k1=ks[-1],
        y_middle=y0 + h * (A[MIDDLE] @ ks),
        coefficients=h * (jnp.asarray(DENSE.T, y0.dtype) @ ks),
        extras=extras,
    )


def evaluate(y0: Any, coefficients: Any, theta: Any) -> Any:
    """y(θ)."""
    powers = theta ** jnp.arange(1, 5)
    return y0 + powers @ coefficients
