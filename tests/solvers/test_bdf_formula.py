"""The coefficients of backward differentiation, apart from any integration."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.solvers._bdf_formula import formula

_UNEVEN = np.array([0.0, -0.7, -1.1, -2.5, -2.9, -4.0, -4.2])


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_equal_steps_give_the_textbook_formulas(order: int) -> None:
    """γ/h = 1/H_q and the error constant 1/((q + 1) H_q), H_q = 1 + 1/2 + ... + 1/q."""
    bdf = formula(jnp.asarray(1.0), -jnp.arange(7.0), jnp.asarray(order))
    harmonic = sum(1 / k for k in range(1, order + 1))
    np.testing.assert_allclose(bdf.gamma, 1 / harmonic, rtol=1e-14)
    np.testing.assert_allclose(
        bdf.constants[1], 1 / ((order + 1) * harmonic), rtol=1e-14
    )
    if order == 2:  # y = 4/3 y_0 - 1/3 y_1 + 2/3 h f
        np.testing.assert_allclose(bdf.psi[:3], [4 / 3, -1 / 3, 0], atol=1e-14)
    if order == 3:  # 18/11, -9/11, 2/11
        np.testing.assert_allclose(bdf.psi[:3] * 11, [18, -9, 2], rtol=1e-13)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_exact_for_polynomials_on_any_grid(order: int) -> None:
    """Order q is exact up to degree q; its error on degree q + 1 is the one told."""
    t = 0.6
    bdf = formula(jnp.asarray(t), jnp.asarray(_UNEVEN), jnp.asarray(order))
    for degree in range(order + 2):
        y, slope = (t + 3.0) ** degree, degree * (t + 3.0) ** max(degree - 1, 0)
        past = (_UNEVEN + 3.0) ** degree
        residual = y - (bdf.psi @ past + bdf.gamma * slope)
        told = bdf.constants[1] * (y - bdf.predictors[1] @ past)
        if degree <= order:
            assert abs(residual) < 1e-11 * max(1.0, np.max(np.abs(past)))
        else:
            # y from the formula is off by -residual: it lags by the error told.
            np.testing.assert_allclose(residual, -told, rtol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_stiff_modes_decay(order: int) -> None:
    """On the negative real axis all roots of the characteristic equation are inside."""
    bdf = formula(jnp.asarray(1.0), -jnp.arange(7.0), jnp.asarray(order))
    for z in -np.geomspace(1e-3, 1e8, 23):
        # y_n (1 - γ z) = Σ ψ_i y_{n-1-i}
        lead = 1 - float(bdf.gamma) * z
        roots = np.roots([lead, *(-np.asarray(bdf.psi)[:order])])
        assert np.max(np.abs(roots)) < 1
        if z < -1e6:
            assert np.max(np.abs(roots)) < 0.1


_compiled = jax.jit(formula)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0])
def test_the_estimate_is_at_or_above_the_error_of_a_step(
    order: int, spacing: float
) -> None:
    """On linear modes with h|λ| from 1e-3 to 1e4, decaying or driven, no shortfall.

    Driven slowly, it is more than 1 + γ|λ| times the error.
    """
    times = -spacing * np.arange(7.0)
    used = np.arange(7) <= order
    bdf = jax.tree.map(np.asarray, _compiled(1.0, times, order))

    def step(z: float, past: Any, drive: float) -> tuple[float, float]:
        past = np.where(used, past, 0)
        y = (bdf.psi @ past + bdf.gamma * drive) / (1 + bdf.gamma * z)
        return y, bdf.constants[1] * abs(y - bdf.predictors[1] @ past)

    for z in np.geomspace(1e-3, 1e4, 57):
        # y' = -z (y - g) + g' from and at g = t^(order + 1), which is 1 at the end.
        y, told = step(z, times ** (order + 1), z + order + 1)
        assert told >= (1 + bdf.gamma * z) * abs(y - 1) * (1 - 1e-6)
        # y' = -z y, scaled to 1 at the oldest point that is used; beyond z = 50 that
        # past spans more than doubles do.
        if z < 50:
            y, told = step(z, np.exp(-z * (times - times[order])), 0.0)
            assert told >= abs(y - np.exp(-z * (1 - times[order]))) - 1e-14
