"""A kinked problem with every slope given: a smooth problem."""

import jax
from jaxtyping import Array, Float

from .._types import Params, Scalar
from ._kinks import Kinks, gate
from ._metric import Metric
from ._problem import Problem


class Gated(Problem):
    """L with σ(z) = s z, the slopes s given: the smooth problem on one side of kinks.

    **Arguments:**

    - `kinked`: the kinks of the problem.
    - `slopes`: (P,), in the order of the switching values.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.problem import Gated, KinkedObjective
    >>> problem = KinkedObjective(lambda w, act: jnp.sum(act(w)), slopes=(-1.0, 1.0))
    >>> held = Gated(problem.kinks, jnp.array([1.0, 0.25]))
    >>> print(held.grad(jnp.array([3.0, 0.0])))
    [1.   0.25]

    ```
    """

    metric: Metric | None
    kinked: Kinks
    slopes: Float[Array, " p"]

    def __init__(self, kinked: Kinks, slopes: Float[Array, " p"]) -> None:
        self.kinked = kinked
        self.slopes = slopes
        self.metric = kinked.metric

    def loss(self, w: Params) -> Scalar:
        """L(w) with the slopes given."""
        return self.kinked.loss(w, gate(self.slopes))

    def predict(self, w: Params) -> jax.Array | None:
        """None: only its field is of use."""
        return None
