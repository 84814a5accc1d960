"""Smooth networks of any depth with one output.

x the inputs, n of them in d dimensions · act the activation · a, b, c, d of the
shallow net as in its formula.
"""

import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .._types import Params

Activation = Callable[[Array], Array]


def softplus(z: Array) -> Array:
    """log(1 + e^z), in a form whose Taylor series jax knows.

    `jax.nn.softplus` is not: it hides a maximum behind a rule of its own, which Taylor
    mode cannot see through.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import softplus
    >>> print(softplus(jnp.array(0.0)).round(6))
    0.693147

    ```
    """
    # max(z, 0) + log(1 + e^-|z|), which cannot overflow. It is analytic on either side,
    # and by `where` each side has its own derivatives, where those of a maximum and of
    # a modulus would be lost at 0.
    positive = z > 0
    size = jnp.where(positive, z, -z)
    return jnp.where(positive, z, 0.0) + jnp.log1p(jnp.exp(-size))


class ShallowNet(eqx.Module):
    """Shallow network f(x) = Σ_j a_j act(b_jᵀ x + c_j) + d.

    Its parameters are {"a": (m,), "b": (m, dim), "c": (m,), "d": ()}.

    **Arguments:**

    - `dim`: the length of x; `width`: m, the number of units.
    - `activation`: any smooth function of arrays, elementwise.

    **Raises:** `ValueError` for a size below 1.

    **References:** Okuno 2023 (arXiv 2308.02293).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import ShallowNet
    >>> net = ShallowNet(1, 2, activation=jnp.sin)
    >>> w = {"a": jnp.array([1.0, 2.0]), "b": jnp.ones((2, 1)), "c": jnp.zeros(2),
    ...      "d": jnp.array(0.5)}
    >>> print(net(w, jnp.array([[0.0], [jnp.pi / 2]])))
    [0.5 3.5]

    ```
    """

    dim: int = eqx.field(static=True)
    width: int = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self, dim: int, width: int, *, activation: Activation = jnp.tanh
    ) -> None:
        if dim < 1 or width < 1:
            raise ValueError(f"dim and width must be at least 1, not {dim}, {width}")
        self.dim = dim
        self.width = width
        self.activation = activation

    def init(self, *, scale: float = 1.0, key: PRNGKeyArray) -> dict[str, Array]:
        """a, c ~ N(0, 1), b ~ N(0, scale²), d = 0; Okuno's scale is 1/sd(x)."""
        for_a, for_b, for_c = jax.random.split(key, 3)
        return {
            "a": jax.random.normal(for_a, (self.width,), float),
            "b": scale * jax.random.normal(for_b, (self.width, self.dim), float),
            "c": jax.random.normal(for_c, (self.width,), float),
            "d": jnp.zeros((), float),
        }

    def __call__(
        self, w: Params, x: Float[Array | np.ndarray, "n d"]
    ) -> Float[Array, " n"]:
        """Predictions f(x)."""
        return self.activation(x @ w["b"].T + w["c"]) @ w["a"] + w["d"]


class SmoothMLP(eqx.Module):
    """Fully connected network of any depth, one smooth activation after each layer.

    Its parameters are a list of {"W": (out, in), "b": (out,)}, one a layer; the last
    layer is linear and has one output.

    **Arguments:**

    - `dim`: the length of x; `widths`: units of each hidden layer.
    - `activation`: any smooth function of arrays, elementwise.

    **Raises:** `ValueError` for a size below 1 or no hidden layer.

    ```python
    >>> import jax
    >>> from gflow.models import SmoothMLP
    >>> net = SmoothMLP(2, (8, 8))
    >>> w = net.init(key=jax.random.key(0))
    >>> print([layer["W"].shape for layer in w], net(w, jax.numpy.ones((5, 2))).shape)
    [(8, 2), (8, 8), (1, 8)] (5,)

    ```
    """

    dim: int = eqx.field(static=True)
    widths: tuple[int, ...] = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        widths: tuple[int, ...],
        *,
        activation: Activation = jnp.tanh,
    ) -> None:
        if dim < 1 or not widths or min(widths) < 1:
            raise ValueError(
                f"dim and each of widths must be at least 1, not {dim}, {widths}"
            )
        self.dim = dim
        self.widths = tuple(widths)
        self.activation = activation

    def init(self, *, scale: float = 1.0, key: PRNGKeyArray) -> list[dict[str, Array]]:
        """W ~ N(0, 1/in) and b ~ N(0, 1), of the first layer both times `scale`.

        The last layer's bias is 0.
        """
        sizes = (self.dim, *self.widths, 1)
        layers: list[dict[str, Array]] = []
        for number, (into, out) in enumerate(itertools.pairwise(sizes)):
            key, for_W, for_b = jax.random.split(key, 3)
            size = scale if number == 0 else 1.0
            W = size * jax.random.normal(for_W, (out, into), float) / into**0.5
            layers.append({"W": W, "b": size * jax.random.normal(for_b, (out,), float)})
        layers[-1]["b"] = jnp.zeros(1, float)
        return layers

    def __call__(
        self, w: Params, x: Float[Array | np.ndarray, "n d"]
    ) -> Float[Array, " n"]:
        """Predictions f(x)."""
        values: Any = x
        for layer in w[:-1]:
            values = self.activation(values @ layer["W"].T + layer["b"])
        return (values @ w[-1]["W"].T + w[-1]["b"])[:, 0]
