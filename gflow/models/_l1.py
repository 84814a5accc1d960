"""Sparsest interpolation: the ℓ1 minimizer, and how far from it a flow can end."""

from typing import Any, cast

import numpy as np
from jaxtyping import ArrayLike, Float


def l1_minimizer(
    A: ArrayLike, y: ArrayLike, *, nonnegative: bool = False
) -> Float[np.ndarray, " n"]:
    """Minimize ‖x‖₁ over {A x = y}, and over x ≥ 0 as well if asked (basis pursuit).

    Solved as a linear program by HiGHS' dual simplex, so that the answer is a vertex,
    then polished by least squares on its support, as HiGHS works to 1e-7.

    **Arguments:** `A`: (M, N); `y`: (M,).

    **Returns:** x, shape (N,).

    **Raises:** `ValueError` if nothing interpolates the data.

    ```python
    >>> import numpy as np
    >>> from gflow.models import l1_minimizer
    >>> print(l1_minimizer(np.array([[1.0, 2.0]]), np.array([2.0])))
    [0. 1.]

    ```
    """
    from scipy.optimize import linprog

    data, targets = np.asarray(A, dtype=float), np.asarray(y, dtype=float)
    columns = data if nonnegative else np.hstack([data, -data])
    solution: Any = cast(Any, linprog)(
        np.ones(columns.shape[1]), A_eq=columns, b_eq=targets, method="highs-ds"
    )
    if solution.status != 0:
        raise ValueError(f"no ℓ1 minimizer: {solution.message}")
    raw = np.asarray(solution.x)
    x = raw if nonnegative else raw[: data.shape[1]] - raw[data.shape[1] :]
    support = np.abs(x) > 1e-9 * np.max(np.abs(x))
    polished = np.zeros_like(x)
    polished[support] = np.linalg.lstsq(data[:, support], targets, rcond=None)[0]
    # A vertex is determined by its support; keep the raw answer where that fails.
    same_signs = bool(np.all(polished * x >= 0))
    closer = np.linalg.norm(data @ polished - targets) <= np.linalg.norm(
        data @ x - targets
    )
    return polished if same_signs and closer else x


def l1_excess_bound(
    x0: ArrayLike, l1_min: float, *, kappa: float | None = None
) -> float:
    """Upper bound on (‖x∞‖₁ - Q)/Q for the limit of a depth-2 flow.

    With β1 = Σ x0, βmin = min x0 and Q the least ℓ1 norm of an interpolator,

        plain: log(β1/βmin)/log(Q/β1)
        weight-normalized: log(β1/βmin)/(κ(Q - β1))

    from the potential at the limit against the potential at the minimizer. Holds for
    L = 2, one joint norm and β1 < Q.

    **Arguments:**

    - `x0`: the squares of all initial weights, u and v alike.
    - `l1_min`: Q.
    - `kappa`: rate of the polar flow (rate over ‖V‖² for the standard kind), or None
        for the plain flow.

    **Returns:** the bound, inf if β1 ≥ Q.

    **References:** Chou, Rauhut, Ward 2023 (arXiv 2305.05448).

    ```python
    >>> import numpy as np
    >>> from gflow.models import l1_excess_bound
    >>> print(f"{l1_excess_bound(np.full(40, 1e-4), 2.2, kappa=10.0):.3f}")
    0.168

    ```
    """
    start = np.asarray(x0, dtype=float)
    if not np.all(start > 0):
        raise ValueError("the bound needs initial weights that are not zero")
    total, least = float(start.sum()), float(l1_min)
    if total >= least:
        return float("inf")
    spread = float(np.log(total / start.min()))
    if kappa is None:
        return spread / float(np.log(least / total))
    return spread / (kappa * (least - total)) if kappa else float("inf")
