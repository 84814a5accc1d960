"""The cubic smoothing spline in closed form.

x_i the distinct sites in order, g_i the values there, γ_i the second derivatives, 0 at
both ends · Q, R the banded matrices with Qᵀ g = R γ.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import ArrayLike, Float


@dataclasses.dataclass(frozen=True)
class SmoothingSpline:
    """A natural cubic spline, called at any points; linear outside of its sites.

    - `x`, `g`, `gamma`: sites, values and second derivatives there.
    - `roughness`: ∫ (f'')² over the line, gᵀ Q R⁻¹ Qᵀ g.
    """

    x: Float[np.ndarray, " n"]
    g: Float[np.ndarray, " n"]
    gamma: Float[np.ndarray, " n"]
    roughness: float

    def __call__(self, at: ArrayLike) -> Float[np.ndarray, "..."]:
        """The spline's values."""
        x, g, gamma = self.x, self.g, self.gamma
        t = np.asarray(at, float)
        i = np.clip(np.searchsorted(x, t) - 1, 0, len(x) - 2)
        h = x[i + 1] - x[i]
        left, right = t - x[i], x[i + 1] - t
        bend = (1 + left / h) * gamma[i + 1] + (1 + right / h) * gamma[i]
        # Where γ vanishes at an end, the line goes on with the slope it has there.
        inside = (left * g[i + 1] + right * g[i]) / h - left * right * bend / 6
        h0, h1 = x[1] - x[0], x[-1] - x[-2]
        slope0 = (g[1] - g[0]) / h0 - h0 * gamma[1] / 6
        slope1 = (g[-1] - g[-2]) / h1 + h1 * gamma[-2] / 6
        below, above = g[0] + slope0 * (t - x[0]), g[-1] + slope1 * (t - x[-1])
        return np.where(t < x[0], below, np.where(t > x[-1], above, inside))


def smoothing_spline(
    x: ArrayLike | Sequence[float], y: ArrayLike | Sequence[float], lam: float
) -> SmoothingSpline:
    """Minimize (1/N) Σ (f(x_i) - y_i)² + λ ∫ (f'')² over all functions.

    The minimizer is the natural cubic spline with knots at the data (Reinsch):
    (R + N λ Qᵀ W⁻¹ Q) γ = Qᵀ ȳ, g = ȳ - N λ W⁻¹ Q γ, where equal sites are one datum
    with their mean and weight.

    **Arguments:** `x`, `y`: data, (N,), at least three different x; `lam`: λ ≥ 0,
    0 for the natural cubic spline through the data.

    **Raises:** `ValueError` for fewer sites or λ < 0.

    **Cost:** O(N³), dense.

    **References:** Reinsch 1967; Green, Silverman 1994, *Nonparametric Regression and
    Generalized Linear Models*, section 2.3.

    ```python
    >>> import numpy as np
    >>> from gflow.models import smoothing_spline
    >>> spline = smoothing_spline([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 5.0, 7.0], 1.0)
    >>> print(spline(np.array([-1.0, 0.5, 4.0])).round(6))  # a line stays one
    [-1.  2.  9.]

    ```
    """
    sites, index, count = np.unique(
        np.asarray(x, float), return_inverse=True, return_counts=True
    )
    targets = np.asarray(y, float)
    if len(sites) < 3 or not 0 <= lam < np.inf:
        raise ValueError(
            f"expected three different x and lam >= 0, not {len(sites)}, {lam}"
        )
    means = np.bincount(index, weights=targets) / count
    n, h = len(sites), np.diff(sites)
    Q, R = np.zeros((n, n - 2)), np.zeros((n - 2, n - 2))
    j = np.arange(n - 2)
    Q[j, j], Q[j + 1, j], Q[j + 2, j] = 1 / h[:-1], -1 / h[:-1] - 1 / h[1:], 1 / h[1:]
    R[j, j] = (h[:-1] + h[1:]) / 3
    R[j[:-1], j[1:]] = R[j[1:], j[:-1]] = h[1:-1] / 6
    spread = len(targets) * lam * (Q / count[:, None])
    inner = np.linalg.solve(R + Q.T @ spread, Q.T @ means)
    gamma = np.concatenate([[0.0], inner, [0.0]])
    return SmoothingSpline(
        sites, means - spread @ inner, gamma, float(inner @ R @ inner)
    )
