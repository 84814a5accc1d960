"""What is RKC's alone: its coefficients, its stability interval, float32."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import Chebyshev

from gflow.solvers import RKC, ROCK4
from gflow.solvers._rkc import chebyshev, coefficients

# ε of the damping, as published.
EPSILON = 2 / 13


@pytest.mark.parametrize("j", [0, 1, 2, 3, 7, 40])
def test_chebyshev_values_next_to_one(j: int) -> None:
    """T_j, T_j' and T_j'' at 1 + ε/s² are those of numpy's Chebyshev series."""
    s = max(j, 2)
    delta = EPSILON / s**2
    series = Chebyshev.basis(j)
    x = 1 + delta
    exact = [series(x), series.deriv()(x), series.deriv(2)(x)]
    found = chebyshev(jnp.asarray(float(j)), jnp.asarray(delta))
    np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-13)


def test_chebyshev_values_hold_in_float32() -> None:
    """To a few units in the last place, where 1 + δ itself has lost half of δ."""
    j, delta = 300.0, EPSILON / 300**2
    wide = chebyshev(jnp.asarray(j), jnp.asarray(delta))
    narrow = chebyshev(jnp.float32(j), jnp.float32(delta))
    np.testing.assert_allclose(narrow, wide, rtol=2e-6)


@pytest.mark.parametrize("s", [2, 3, 10, 57])
def test_the_recurrence_acts_as_the_stability_polynomial(s: int) -> None:
    """On y' = z y it ends at a + b T_s(w0 + w1 z), which is 1 + z + z²/2 + O(z³)."""
    w0 = 1 + EPSILON / s**2
    series = Chebyshev.basis(s)
    slope, curvature = series.deriv()(w0), series.deriv(2)(w0)
    w1, b = slope / curvature, curvature / slope**2
    a = 1 - b * series(w0)
    z = -0.65 * (s**2 - 1) * np.linspace(0, 1, 41)
    term = diffrax.ODETerm(lambda t, y, args: jnp.asarray(z) * y)
    zero, one = jnp.zeros(()), jnp.ones(())
    swept = RKC().sweep(
        term, zero, one, jnp.ones(41), jnp.asarray(z), None, jnp.asarray(s)
    )
    found = 1 + np.asarray(swept.increment)
    np.testing.assert_allclose(found, a + b * series(w0 + w1 * z), atol=1e-11)
    # R(0), R'(0), R''(0) by the chain rule.
    np.testing.assert_allclose(
        [a + b * series(w0), b * w1 * slope, b * w1**2 * curvature], 1, rtol=1e-10
    )
    np.testing.assert_allclose(swept.slope, z * found, atol=1e-9 * s**2)


def test_stable_for_every_stage_count_on_its_interval() -> None:
    """R = a + b T_s(w0 + w1 z) has 0.3 ≤ R ≤ 0.97 once past z = 0, s ≤ 2000."""
    solver = RKC()
    s = np.arange(2, solver.max_stages + 1)
    delta = EPSILON / s**2
    value, slope, curvature = jax.vmap(chebyshev)(
        jnp.asarray(s, float), jnp.asarray(delta)
    )
    w1, b = np.asarray(slope / curvature), np.asarray(curvature / slope**2)
    a = 1 - b * np.asarray(value)
    # The most that `stages` asks of s: found by asking for it.
    claimed = 2 / 3 * (1 - 2 / 15 * EPSILON) * (s**2 - 1)
    np.testing.assert_array_equal(solver.stages(jnp.asarray(claimed * (1 - 1e-12))), s)
    # From -1 to 1 the argument of T_s stays where |T_s| ≤ 1, and a ± b is within
    # [0.3, 0.97]; beyond 1, up to w0, T_s rises to its value at z = 0, where R = 1.
    assert np.all(1 + delta - w1 * claimed >= -1)
    assert np.all((a + b < 0.97) & (a - b > 0.3))
    assert int(solver.stages(jnp.asarray(1e9))) == 0


def test_first_stage_has_no_memory() -> None:
    """Its μ, ν and γ̃ are zero: y1 = y0 + μ̃ h f(y0), with μ̃ = b₁ w1."""
    s = 5.0
    delta = jnp.asarray(EPSILON / s**2)
    _, slope, curvature = chebyshev(jnp.asarray(s), delta)
    w1 = slope / curvature
    mu, nu, mu_f, gamma = coefficients(jnp.asarray(1), delta, 1 + delta, w1)
    assert (float(mu), float(nu), float(gamma)) == (0.0, 0.0, 0.0)
    # b₁ = b₂ = T₂''/T₂'² = 4/(4 w0)².
    np.testing.assert_allclose(mu_f, w1 / (4 * (1 + delta) ** 2), rtol=1e-12)


def test_float32_throughout() -> None:
    """A stiff decay in float32: right to the tolerance, and no leaf is widened."""
    rates = jnp.asarray(np.geomspace(1, 1e4, 20), jnp.float32)
    y0 = (jnp.ones(20, jnp.float32), jnp.zeros((), jnp.float32))

    def field(t: Any, y: Any, args: Any) -> Any:
        return (-rates * y[0], jnp.sum(y[0]) / 20)

    t0, t1 = jnp.zeros((), jnp.float32), jnp.ones((), jnp.float32)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        RKC(),
        t0,
        t1,
        None,
        y0,
        stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-5),
        adjoint=diffrax.ForwardMode(),
    )
    assert solution.ys is not None
    assert {x.dtype.name for x in jax.tree.leaves(solution.ys)} == {"float32"}
    exact = np.exp(-np.geomspace(1, 1e4, 20))
    np.testing.assert_allclose(solution.ys[0][0], exact, atol=3e-3)
    # ∫ Σ e^{-rate t}/20 from 0 to 1.
    integral = np.mean((1 - exact) / np.geomspace(1, 1e4, 20))
    np.testing.assert_allclose(solution.ys[1][0], integral, rtol=1e-2)
    assert solution.stats["num_steps"] < 150


def test_rock4_refuses_float32() -> None:
    """With what to use instead."""
    term = diffrax.ODETerm(lambda t, y, args: -y)
    with pytest.raises(ValueError, match=r"ROCK4 needs float64.*float32.*RKC"):
        ROCK4().init(term, 0.0, 1.0, jnp.ones(2, jnp.float32), None)
