"""One-dimensional ReLU net with a random first layer, whose limits are splines.

t_j the breakpoint, s_j = ±1 the direction of unit j · m units · [A, B] the interval.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

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

    def ridge(
        self, x: Float[Array, " n"], y: Float[Array, " n"], decay: float
    ) -> dict[str, Array]:
        """The minimum of ½ Σ (f(x_i) - y_i)² + (μ/2)‖a‖², by its normal equations.

        **Arguments:** `x`, `y`: (n,), the data; `decay`: μ > 0.

        **Returns:** the parameters, as `init` gives them.

        **Cost:** one solve of n + 2 equations; time and memory O(n² + n m).

        ```python
        >>> import jax, jax.numpy as jnp
        >>> from gflow.models import RandomReLU1D
        >>> net, x = RandomReLU1D(50, key=jax.random.key(0)), jnp.linspace(-1, 1, 5)
        >>> fit = net(net.ridge(x, 2 * x, 0.1), x)  # A line costs nothing.
        >>> print(jnp.allclose(fit, 2 * x))
        True

        ```
        """
        features, n = self.features(x), x.size
        line = jnp.stack([jnp.ones_like(x), x], axis=1)
        system = jnp.block(
            [
                [features @ features.T + decay * jnp.eye(n), line],
                [line.T, jnp.zeros((2, 2))],
            ]
        )
        solution = jnp.linalg.solve(system, jnp.concatenate([y, jnp.zeros(2)]))
        return {"a": features.T @ solution[:n], "line": solution[n:]}
