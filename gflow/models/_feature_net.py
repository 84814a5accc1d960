"""Embeddings of fully connected nets, and how alike they make their inputs.

z the inputs, φ the net without a readout: K_ij = ⟨φ(z_i), φ(z_j)⟩ is the Gram matrix.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._deep_linear import semi_orthogonal

Activation = Literal["linear", "relu", "leaky_relu", "tanh", "gelu", "selu", "sine"]
Scheme = Literal["normal", "uniform", "kaiming", "orthogonal"]

_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "selu": jax.nn.selu,
    "sine": jnp.sin,
}


class FeatureNet(eqx.Module):
    """Fully connected net φ(x) = W_L σ(W_{L-1} ... σ(W_1 x)), the last layer linear.

    Its parameters are the list [W_1, ..., W_L], W_l of shape (n_l, n_{l-1}); there are
    no biases.

    **Arguments:**

    - `widths`: n_0, ..., n_L, from the inputs to the embedding.
    - `activation`: "linear", "relu", "leaky_relu", "tanh", "gelu", "selu" or "sine".

    **Raises:** `ValueError` for fewer than two widths, one below 1, or an unknown
    activation.

    **References:** Huh et al. 2021 (arXiv 2103.10427), section 3.

    ```python
    >>> import jax, jax.numpy as jnp
    >>> from gflow.diagnostics import rank_effective
    >>> from gflow.models import FeatureNet
    >>> net = FeatureNet([4, 8, 8], "relu")
    >>> w = net.init(key=jax.random.key(0))
    >>> print(rank_effective(net.gram(w, jnp.eye(4))) < rank_effective(jnp.eye(4)))
    True

    ```
    """

    widths: tuple[int, ...] = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self, widths: Sequence[int], activation: Activation = "linear"
    ) -> None:
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(
                f"widths must be at least two numbers >= 1, not {tuple(widths)}"
            )
        if activation not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS)
            raise ValueError(f"activation must be one of {known}, not {activation!r}")
        self.widths = tuple(int(n) for n in widths)
        self.activation = activation

    def init(self, scheme: Scheme = "normal", *, key: Any) -> list[Array]:
        """Weights by one of four schemes.

        "normal": N(0, 1/n_{l-1}). "uniform": of the same variance. "kaiming":
        N(0, 2/n_{l-1}), which keeps the scale of ReLU nets. "orthogonal": uniformly
        random (semi-)orthogonal.

        **Raises:** `ValueError` for an unknown scheme.
        """
        if scheme not in get_args(Scheme):
            raise ValueError(
                f"scheme must be one of {', '.join(get_args(Scheme))}, not {scheme!r}"
            )
        shapes = list(zip(self.widths[1:], self.widths[:-1], strict=True))
        keys = jax.random.split(key, len(shapes))
        return [_weights(scheme, k, s) for k, s in zip(keys, shapes, strict=True)]

    def layers(
        self, w: list[Array], inputs: Float[Array, "k n"]
    ) -> list[Float[Array, "k m"]]:
        """What each layer puts out before the activation: embeddings of shorter nets.

        The l-th is the embedding of the net that ends at layer l.
        """
        sigma, hidden = _ACTIVATIONS[self.activation], inputs
        found: list[Array] = []
        for factor in w:
            found.append(hidden @ factor.T)
            hidden = sigma(found[-1])
        return found

    def __call__(
        self, w: list[Array], inputs: Float[Array, "k n"]
    ) -> Float[Array, "k m"]:
        """Embeddings, one a row."""
        return self.layers(w, inputs)[-1]

    def gram(self, w: list[Array], inputs: Float[Array, "k n"]) -> Float[Array, "k k"]:
        """Gram matrix of the embeddings, scaled to trace 1.

        Its singular values are the squares of the embedding matrix's.
        """
        return gram_matrix(self(w, inputs))


def gram_matrix(embedding: Float[Array, "k m"]) -> Float[Array, "k k"]:
    """Gram matrix of embeddings, one a row, scaled to trace 1.

    **Arguments:** `embedding`: (k, m), not zero.

    **Returns:** (k, k).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import gram_matrix
    >>> print(gram_matrix(jnp.array([[3.0, 4.0], [5.0, 0.0]])))
    [[0.5 0.3]
     [0.3 0.5]]

    ```
    """
    gram = embedding @ embedding.T
    return gram / jnp.trace(gram)


def _weights(scheme: Scheme, key: Any, shape: tuple[int, int]) -> Array:
    fan_in = shape[1]
    if scheme == "orthogonal":
        return semi_orthogonal(key, shape)
    if scheme == "uniform":
        bound = (3 / fan_in) ** 0.5
        return jax.random.uniform(key, shape, float, -bound, bound)
    gain = 2.0 if scheme == "kaiming" else 1.0
    return (gain / fan_in) ** 0.5 * jax.random.normal(key, shape, float)
