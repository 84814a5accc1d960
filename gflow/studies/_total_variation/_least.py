"""The least of k-TV's objective over all functions: what a wide net could come to."""

import math

import numpy as np
from jaxtyping import Float


def least(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    order: int,
    strength: float,
    at: Float[np.ndarray, " m"],
) -> Float[np.ndarray, " m"]:
    """The minimizer of (1/N) Σ (f(x_i) - y_i)² + (strength/2) ∫ (f^(k))², at `at`.

    A polynomial of degree < k and Σ d_i G(x, x_i), G(x, t) = ∫ g(x - u) g(t - u) du,
    g(s) = max(s, 0)^(k-1)/(k-1)!, where (G + N λ) d + T c = y, Tᵀ d = 0,
    λ = strength/2. The integral is over all that lies between the points: f^(k) is 0
    beyond them (Wahba 1990, *Spline Models for Observational Data*, section 1.3).
    """
    low = min(x.min(), at.min())
    powers = np.arange(order)
    inner = _products(x, x, order, low) + len(x) * strength / 2 * np.eye(len(x))
    basis = (x - low)[:, None] ** powers
    system = np.block([[inner, basis], [basis.T, np.zeros((order, order))]])
    solved = np.linalg.solve(system, np.append(y, np.zeros(order)))
    d, c = solved[: len(x)], solved[len(x) :]
    return _products(at, x, order, low) @ d + (at - low)[:, None] ** powers @ c


def _products(
    a: Float[np.ndarray, " m"], b: Float[np.ndarray, " n"], order: int, low: float
) -> Float[np.ndarray, "m n"]:
    """G(a_i, b_j): of a polynomial of degree 2k - 2, so that k points are exact."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = (np.minimum(a[:, None], b) - low) / 2
    u = low + half[..., None] * (1 + nodes)
    values = ((a[:, None, None] - u) * (b[:, None] - u)) ** (order - 1)
    return half * (values @ weights) / math.factorial(order - 1) ** 2
