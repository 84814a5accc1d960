"""Instances of two-layer regression: Gaussian data, adversarial labels, random nets.

X (n, d) the data · y (n,) the labels · m the width · η₁, η₂ the rates of w and a.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._relu_kernel import relu_kernel_mean

TWO_LAYER_LABELS = ("gaussian", "signs", "least")
RELU_INITIALIZATIONS = ("lecun", "zero_output", "oymak")


@dataclasses.dataclass(frozen=True)
class TwoLayerInstance:
    """Data and a starting point: `X` (n, d), `y` (n,), `w0` {"w": (m, d), "a": (m,)}.

    `w0` fits `TwoLayerReLU(d, m)`.
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    w0: dict[str, Array]


def two_layer_instance(
    num_samples: int,
    dim: int,
    width: int,
    *,
    labels: str = "gaussian",
    initialization: str = "lecun",
    seed: int,
) -> TwoLayerInstance:
    """Gaussian data, labels that know nothing of the net, and a random net.

    x_i ~ N(0, I). The labels, each of size √n on the whole:

    - `"gaussian"`: y_i ~ N(0, 1), independent of X;
    - `"signs"`: their signs;
    - `"least"`: the adversary's choice who knows X but not the net, √n times the
        eigenvector of the least eigenvalue of `relu_kernel_mean(X)`, along which a net
        that follows its mean kernel learns slowest.

    **Arguments:** `num_samples`: n; `dim`: d; `width`: m; `labels`; `initialization`:
    as `relu_init`; `seed`: of `numpy.random.default_rng`, drawn from in the order X, y,
    w, a, so that instances that differ in the labels or the initialization share what
    they can.

    **Raises:** `ValueError` for a size below 1 or an unknown name.

    **References:** Razborov 2022 (arXiv 2212.02323).

    ```python
    >>> from gflow.models import two_layer_instance
    >>> data = two_layer_instance(50, 10, 8, seed=0)
    >>> print(data.X.shape, data.y.shape, data.w0["w"].shape, data.X[0, 0].round(8))
    (50, 10) (50,) (8, 10) 0.12573022

    ```
    """
    if min(num_samples, dim, width) < 1:
        raise ValueError(
            f"sizes must be at least 1, not {num_samples}, {dim} and {width}"
        )
    if labels not in TWO_LAYER_LABELS:
        known = ", ".join(TWO_LAYER_LABELS)
        raise ValueError(f"labels are one of {known}, not {labels!r}")
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((num_samples, dim)), rng.standard_normal(num_samples)
    w0 = relu_init(initialization, X, y, width, rng=rng)
    if labels == "signs":
        y = np.sign(y)
    if labels == "least":
        # The kernel of both layers at the rates that balance them, η₂/η₁ = d/m; of the
        # sign, which is arbitrary, the one that has the larger sum.
        kernel = relu_kernel_mean(X, width, rates=(1.0, dim / width))
        least = np.linalg.eigh(kernel)[1][:, 0]
        y = np.sqrt(num_samples) * least * (1.0 if np.sum(least) >= 0 else -1.0)
    return TwoLayerInstance(X, y, w0)


def relu_init(
    kind: str, X: Any, y: Any, width: int, *, rng: np.random.Generator
) -> dict[str, Array]:
    """Random weights of a two-layer net, from the literature on its convergence.

    - `"lecun"`: w_j ~ N(0, I/d), a_j ~ N(0, 1/m). Both layers are trained (Nguyen
        2021, section 3.2; Razborov 2022).
    - `"zero_output"`: w as LeCun's, a = 0, so that the net is 0 at first and the loss
        ½‖y‖². After Nguyen 2021: taken from there is only that output weights are
        small at the start.
    - `"oymak"`: w_j ~ N(0, I) for data of unit norm, and a fixed, ‖y‖/√(m n) for the
        first half of the units and the opposite for the others. After Oymak,
        Soltanolkotabi 2020: taken from there is a first layer that is Gaussian and
        trained alone, under fixed output weights of both signs and one size. Train it
        with rates (1, 0).

    **Arguments:** `kind`; `X` (n, d); `y` (n,); `width`: m; `rng`: drawn from in the
    order w, a.

    **Returns:** {"w": (m, d), "a": (m,)}, the parameters of `TwoLayerReLU(d, m)`.

    **Raises:** `ValueError` for an unknown kind.

    **Differs from the source:** for `"oymak"` the data need not have unit norm: w is
    divided by the root mean square of ‖x_i‖ instead, which gives the preactivations the
    same law. With an odd m one unit more has the first sign. The size of a is not
    claimed to be the source's, nor is a = 0.

    **References:** LeCun et al. 1998, "Efficient BackProp"; Nguyen 2021 (arXiv
    2101.09612); Oymak, Soltanolkotabi 2020 (arXiv 1902.04674).

    ```python
    >>> import numpy as np
    >>> from gflow.models import relu_init
    >>> X, y = np.eye(4), np.ones(4)
    >>> print(relu_init("oymak", X, y, 4, rng=np.random.default_rng(0))["a"])
    [ 0.5  0.5 -0.5 -0.5]

    ```
    """
    if kind not in RELU_INITIALIZATIONS:
        known = ", ".join(RELU_INITIALIZATIONS)
        raise ValueError(f"initialization is one of {known}, not {kind!r}")
    inputs = np.asarray(X, float)
    n, d = inputs.shape
    w, a = rng.standard_normal((width, d)), np.zeros(width)
    if kind == "oymak":
        w = w / np.sqrt(np.mean(np.sum(inputs**2, axis=1)))
        sign = np.where(np.arange(width) < (width + 1) // 2, 1.0, -1.0)
        a = sign * np.linalg.norm(y) / np.sqrt(width * n)
    else:
        w = w / np.sqrt(d)
        if kind == "lecun":
            a = rng.standard_normal(width) / np.sqrt(width)
    return {"w": jnp.asarray(w), "a": jnp.asarray(a)}
