"""One-dimensional ReLU net with a random first layer, whose limits are splines.

t_j the breakpoint, s_j = ±1 the direction of unit j · m units · [A, B] the interval.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from .._types import Params


class RandomReLU1D(eqx.Module):
    """The net f(x) = c + d x + √((B - A)/m) Σ_j a_j (s_j (x - t_j))_+.

    Breakpoints are uniform on [A, B], directions are coin flips, both frozen. Its
    parameters are {"a": (m,), "line": (2,)}, with c, d the line. For m → ∞ the
    least ½‖a‖² of a function is ½∫ f''², so that

    - weight decay (μ/2)‖a‖² on ½ Σ (f(x_i) - y_i)² gives the cubic smoothing spline,
      the least Σ (f - y)² + μ ∫ f''²;
    - no decay, from a = 0, with the line trained fast, gives the natural cubic spline.

    **Arguments:**

    - `width`: m; `interval`: (A, B), which holds the data.
    - `key`: of breakpoints and directions.

    **Raises:** `ValueError` for a width below 1 or an interval that is not one.

    **References:** Heiss, Teichmann, Wutte 2019 (arXiv 1911.02903).

    ```python
    >>> import jax, jax.numpy as jnp
    >>> from gflow.models import RandomReLU1D
    >>> net = RandomReLU1D(50, key=jax.random.key(0))
    >>> print(net(net.init(), jnp.array([0.0, 1.0])))
    [0. 0.]

    ```
    """

    breakpoints: Float[Array, " m"]
    directions: Float[Array, " m"]
    length: float = eqx.field(static=True)

    def __init__(
        self, width: int, *, interval: tuple[float, float] = (-1.0, 1.0), key: Any
    ) -> None:
        low, high = interval
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width}")
        if not low < high:
            raise ValueError(f"interval must be (low, high), not {interval}")
        for_t, for_s = jax.random.split(key)
        self.breakpoints = jax.random.uniform(
            for_t, (width,), float, minval=low, maxval=high
        )
        self.directions = jax.random.rademacher(for_s, (width,), float)
        self.length = high - low

    def init(self) -> dict[str, Array]:
        """The zero function."""
        return {"a": jnp.zeros_like(self.breakpoints), "line": jnp.zeros(2)}

    def features(self, x: Float[Array, " n"]) -> Float[Array, "n m"]:
        """√((B - A)/m) (s_j (x_i - t_j))_+."""
        z = self.directions * (x[:, None] - self.breakpoints)
        return (self.length / self.breakpoints.size) ** 0.5 * jax.nn.relu(z)

    def __call__(self, w: Params, inputs: Float[Array, " n"]) -> Float[Array, " n"]:
        """f(x_i)."""
        line = w["line"][0] + w["line"][1] * inputs
        return line + self.features(inputs) @ w["a"]


def smoothing_spline(
    x: ArrayLike, y: ArrayLike, mu: float, at: ArrayLike
) -> Float[np.ndarray, " k"]:
    """The cubic smoothing spline, least Σ (f(x_i) - y_i)² + μ ∫ f''², at points.

    With k(x, x') = ∫ (x - t)_+ (x' - t)_+ dt from the least x_i on, f is a line plus
    Σ c_i k(·, x_i), where (K + μ I) c + line = y and c is orthogonal to lines.
    μ = 0 is the natural cubic spline through the data.

    **Arguments:** `x`, `y`: (n,), x distinct, n ≥ 2; `mu`: ≥ 0; `at`: (k,).

    **Returns:** f at those points, linear outside of the data.

    **Raises:** `ValueError` for fewer than two points, points that coincide, or μ < 0.

    **Cost:** a dense solve, O(n³); use `scipy.interpolate.make_smoothing_spline`
    beyond some thousand points, or where x differ by less than 1e-4 of their range.

    **References:** Wahba 1990, Spline Models for Observational Data, chapter 1.

    ```python
    >>> import numpy as np
    >>> from gflow.models import smoothing_spline
    >>> print(smoothing_spline(np.arange(3.0), np.eye(3)[1], 0.0, np.array([0.5])))
    [0.6875]

    ```
    """
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    points, num = np.asarray(at, dtype=float), xs.size
    if num < 2 or np.unique(xs).size < num or xs.shape != ys.shape or xs.ndim != 1:
        raise ValueError("a spline needs two points or more, all x distinct")
    if not mu >= 0:
        raise ValueError(f"mu must be >= 0, not {mu!r}")
    line = np.stack([np.ones(num), xs], axis=1)
    system = np.block(
        [
            [_cubic(xs, xs) + mu * np.eye(num), line],
            [line.T, np.zeros((2, 2))],
        ]
    )
    solution = np.linalg.solve(system, np.concatenate([ys, np.zeros(2)]))
    lines = np.stack([np.ones(points.size), points], axis=1)
    return _cubic(points, xs) @ solution[:num] + lines @ solution[num:]


def _cubic(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """∫ (x - t)_+ (x' - t)_+ dt from the least knot, for x of any size.

    With u = x - least, v = knot - least, both ≥ 0 (u cut to that), and s = min(u, v):
    s² (3 max(u, v) - s)/6.
    """
    u = np.maximum(x - knots.min(), 0.0)[:, None]
    v = (knots - knots.min())[None, :]
    s = np.minimum(u, v)
    return s**2 * (3 * np.maximum(u, v) - s) / 6
