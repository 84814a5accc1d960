"""A rule that averages even polynomials over directions exactly."""

import numpy as np
from jaxtyping import Float


def sphere_rule(
    dim: int, degree: int
) -> tuple[Float[np.ndarray, "n dim"], Float[np.ndarray, " n"]]:
    """Unit vectors v_i and weights with Σ w_i p(v_i) = mean of p over all directions.

    Exact for polynomials p of at most this even degree with p(-v) = p(v). On the circle
    these are trigonometric polynomials of period π, which equal angles average. Above,
    v = (t, √(1 - t²) u) with u a direction in one dimension less, over which p averages
    to a polynomial in t but for odd powers of both, and t has the density
    (1 - t²)^{(d - 3)/2}: a Gauss-Gegenbauer rule for t, whose symmetry cancels the odd
    powers, times the rule for u.

    **Arguments:** `dim`: d ≥ 1; `degree`: even, ≥ 0.

    **Returns:** directions, shape (n, d), and weights of sum 1, shape (n,).

    **Cost:** n = (degree/2 + 1)^{d - 1} directions.

    **References:** Stroud 1971, *Approximate Calculation of Multiple Integrals*, §2.6;
    Golub, Welsch 1969 for the rule in t.

    ```python
    >>> from gflow.models._sphere_rule import sphere_rule
    >>> v, weights = sphere_rule(3, 4)
    >>> print(f"{float(weights @ v[:, 0] ** 4):.6f}")  # 3/(d (d + 2))
    0.200000

    ```
    """
    num = degree // 2 + 1
    if dim == 1:
        return np.ones((1, 1)), np.ones(1)
    if dim == 2:
        angles = np.pi * np.arange(num) / num
        v = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return v, np.full(num, 1 / num)
    u, inner = sphere_rule(dim - 1, degree)
    t, outer = _gegenbauer(num, dim / 2 - 1)
    scaled = np.sqrt(1 - t**2)[:, None, None] * u
    first = np.broadcast_to(t[:, None, None], (num, len(u), 1))
    v = np.concatenate([first, scaled], axis=2).reshape(-1, dim)
    return v, np.outer(outer, inner).ravel()


def _gegenbauer(
    num: int, power: float
) -> tuple[Float[np.ndarray, " num"], Float[np.ndarray, " num"]]:
    """Gauss's rule for means with density (1 - t²)^{power - 1/2}, power > 0."""
    n = np.arange(1.0, num)
    beside = n * (n + 2 * power - 1) / (4 * (n + power) * (n + power - 1))
    matrix = np.diag(np.sqrt(beside), 1)
    nodes, vectors = np.linalg.eigh(matrix + matrix.T)
    return nodes, vectors[0] ** 2
