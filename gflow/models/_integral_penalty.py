"""Penalties that are integrals: total variation of any order, residuals of operators.

k the order of the derivative · η_k its strength · Ω the domain · q the integrand.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .._types import Params, Scalar
from ._domain import Domain, Points, Weights
from ._sphere_rule import sphere_rule
from ._taylor import Partials, directional_derivatives

Model = Callable[[Params, Array], Array]
Directions = Literal["axes", "sphere"]


class Integrand(eqx.Module):
    """A function q(w, x) ≥ 0 to be integrated over x."""

    @abc.abstractmethod
    def __call__(self, w: Params, x: Points) -> Float[Array, " n"]:
        """q(w, x) at n points."""

    @abc.abstractmethod
    def estimate(
        self, w: Params, x: Points, *, key: PRNGKeyArray
    ) -> Float[Array, " n"]:
        """Random numbers whose expected values are q(w, x)."""


class IntegralPenalty(eqx.Module):
    """P(w) = ½ ∫_Ω q(w, x) dx, with an exact value and an unbiased estimate.

    Called, it integrates by the domain's rule: in one dimension Gauss-Legendre, above
    quasi-Monte Carlo. `estimate` takes |Ω|/2 times the mean of q over uniform points,
    whose gradient has the exact gradient as its expected value.

    **Arguments:**

    - `integrand`: q, an `Integrand`; see `total_variation` and `residual_penalty`.
    - `domain`: Ω.
    - `num_points`: of the rule.

    **Raises:** `ValueError` for fewer than one point.

    **References:** Okuno 2023 (arXiv 2308.02293).
    """

    integrand: Integrand
    domain: Domain
    points: Points
    weights: Weights

    def __init__(self, integrand: Integrand, domain: Domain, num_points: int) -> None:
        if num_points < 1:
            raise ValueError(f"num_points must be at least 1, not {num_points}")
        self.integrand = integrand
        self.domain = domain
        self.points, self.weights = domain.rule(num_points)

    def __call__(self, w: Params) -> Scalar:
        """P(w) by the rule."""
        return 0.5 * self.weights @ self.integrand(w, self.points)

    def estimate(self, w: Params, num: int, *, key: PRNGKeyArray) -> Scalar:
        """An unbiased estimate of P(w) from `num` uniform points."""
        for_points, for_integrand = jax.random.split(key)
        x = self.domain.sample(num, key=for_points)
        values = self.integrand.estimate(w, x, key=for_integrand)
        return 0.5 * self.domain.measure * jnp.mean(values)


class SquaredDerivatives(Integrand):
    """q(w, x) = Σ_k η_k |D^k f(x)|², k = 1 … K.

    |D^k f|² is Σ_i (∂_i^k f)² along the axes, or the mean of (D_v^k f)² over all unit
    directions v, which no rotation of x changes (for k = 1 it is ‖∇f‖²/d). In one
    dimension both are (f^(k))².
    """

    model: Model
    strengths: Float[Array, " orders"]
    directions: Directions = eqx.field(static=True)
    dim: int = eqx.field(static=True)

    def __call__(self, w: Params, x: Points) -> Float[Array, " n"]:
        """By all axes, or a rule over directions that is exact."""
        axes, weights = (jnp.asarray(part, x.dtype) for part in self._directions())
        return weights @ jax.vmap(lambda v: self._along(w, x, v))(axes)

    def estimate(
        self, w: Params, x: Points, *, key: PRNGKeyArray
    ) -> Float[Array, " n"]:
        """By all axes, or one random direction a point."""
        if self.directions == "axes" or self.dim == 1:
            return self(w, x)
        v = jax.random.normal(key, x.shape, x.dtype)
        return self._along(w, x, v / jnp.linalg.norm(v, axis=1, keepdims=True))

    def _along(self, w: Params, x: Points, v: Array) -> Float[Array, " n"]:
        def f(points: Array) -> Array:
            return self.model(w, points)

        order = len(self.strengths)
        derivatives = directional_derivatives(f, x, v, order)[1:]
        return self.strengths @ derivatives**2

    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        if self.directions == "axes":
            return np.eye(self.dim), np.ones(self.dim)
        # (D_v^k f)² is a polynomial of degree 2 k in v.
        return sphere_rule(self.dim, 2 * len(self.strengths))


class SquaredResidual(Integrand):
    """q(w, x) = η N[f](x)², N a differential operator."""

    model: Model
    operator: Callable[[Partials, Array], Array]
    strength: Scalar

    def __call__(self, w: Params, x: Points) -> Float[Array, " n"]:
        """At each point."""

        def f(points: Array) -> Array:
            return self.model(w, points)

        return self.strength * self.operator(Partials(f, x), x) ** 2

    def estimate(
        self, w: Params, x: Points, *, key: PRNGKeyArray
    ) -> Float[Array, " n"]:
        """The same: nothing is random at a given point."""
        del key
        return self(w, x)


def total_variation(
    model: Model,
    domain: Domain,
    strengths: float | Sequence[float] | Array | np.ndarray,
    *,
    order: int | None = None,
    directions: Directions = "axes",
    num_points: int | None = None,
) -> IntegralPenalty:
    """Higher-order total variation Σ_k (η_k/2) ∫_Ω |D^k f|² dx of any smooth model.

    With the axes as directions |D^k f|² is Σ_i (∂_i^k f)²; over the sphere it is the
    mean of (D_v^k f)² over unit vectors v. Derivatives are by Taylor mode.

    **Arguments:**

    - `model`: `(w, x) -> (n,)` for x of shape (n, d), row by row, smooth in x: of
        operations that `directional_derivatives` names. A net with kinks
        (leaky_relu) has a penalty of 0 for k >= 2, without a word.
    - `domain`: Ω, an `Interval`, `Box`, `Ball` or `SampledDomain`.
    - `strengths`: η_1 … η_K, or with `order` = k the one number η_k. They are data:
        others do not compile anew.
    - `directions`: "axes" or "sphere". Of the sphere the exact value takes
        (K + 1)^{d - 1} directions, the estimate one a point.
    - `num_points`: of the domain's rule; default 64 in one dimension, else 1024.

    **Raises:** `ValueError` for strengths that are negative or not finite, an order
    below 1, an unknown kind of directions, or fewer than one point; and, where it is
    evaluated, for a model of another shape than (n,).

    **Cost:** for each point and direction O(K²) times the model's.

    **References:** Okuno 2023 (arXiv 2308.02293).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import Interval, total_variation
    >>> def cubic(w, x):
    ...     return w * x[:, 0] ** 3
    >>> penalty = total_variation(cubic, Interval(0.0, 1.0), 2.0, order=2)
    >>> print(f"{float(penalty(jnp.array(1.0))):.6f}")  # (2/2) ∫ (6 x)² = 12
    12.000000

    ```
    """
    given = np.atleast_1d(np.asarray(strengths, float))
    if order is not None:
        if order < 1:
            raise ValueError(f"order must be at least 1, not {order}")
        if given.shape != (1,):
            raise ValueError(f"order {order} takes one strength, not {strengths}")
        given = np.concatenate([np.zeros(order - 1), given])
    if given.ndim != 1 or not np.all(np.isfinite(given)) or np.any(given < 0):
        raise ValueError(f"strengths must be finite and >= 0, not {strengths}")
    if directions not in ("axes", "sphere"):
        raise ValueError(f"directions must be axes or sphere, not {directions!r}")
    dim = domain.rule(1)[0].shape[1]
    integrand = SquaredDerivatives(model, jnp.asarray(given), directions, dim)
    return IntegralPenalty(integrand, domain, _num_points(num_points, dim))


def residual_penalty(
    model: Model,
    operator: Callable[[Partials, Array], Array],
    domain: Domain,
    strength: float = 1.0,
    *,
    num_points: int | None = None,
) -> IntegralPenalty:
    """(η/2) ∫_Ω N[f](x)² dx for a differential operator N: physics-informed training.

    Initial and boundary values are data, or built into the model.

    **Arguments:**

    - `model`, `domain`, `num_points`: as in `total_variation`.
    - `operator`: `(partials, x) -> (n,)`, the residual at points x of shape (n, d);
        `partials(axis, order)` is a derivative of f there, see `Partials`; for one
        with constant coefficients, a `LinearOperator`.
    - `strength`: η ≥ 0.

    **Raises:** `ValueError` for a strength that is negative or not finite.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import Interval, residual_penalty
    >>> def decay(partials, x):  # f' + f = 0
    ...     return partials(0, 1) + partials(0, 0)
    >>> def exponential(w, x):
    ...     return jnp.exp(w * x[:, 0])
    >>> penalty = residual_penalty(exponential, decay, Interval(0.0, 1.0))
    >>> print(f"{float(penalty(jnp.array(-1.0))):.3f}")
    0.000

    ```
    """
    if not 0 <= strength < np.inf:
        raise ValueError(f"strength must be finite and >= 0, not {strength}")
    dim = domain.rule(1)[0].shape[1]
    integrand: Any = SquaredResidual(model, operator, jnp.asarray(strength, float))
    return IntegralPenalty(integrand, domain, _num_points(num_points, dim))


def _num_points(chosen: int | None, dim: int) -> int:
    if chosen is None:
        return 64 if dim == 1 else 1024
    return chosen
