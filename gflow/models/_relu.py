"""Networks of piecewise linear units.

x_i the data, n of them in d dimensions · w_j, a_j the weights into and out of unit j ·
z_ij = w_jᵀ x_i the preactivation · σ the activation.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from .._types import Params
from ..problem import (
    Activate,
    DenseNormals,
    EmpiricalRisk,
    Metric,
    Normals,
    PiecewiseModel,
    Rates,
    activation,
    checked_slopes,
    gate,
    take,
)


class TwoLayerReLU(PiecewiseModel):
    """Two-layer network f(x) = Σ_j a_j σ(w_jᵀ x), of ReLU or other kinked units.

    Its parameters are {"w": (width, dim), "a": (width,)}; a bias is a feature that is
    constant. On its kinks gradient flow is the Filippov solution, which an
    `EmpiricalRisk` of this model asks for.

    **Arguments:**

    - `dim`: d, the length of x; `width`: m, the number of units.
    - `slopes`: (low, high) of σ left and right of 0: (0, 1) for ReLU, (0.1, 1) for a
        leaky one, (-1, 1) for the absolute value.

    **Raises:** `ValueError` for a size below 1 or slopes that do not rise.

    **References:** Razborov 2022 (arXiv 2212.02323).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import TwoLayerReLU
    >>> net = TwoLayerReLU(2, 1)
    >>> w = {"w": jnp.array([[1.0, -1.0]]), "a": jnp.array([-2.0])}
    >>> print(net(w, jnp.array([[3.0, 1.0], [1.0, 3.0]])))
    [-4.  0.]

    ```
    """

    dim: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    def __init__(
        self, dim: int, width: int, *, slopes: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        if dim < 1 or width < 1:
            raise ValueError(f"dim and width must be at least 1, not {dim}, {width}")
        self.dim = dim
        self.width = width
        self.low, self.high = checked_slopes(slopes)

    def init(self, *, key: Any) -> dict[str, Array]:
        """LeCun's: w_j ~ N(0, I/d), a_j ~ N(0, 1/m)."""
        for_w, for_a = jax.random.split(key)
        w = jax.random.normal(for_w, (self.width, self.dim), float)
        a = jax.random.normal(for_a, (self.width,), float)
        return {"w": w / self.dim**0.5, "a": a / self.width**0.5}

    def apply(
        self, w: Params, inputs: Float[Array, "n d"], activate: Activate
    ) -> Float[Array, " n"]:
        """Predictions with `activate` in the place of σ."""
        return activate(inputs @ w["w"].T) @ w["a"]

    def __call__(self, w: Params, inputs: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Predictions f(x_i)."""
        return self.apply(w, inputs, activation(self.low, self.high))

    def problem(
        self, X: ArrayLike, y: ArrayLike, *, rates: tuple[float, float] | None = None
    ) -> EmpiricalRisk:
        """Square loss ½‖f(X) - y‖², `X` (n, d), `y` (n,), `rates` (η₁, η₂) of w, a."""
        return _square_loss(self, X, y, self.dim, _two_rates(rates))

    def normals(
        self,
        w: Params,
        inputs: Float[Array, "n d"],
        slopes: Float[Array, " p"],
        pairs: Int[Array, " c"],
        metric: Metric | None,
    ) -> Normals | None:
        """∇z_ij is x_i in the row of unit j: no reverse pass."""
        if not isinstance(metric, Rates | None):
            return None
        rows = jnp.take(inputs, pairs // self.width, axis=0, mode="fill", fill_value=0)
        ones = {"w": jnp.ones((1, 1), rows.dtype), "a": jnp.ones((1,), rows.dtype)}
        rate = 1.0 if metric is None else metric.inverse_apply(w, ones)["w"][0, 0]
        return UnitNormals(
            rows, pairs % self.width, w["a"], jnp.asarray(rate, rows.dtype)
        )

    def max_held(self, w: Params, inputs: Float[Array, "n d"]) -> int:
        """d - 1 pairs can hold a unit without stopping it; at most 256 in all."""
        return min(self.width * max(self.dim - 1, 1), 256)


class UnitNormals(Normals):
    """The normals of a two-layer net: row x_i for unit j, and nothing else."""

    rows: Float[Array, "c d"]
    units: Int[Array, " c"]
    a: Float[Array, " m"]
    rate: Float[Array, ""]

    def push(self, velocity: Params) -> Float[Array, " c"]:
        """dz/dt along a velocity."""
        return jnp.sum(self.rows * velocity["w"][self.units], axis=-1)

    def pull(self, weights: Float[Array, " c"]) -> Params:
        """The covector Σ weights_q ∇z_q."""
        zeros = jnp.zeros((self.a.shape[0], self.rows.shape[1]), self.rows.dtype)
        w = zeros.at[self.units].add(weights[:, None] * self.rows)
        return {"w": w, "a": jnp.zeros_like(self.a)}

    def gram(self, descend: Any) -> Float[Array, "c c"]:
        """η₁ x_pᵀ x_q within a unit."""
        same = self.units[:, None] == self.units[None, :]
        return jnp.where(same, self.rate * (self.rows @ self.rows.T), 0)


class DeepReLU(PiecewiseModel):
    """Network f(x) = aᵀ σ(W_L ... σ(W_1 x)) of ReLU or other kinked units.

    Its parameters are {"w": [W_1, ..., W_L], "a": (m_L,)}, W_l of shape
    (m_l, m_{l-1}).

    **Arguments:**

    - `dim`: the length of x; `widths`: m_1, ..., m_L.
    - `slopes`: as in `TwoLayerReLU`, which is faster for one hidden layer.

    **Raises:** `ValueError` for a size below 1 or slopes that do not rise.

    ```python
    >>> import jax, jax.numpy as jnp
    >>> from gflow.models import DeepReLU
    >>> net = DeepReLU(2, (3, 4))
    >>> w = net.init(key=jax.random.key(0))
    >>> print([layer.shape for layer in w["w"]], net(w, jnp.ones((5, 2))).shape)
    [(3, 2), (4, 3)] (5,)

    ```
    """

    dim: int = eqx.field(static=True)
    widths: tuple[int, ...] = eqx.field(static=True)
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        widths: tuple[int, ...],
        *,
        slopes: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if dim < 1 or not widths or min(widths) < 1:
            raise ValueError(f"dim and widths must be at least 1, not {dim}, {widths}")
        self.dim = dim
        self.widths = tuple(widths)
        self.low, self.high = checked_slopes(slopes)

    def init(self, *, key: Any) -> dict[str, Any]:
        """LeCun's: every weight ~ N(0, 1/fan-in)."""
        fans = (self.dim, *self.widths)
        *keys, last = jax.random.split(key, len(self.widths) + 1)
        w = [
            jax.random.normal(k, (m, fan), float) / fan**0.5
            for k, m, fan in zip(keys, self.widths, fans[:-1], strict=True)
        ]
        a = jax.random.normal(last, (fans[-1],), float) / fans[-1] ** 0.5
        return {"w": w, "a": a}

    def apply(
        self, w: Params, inputs: Float[Array, "n d"], activate: Activate
    ) -> Float[Array, " n"]:
        """Predictions with `activate` in the place of σ."""
        hidden = inputs
        for layer in w["w"]:
            hidden = activate(hidden @ layer.T)
        return hidden @ w["a"]

    def __call__(self, w: Params, inputs: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Predictions f(x_i)."""
        return self.apply(w, inputs, activation(self.low, self.high))

    def problem(
        self, X: ArrayLike, y: ArrayLike, *, rates: tuple[float, float] | None = None
    ) -> EmpiricalRisk:
        """Square loss ½‖f(X) - y‖², `rates` of the hidden layers and of a."""
        return _square_loss(self, X, y, self.dim, _two_rates(rates))

    def normals(
        self,
        w: Params,
        inputs: Float[Array, "n d"],
        slopes: Float[Array, " p"],
        pairs: Int[Array, " c"],
        metric: Metric | None,
    ) -> Normals | None:
        """One reverse pass over one datum for each pair."""
        num = inputs.shape[0]
        starts = [0]
        for m in self.widths:
            starts.append(starts[-1] + num * m)
        blocks = [
            jnp.reshape(slopes[a:b], (num, m))
            for a, b, m in zip(starts[:-1], starts[1:], self.widths, strict=True)
        ]

        def row(pair: Array) -> Params:
            datum, chosen = _place(pair, starts, self.widths)
            own = jnp.concatenate([block[datum] for block in blocks])
            return jax.grad(self._preactivation)(w, inputs[datum], own, chosen)

        return DenseNormals(jax.vmap(row)(pairs))

    def max_held(self, w: Params, inputs: Float[Array, "n d"]) -> int:
        """Small, as all their normals are formed."""
        return 64

    def _preactivation(self, w: Params, x: Array, slopes: Array, chosen: Array) -> Any:
        found: list[Array] = []
        inner = gate(slopes)

        def record(z: Array) -> Array:
            found.append(z[0])
            return inner(z)

        self.apply(w, x[None], record)
        return take(jnp.concatenate(found), chosen)


def _place(pair: Any, starts: list[int], widths: tuple[int, ...]) -> tuple[Any, Any]:
    """The datum of a pair, and its unit counted through the layers of one datum."""
    datum, unit, passed = jnp.zeros_like(pair), jnp.full_like(pair, sum(widths)), 0
    for start, end, m in zip(starts[:-1], starts[1:], widths, strict=True):
        here = (pair >= start) & (pair < end)
        datum = jnp.where(here, (pair - start) // m, datum)
        unit = jnp.where(here, passed + (pair - start) % m, unit)
        passed += m
    return datum, unit


def _two_rates(rates: tuple[float, float] | None) -> dict[str, float] | None:
    return None if rates is None else {"w": rates[0], "a": rates[1]}


def _square_loss(
    model: Any, X: Any, y: Any, dim: int, rates: dict[str, float] | None
) -> EmpiricalRisk:
    inputs, targets = jnp.asarray(X, dtype=float), jnp.asarray(y, dtype=float)
    if targets.ndim != 1 or inputs.shape != (targets.size, dim):
        raise ValueError(
            f"X must have shape (n, {dim}) and y (n,), not {inputs.shape}, "
            f"{targets.shape}"
        )
    return EmpiricalRisk(model, inputs, targets, rates=rates)
