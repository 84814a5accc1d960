"""Regression with an integral penalty: exact objective and stochastic gradient.

N the number of data · b of them in a batch · m uniform points in the domain.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from .._types import Params, Scalar
from ..problem import EmpiricalRisk, mean_squares
from ._integral_penalty import IntegralPenalty, Model


class BlockRidge(eqx.Module):
    """Ridge penalty λ Σ_B ‖θ_B‖²/(2 |B|^p) over the arrays B of a pytree.

    With p = ½, Okuno's, wide layers do not drown single numbers; p = 0 is weight decay.
    Both numbers are data: others do not compile anew.

    **References:** Okuno 2023 (arXiv 2308.02293), public code.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import BlockRidge
    >>> print(BlockRidge(2.0)({"a": jnp.ones(4), "d": jnp.array(3.0)}))  # 4/2 + 9
    11.0

    ```
    """

    strength: Scalar
    power: Scalar

    def __init__(self, strength: float, power: float = 0.5) -> None:
        if not 0 <= strength < np.inf:
            raise ValueError(f"strength must be finite and >= 0, not {strength}")
        self.strength = jnp.asarray(strength, float)
        self.power = jnp.asarray(power, float)

    def __call__(self, w: Params) -> Scalar:
        """The penalty."""
        leaves = jax.tree.leaves(eqx.filter(w, eqx.is_inexact_array))
        blocks = [jnp.sum(leaf**2) / leaf.size**self.power for leaf in leaves]
        return 0.5 * self.strength * jnp.sum(jnp.stack(blocks))


class Penalty(eqx.Module):
    """The sum of an integral penalty and one of the parameters, either may be None."""

    integral: IntegralPenalty | None
    ridge: Callable[[Params], Any] | None

    def __call__(self, w: Params) -> Scalar:
        """Exact, by quadrature."""
        terms = [term(w) for term in (self.integral, self.ridge) if term is not None]
        return sum(terms, start=jnp.zeros(()))


class PenalizedRegression(eqx.Module):
    """J(w) = (1/N) Σ (f(x_i) - y_i)² + an integral penalty + one of the parameters.

    `problem` has the exact objective, for a flow or for gradient descent;
    `estimator` an unbiased estimate of its gradient, for stochastic descent.

    **Arguments:**

    - `model`: `(w, x) -> (n,)` for x of shape (n, d).
    - `x`, `y`: data, (N, d) and (N,). Data and strengths are leaves: others of the same
        shape do not compile anew.
    - `integral`: an `IntegralPenalty`, or None.
    - `ridge`: `w -> scalar`, such as `BlockRidge`, or None.

    **Raises:** `ValueError` for data of other shapes or not finite.

    **References:** Okuno 2023 (arXiv 2308.02293).

    ```python
    >>> import jax, jax.numpy as jnp
    >>> from gflow.models import Interval, PenalizedRegression, total_variation
    >>> def line(w, x):
    ...     return w * x[:, 0]
    >>> slope = total_variation(line, Interval(0.0, 1.0), 2.0, order=1)
    >>> fit = PenalizedRegression(line, jnp.ones((3, 1)), jnp.ones(3), integral=slope)
    >>> print(fit.problem.loss(jnp.array(3.0)))  # (3 - 1)² + 3²
    13.0

    ```
    """

    model: Model
    x: Float[Array, "n d"]
    y: Float[Array, " n"]
    penalty: Penalty

    def __init__(
        self,
        model: Model,
        x: ArrayLike,
        y: ArrayLike,
        *,
        integral: IntegralPenalty | None = None,
        ridge: Callable[[Params], Any] | None = None,
    ) -> None:
        inputs, targets = jnp.asarray(x, float), jnp.asarray(y, float)
        if inputs.ndim != 2 or targets.shape != inputs.shape[:1] or not targets.size:
            raise ValueError(
                f"x must be (N, d) and y (N,), not {inputs.shape}, {targets.shape}"
            )
        if not (np.all(np.isfinite(inputs)) and np.all(np.isfinite(targets))):
            raise ValueError("x or y hold a number that is not finite")
        self.model = model
        self.x = inputs
        self.y = targets
        self.penalty = Penalty(integral, ridge)

    def loss(self, w: Params) -> Scalar:
        """J(w), by quadrature."""
        return mean_squares(self.model(w, self.x), self.y) + self.penalty(w)

    @property
    def problem(self) -> EmpiricalRisk:
        """The exact objective J."""
        return EmpiricalRisk(
            self.model, self.x, self.y, criterion=mean_squares, penalty=self.penalty
        )

    def estimator(self, batch: int, num_points: int) -> "GradientEstimator":
        """∇ of J on b data drawn without replacement and m uniform points.

        **Raises:** `ValueError` unless 1 ≤ b ≤ N and m ≥ 1.
        """
        return GradientEstimator(self, batch, num_points)


class GradientEstimator(eqx.Module):
    """A random gradient `(w, key) -> tree` whose expected value is ∇J(w).

    Every datum is in the batch with probability b/N, so the mean over the batch has
    the full mean as its expected value; |Ω| times the mean over uniform points has the
    integral. The penalty of the parameters is exact.

    **Cost:** b rows of data and m points a call, whatever N.
    """

    regression: PenalizedRegression
    batch: int = eqx.field(static=True)
    num_points: int = eqx.field(static=True)

    def __init__(
        self, regression: PenalizedRegression, batch: int, num_points: int
    ) -> None:
        if not 1 <= batch <= regression.y.size:
            raise ValueError(
                f"batch must be from 1 to {regression.y.size}, not {batch}"
            )
        if num_points < 1:
            raise ValueError(f"num_points must be at least 1, not {num_points}")
        self.regression = regression
        self.batch = batch
        self.num_points = num_points

    def __call__(self, w: Params, key: PRNGKeyArray) -> Params:
        """One random gradient."""
        for_batch, for_points = jax.random.split(key)
        num = self.regression.y.size
        index = jax.random.choice(for_batch, num, (self.batch,), replace=False)

        def loss(w: Params) -> Scalar:
            r = self.regression
            value = mean_squares(r.model(w, r.x[index]), r.y[index])
            if r.penalty.integral is not None:
                points = self.num_points
                value += r.penalty.integral.estimate(w, points, key=for_points)
            return value if r.penalty.ridge is None else value + r.penalty.ridge(w)

        return eqx.filter_grad(loss)(w)
