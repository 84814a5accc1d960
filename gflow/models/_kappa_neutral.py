"""The rate ratio at which weight normalization neither helps nor hurts."""

import numpy as np
from jaxtyping import ArrayLike, Float


def kappa_neutral(radius0: ArrayLike, radius: ArrayLike) -> Float[np.ndarray, "..."]:
    """Rate ratio at which a normalized flow ends where the plain one does.

        κ = 2 log(r/r0) / (r² - r0²),

    r0 the norm of the weights at the start and r that at the limit of the polar flow.
    There the effective initial weights are the ones given. Where the norm grows,
    r > r0, a larger κ makes them smaller and so the bias to sparse vectors stronger;
    where it shrinks, a smaller κ does. It tends to 1/r² for r0 → r.

    **Arguments:** positive numbers, or arrays that broadcast together.

    **Raises:** `ValueError` if a norm is not positive and finite.

    ```python
    >>> from gflow.models import kappa_neutral
    >>> print(kappa_neutral(0.1, 1.0).round(4))
    4.6517

    ```
    """
    first, last = np.broadcast_arrays(np.asarray(radius0, float), radius)
    for norm in (first, last):
        if not np.all((norm > 0) & np.isfinite(norm)):
            raise ValueError(f"norms must be positive and finite, not {norm}")
    # With q = r/r0 it is 2 log q/(q² - 1) / r0². Near 1 numerator and denominator have
    # small relative errors: q - 1 is exact, and log q that of the same q.
    ratio = last / first
    delta = (ratio - 1) * (ratio + 1)
    safe = np.where(delta == 0, 1.0, delta)
    quotient = np.where(delta == 0, 1.0, 2 * np.log(ratio) / safe)
    return np.asarray(quotient / first**2)
