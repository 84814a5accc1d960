"""The mean tangent kernel of two-layer ReLU nets.

X (n, d) the data · m the width · η₁, η₂ the rates of w and a · θ_ij the angle between
x_i and x_j.
"""

from typing import Any

import numpy as np
from jaxtyping import Float


def relu_kernel_mean(
    X: Any, width: int, *, rates: tuple[float, float] = (1.0, 1.0)
) -> Float[np.ndarray, "n n"]:
    """Mean tangent kernel of a two-layer ReLU net over its LeCun initializations.

    With both layers at rates η₁, η₂ it is η₁ E K₁ + η₂ E K₂,

        (E K₁)_ij = x_iᵀx_j (π - θ_ij)/2π
        (E K₂)_ij = (m/d) ‖x_i‖ ‖x_j‖ (sin θ_ij + (π - θ_ij) cos θ_ij)/2π

    so that the second layer is m/d times as fast as the first, and η₂/η₁ = d/m balances
    them. K itself comes near it as m grows: `tangent_kernel` in `gflow.diagnostics`.

    **Arguments:** `X` (n, d); `width`: m; `rates`: (η₁, η₂).

    **References:** Cho, Saul 2009; Jacot, Gabriel, Hongler 2018.

    ```python
    >>> import numpy as np
    >>> from gflow.models import relu_kernel_mean
    >>> print(relu_kernel_mean(np.eye(2), 4, rates=(1.0, 0.0)).round(4))
    [[0.5 0. ]
     [0.  0.5]]

    ```
    """
    inputs = np.asarray(X, float)
    inner, norms = inputs @ inputs.T, np.linalg.norm(inputs, axis=1)
    sizes = np.outer(norms, norms)
    # Data at the origin see neither layer: their angle is arbitrary.
    cosine = np.clip(inner / np.where(sizes > 0, sizes, 1.0), -1.0, 1.0)
    # Of a datum with itself, where round-off of 1 would be an angle of its square root.
    np.fill_diagonal(cosine, 1.0)
    theta = np.arccos(cosine)
    first = inner * (np.pi - theta) / (2 * np.pi)
    second = sizes * (np.sin(theta) + (np.pi - theta) * cosine) / (2 * np.pi)
    return rates[0] * first + rates[1] * (width / inputs.shape[1]) * second
