"""Gradients of minibatches, as estimates for `iterate`."""

from typing import Any

import equinox as eqx
import jax

from .._types import Params
from ..problem import EmpiricalRisk, half_sum_squares


class Minibatch(eqx.Module):
    """Gradient of a risk over examples drawn at random: `iterate(…, estimate=…)`.

    Examples are drawn with replacement, anew in each step. The estimate is unbiased
    where the criterion is a mean over examples, such as `gflow.problem.mean_squares`;
    of a sum it would be size/n of the gradient. A penalty counts in full.

    **Arguments:**

    - `problem`: the `EmpiricalRisk` of all data.
    - `size`: how many examples are drawn, ≥ 1.

    **Raises:** `ValueError` for the default criterion of a risk, which is a sum.

    **Cost:** the gradient of `size` examples, and fetching them.

    ```python
    >>> import jax, jax.numpy as jnp, gflow as gf
    >>> from gflow.steppers import Minibatch
    >>> x, y = jnp.arange(6.0), 2 * jnp.arange(6.0)
    >>> mean = gf.problem.mean_squares
    >>> problem = gf.EmpiricalRisk(lambda w, x: w * x, x, y, criterion=mean)
    >>> estimate, w0 = Minibatch(problem, 2), jnp.array(0.0)
    >>> sgd = gf.iterate(problem, gf.gradient_descent(0.025), w0, 200,
    ...                  estimate=estimate, key=jax.random.key(0))
    >>> print(f"{float(sgd.w1):.4f}")
    2.0000

    ```
    """

    problem: EmpiricalRisk
    size: int = eqx.field(static=True)

    def __init__(self, problem: EmpiricalRisk, size: int) -> None:
        if not isinstance(problem, EmpiricalRisk):
            raise TypeError("minibatches are of an EmpiricalRisk, which has data")
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        if problem.criterion is half_sum_squares:
            raise ValueError(
                "a minibatch estimates means over examples, and this risk is a sum: "
                "give it criterion=gflow.problem.mean_squares, or another mean"
            )
        self.problem = problem
        self.size = size

    def __call__(self, w: Params, key: Any) -> Params:
        """The gradient at w of the risk over the examples that the key draws."""
        data = (self.problem.inputs, self.problem.targets)
        num = len(jax.tree.leaves(data)[0])
        index = jax.random.randint(key, (self.size,), 0, num)
        batch = jax.tree.map(lambda leaf: leaf[index], data)
        return eqx.tree_at(lambda p: (p.inputs, p.targets), self.problem, batch).grad(w)
