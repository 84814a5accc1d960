"""Losses of the margin, for labels +1 and -1."""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from .._types import Scalar


def exponential_loss(scores: ArrayLike, signs: ArrayLike) -> Scalar:
    """Mean of exp(-y f) over examples with score f and label y = +1 or -1.

    As criterion of an `EmpiricalRisk`. On separable data it has no minimum: it tends to
    0 as the scores grow.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.problem import exponential_loss
    >>> print(exponential_loss(jnp.zeros(3), jnp.array([1.0, -1.0, 1.0])))
    1.0

    ```
    """
    return jnp.mean(jnp.exp(-jnp.asarray(signs) * jnp.asarray(scores)))


def logistic_loss(scores: ArrayLike, signs: ArrayLike) -> Scalar:
    """Mean of log(1 + exp(-y f)) over examples with score f and label y = +1 or -1.

    Its tail at large margins y f is that of `exponential_loss`.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.problem import logistic_loss
    >>> print(logistic_loss(jnp.zeros(3), jnp.ones(3)).round(4))  # log 2
    0.6931

    ```
    """
    return jnp.mean(jax.nn.softplus(-jnp.asarray(signs) * jnp.asarray(scores)))
