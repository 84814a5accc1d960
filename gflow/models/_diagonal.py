"""Diagonal linear networks: x is an elementwise product of weights.

L `depth` · x `effective(w)` · A, y the data, predictions A x · u, v the positive and
the negative half of the weights.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ..problem import EmpiricalRisk, half_sum_squares

# {"u": array} or, signed, {"u": array, "v": array}.
Halves = dict[str, Float[Array, "..."]]


class DiagonalNet(eqx.Module):
    """Diagonal linear network of any depth, the model x = u^L or x = u^L - v^L.

    Powers are elementwise. Its parameters are a dict of halves, {"u": ...} for x ≥ 0
    and {"u": ..., "v": ...} for x of either sign. Each half is one vector shared by
    all layers, of shape (size,), or one vector a layer, of shape (depth, size), whose
    product over layers takes the place of the power. Layers that start equal stay
    equal, and then move as the shared vector does at 1/L of its speed.

    **Arguments:**

    - `size`: N, the length of x.
    - `depth`: L ≥ 1.
    - `signed`: whether there is a negative half.
    - `layerwise`: whether each layer has its own vector; L ≥ 2.

    **Raises:** `ValueError` for a size or depth out of range.

    **References:** Chou, Rauhut, Ward 2023 (arXiv 2305.05448); Woodworth et al. 2020
    (arXiv 2002.09277).

    ```python
    >>> from gflow.models import DiagonalNet
    >>> net = DiagonalNet(3, depth=2, signed=True)
    >>> w0 = net.init(0.5, 0.25)
    >>> print(net.effective(w0))
    [0.1875 0.1875 0.1875]

    ```
    """

    size: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    signed: bool = eqx.field(static=True)
    layerwise: bool = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        depth: int = 2,
        *,
        signed: bool = False,
        layerwise: bool = False,
    ) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        if depth < 1 + layerwise:
            raise ValueError(
                f"depth must be at least {1 + layerwise}"
                f"{' with a vector for each layer' if layerwise else ''}, not {depth}"
            )
        self.size = size
        self.depth = depth
        self.signed = signed
        self.layerwise = layerwise

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of each half of the parameters."""
        return (self.depth, self.size) if self.layerwise else (self.size,)

    def init(self, alpha: ArrayLike, alpha_v: ArrayLike | None = None) -> Halves:
        """Parameters u = alpha and, signed, v = alpha_v (default: alpha).

        **Arguments:** a number, or an array that broadcasts to `shape`: one entry a
        coordinate, or with layers one row a layer.

        **Raises:** `ValueError` if it does not broadcast, is not finite, or a negative
        half is given to a net that has none.
        """
        if alpha_v is not None and not self.signed:
            raise ValueError("alpha_v is the negative half, and this net has none")
        given = {"u": alpha}
        if self.signed:
            given["v"] = alpha if alpha_v is None else alpha_v
        return {name: self._filled(value) for name, value in given.items()}

    def effective(self, w: Halves) -> Float[Array, " n"]:
        """The vector x that the weights stand for."""
        x = self._product(w["u"])
        return x - self._product(w["v"]) if self.signed else x

    def __call__(self, w: Halves, A: Float[Array, "m n"]) -> Float[Array, " m"]:
        """Predictions A x."""
        return A @ self.effective(w)

    def problem(
        self,
        A: ArrayLike,
        y: ArrayLike,
        *,
        criterion: Callable[[Any, Any], Any] = half_sum_squares,
    ) -> EmpiricalRisk:
        """Sparse regression, L(w) = ½‖A x(w) - y‖², `A` of shape (M, N), `y` (M,).

        Or any other `criterion` of the predictions and y: with `exponential_loss` and
        y of signs, classification.
        """
        return EmpiricalRisk(self, *checked_data(self, A, y), criterion=criterion)

    def _product(self, half: Array) -> Array:
        if self.layerwise:
            return functools.reduce(operator.mul, half)
        return half**self.depth

    def _filled(self, value: ArrayLike) -> Array:
        array = jnp.asarray(value, dtype=float)
        if not bool(jnp.all(jnp.isfinite(array))):
            raise ValueError("initial weights must be finite")
        if jnp.broadcast_shapes(array.shape, self.shape) != self.shape:
            raise ValueError(
                f"initial weights of shape {array.shape} do not broadcast to "
                f"{self.shape}"
            )
        return jnp.broadcast_to(array, self.shape)


def checked_data(net: DiagonalNet, A: Any, y: Any) -> tuple[Array, Array]:
    """Data as floating arrays, or `ValueError` if their shapes do not fit the net."""
    inputs, targets = jnp.asarray(A, dtype=float), jnp.asarray(y, dtype=float)
    expected = (targets.size, net.size)
    if inputs.shape != expected or targets.ndim != 1:
        raise ValueError(
            f"A must have shape (M, {net.size}) and y (M,), not {inputs.shape}, "
            f"{targets.shape}"
        )
    return inputs, targets
