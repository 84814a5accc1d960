"""The coefficients of ROCK4, apart from any integration."""

import functools
import itertools
from typing import Any

import numpy as np
import pytest

from gflow.solvers._rock4_coefficients import (
    Finish,
    Recurrence,
    conditions,
    finish,
    length,
    recurrence,
    solve,
    table,
)
from gflow.solvers._rock4_table import PARAMETERS

STAGES = sorted(PARAMETERS)


@functools.cache
def _method(s: int) -> tuple[Recurrence, Finish]:
    row = recurrence(s)
    return row, finish(row)


def _tableau(s: int) -> tuple[np.ndarray, np.ndarray]:
    """The Butcher tableau of the whole step, written out from its definition."""
    row, end = _method(s)
    # g_j = y0 + h Σ_i G[j, i] f(stage i); the stages are g_0..g_{s-4} and three more.
    G = np.zeros((s - 3, s))
    for j in range(1, s - 3):
        G[j] = row.nu[j - 1] * G[j - 1]
        if j > 1:
            G[j] += row.kappa[j - 1] * G[j - 2]
        G[j, j - 1] += row.mu[j - 1]
    A = np.zeros((s, s))
    A[: s - 3] = G
    for i in range(1, 4):
        A[s - 4 + i] = G[-1]
        A[s - 4 + i, s - 4 :] += end.a[i]
    b = G[-1].copy()
    b[s - 4 :] += end.b
    return A, b


@pytest.mark.parametrize("s", STAGES)
def test_all_eight_order_conditions_hold(s: int) -> None:
    """Every tree of up to four nodes has the weight that it has in the exact flow."""
    A, b = _tableau(s)
    c = A.sum(axis=1)
    weights = [
        b.sum(),
        b @ c,
        b @ c**2,
        b @ A @ c,
        b @ c**3,
        b @ (c * (A @ c)),
        b @ A @ c**2,
        b @ A @ A @ c,
    ]
    # 1/γ of τ, [τ], [τ,τ], [[τ]], [τ,τ,τ], [τ,[τ]], [[τ,τ]], [[[τ]]].
    exact = [1, 1 / 2, 1 / 3, 1 / 6, 1 / 4, 1 / 8, 1 / 12, 1 / 24]
    np.testing.assert_allclose(weights, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("s", STAGES)
def test_the_error_estimate_vanishes_to_third_order(s: int) -> None:
    """On the four trees of up to three nodes its weights are zero, on a fourth not."""
    A, _ = _tableau(s)
    e = _method(s)[1].e
    middle = A[(s - 4) // 2]
    weight = e[0] * (A[s - 4] - middle)
    weight[s - 4 :] += e[1:]
    c = A.sum(axis=1)
    low = [weight.sum(), weight @ c, weight @ c**2, weight @ A @ c]
    np.testing.assert_allclose(low, 0, atol=1e-10)
    assert abs(weight @ A @ A @ c) > 1e-3


def _on_the_interval(s: int, z: np.ndarray) -> dict[str, Any]:
    """Stability function, its internal stages and the estimate, by the definition."""
    row, end = _method(s)
    stages = [np.ones_like(z)]
    for j, (mu, nu, kappa) in enumerate(zip(row.mu, row.nu, row.kappa, strict=True)):
        before = stages[j - 1] if j else 0
        stages.append((mu * z + nu) * stages[j] + kappa * before)
    g, middle = stages[-1], stages[(s - 4) // 2]
    K: list[Any] = []
    for i in range(4):
        K.append(g + z * sum((end.a[i, j] * K[j] for j in range(i)), 0))
    R = g + z * sum(b * k for b, k in zip(end.b, K, strict=True))
    E = end.e[0] * (g - middle) + z * sum(
        e * k for e, k in zip(end.e[1:], K, strict=True)
    )
    return {"stages": stages, "finish": K, "R": R, "E": E}


@functools.cache
def _function(s: int) -> tuple[np.ndarray, dict[str, Any]]:
    z = _grid(s)
    return z, _on_the_interval(s, z)


def _grid(s: int) -> np.ndarray:
    # Chebyshev spacing resolves the ripples at both ends.
    return -length(s) * np.sin(np.linspace(0, np.pi / 2, 40 * s)) ** 2


@pytest.mark.parametrize("s", STAGES)
def test_stable_and_damped_on_the_whole_interval(s: int) -> None:
    """|R| ≤ 1 on [-l, 0], ≤ 0.95 below z = -1, and no stage grows on the way."""
    z, found = _function(s)
    # Round-off of the last factors is magnified by l⁴/100, as it is in a step.
    noise = 1e-15 * length(s) ** 4 / 100
    assert np.abs(found["R"]).max() <= 1 + 1e-12 + noise
    assert np.abs(found["R"][z < -1]).max() <= 0.95 + noise
    assert max(np.abs(g).max() for g in found["stages"]) <= 1 + 1e-12
    assert max(np.abs(k[z < -3]).max() for k in found["finish"]) < 3


def test_the_interval_grows_as_the_square_of_the_stages() -> None:
    """l/s² rises to 0.353; with 20 stages it is above 0.34."""
    shares = np.array([length(s) / s**2 for s in STAGES])
    assert np.all(np.diff(shares) > 0)
    assert shares[STAGES.index(20)] > 0.34
    assert 0.352 < shares[-1] < 0.354


@pytest.mark.parametrize("s", [6, 8, 20, 60, 127])
def test_beyond_the_interval_both_solution_and_estimate_grow(s: int) -> None:
    """With ρ underestimated the step is unstable, and its estimate says so."""
    found = _on_the_interval(s, np.array([-1.3 * length(s)]))
    assert abs(found["R"][0]) > 3
    assert abs(found["E"][0]) > 0.9 * abs(found["R"][0])


@pytest.mark.parametrize("s", STAGES)
def test_the_estimate_is_the_true_error_on_stiff_modes(s: int) -> None:
    """Root mean square over a band it is 0.87 to 3 times R - exp; next to 0 far above.

    At single z, near the zeros of R, it falls short.
    """
    z, found = _function(s)
    error = found["R"] - np.exp(z)

    def ratio(low: float, high: float) -> float:
        band = (z > low) & (z < high)
        return float(
            np.sqrt(np.mean(found["E"][band] ** 2) / np.mean(error[band] ** 2))
        )

    assert ratio(-1, -0.3) > 2.5
    assert ratio(-3, -1) > 1.2
    edges = np.geomspace(3, length(s), max(2, int(np.log2(length(s)))))
    for near, far in itertools.pairwise(edges):
        assert 0.86 < ratio(-far, -near) < 3


@pytest.mark.parametrize("s", [6, 17, 40, 101])
def test_the_table_is_what_its_conditions_give(s: int) -> None:
    """Newton's method from numbers 1 % off comes back to the row."""
    row = np.array(PARAMETERS[s])
    assert np.abs(conditions(row, s)).max() < 1e-9
    off = row * (1 + 0.01 * np.array([1, -1, 1, -1, 1]))
    np.testing.assert_allclose(solve(s, off), row, rtol=1e-9)


def test_the_smallest_method_in_closed_form() -> None:
    """With one stage before the finish, P = 1 + μ z is zero at P's only zero."""
    # The only P_1 is x - α, α = ∫x w²/∫w² over the Chebyshev weight: with x = a + d z,
    # P = 1 + d z/(a - α), from α by a quadrature that is not the generator's.
    p, q, p2, q2, scale = PARAMETERS[5]
    theta = np.linspace(0, np.pi, 20001)
    xi = 25 * (1 - np.cos(theta))
    w = ((xi - p) ** 2 + q**2) * ((xi - p2) ** 2 + q2**2)
    x = np.cos(theta)
    alpha = float(np.trapezoid(x * w**2, theta) / np.trapezoid(w**2, theta))
    mu = (scale / 25) / (1 - 1 / 25 - alpha)
    np.testing.assert_allclose(recurrence(5).mu, [mu], rtol=1e-9)


def test_the_table_holds_every_row_where_it_says() -> None:
    """Look-up by start and length gives back each recurrence."""
    rows = table()
    for at in (0, 3, len(STAGES) - 1):
        s = STAGES[at]
        assert rows.stages[at] == s
        part = slice(rows.start[at], rows.start[at] + s - 4)
        np.testing.assert_array_equal(rows.mu[part], recurrence(s).mu)
        np.testing.assert_array_equal(rows.nu[part], recurrence(s).nu)
        assert rows.length[at] == length(s)
