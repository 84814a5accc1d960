"""Domains of integration: their measure, uniform points, and a rule of quadrature."""

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from .._types import Scalar

Points = Float[Array, "n d"]
Weights = Float[Array, " n"]


class Domain(eqx.Module):
    """A bounded set in R^d over which to integrate."""

    @property
    @abc.abstractmethod
    def measure(self) -> Scalar:
        """Its length, area or volume."""

    @abc.abstractmethod
    def sample(self, num: int, *, key: PRNGKeyArray) -> Points:
        """`num` independent points, uniform on it."""

    @abc.abstractmethod
    def rule(self, num: int) -> tuple[Points, Weights]:
        """`num` fixed points and weights with Σ w_i g(x_i) ≈ ∫ g dx."""


class Interval(Domain):
    """The interval [low, high].

    Its rule is Gauss-Legendre's, exact for polynomials of degree 2 num - 1.

    **Raises:** `ValueError` unless low < high, both finite.

    ```python
    >>> from gflow.models import Interval
    >>> x, weights = Interval(0.0, 2.0).rule(3)
    >>> print(f"{float(weights @ x[:, 0] ** 5):.6f}")  # 2^6/6
    10.666667

    ```
    """

    low: Scalar
    high: Scalar

    def __init__(self, low: float, high: float) -> None:
        if not -np.inf < low < high < np.inf:
            raise ValueError(f"an interval has low < high, not {low}, {high}")
        self.low, self.high = jnp.asarray(low, float), jnp.asarray(high, float)

    @property
    def measure(self) -> Scalar:
        """high - low."""
        return self.high - self.low

    def sample(self, num: int, *, key: PRNGKeyArray) -> Points:
        """Uniform points, shape (num, 1)."""
        uniform = jax.random.uniform(key, (num, 1), self.low.dtype)
        return self.low + self.measure * uniform

    def rule(self, num: int) -> tuple[Points, Weights]:
        """Gauss-Legendre."""
        nodes, weights = np.polynomial.legendre.leggauss(num)
        half = self.measure / 2
        return (self.low + half * (1 + jnp.asarray(nodes)))[:, None], half * weights


class Box(Domain):
    """The box low_i ≤ x_i ≤ high_i in d ≥ 1 dimensions.

    Its rule is quasi-Monte Carlo with equal weights, on a Kronecker sequence: errors
    for smooth functions fall about as 1/num.

    **Arguments:** `low`, `high`: shape (d,).

    **Raises:** `ValueError` unless low < high in each dimension, all finite.

    ```python
    >>> from gflow.models import Box
    >>> x, weights = Box([0.0, 0.0], [1.0, 2.0]).rule(1000)
    >>> print(f"{float(weights @ (x[:, 0] * x[:, 1])):.2f}")  # ½ · 2
    1.00

    ```
    """

    low: Float[Array, " d"]
    high: Float[Array, " d"]

    def __init__(
        self, low: ArrayLike | Sequence[float], high: ArrayLike | Sequence[float]
    ) -> None:
        ends = [np.atleast_1d(np.asarray(end, float)) for end in (low, high)]
        same = ends[0].shape == ends[1].shape and ends[0].ndim == 1
        if not (same and np.all(np.isfinite(ends)) and np.all(ends[0] < ends[1])):
            raise ValueError(f"a box has low < high, of shape (d,), not {low}, {high}")
        self.low, self.high = map(jnp.asarray, ends)

    @property
    def measure(self) -> Scalar:
        """The product of its sides."""
        return jnp.prod(self.high - self.low)

    def sample(self, num: int, *, key: PRNGKeyArray) -> Points:
        """Uniform points, shape (num, d)."""
        uniform = jax.random.uniform(key, (num, self.low.size), self.low.dtype)
        return self.low + (self.high - self.low) * uniform

    def rule(self, num: int) -> tuple[Points, Weights]:
        """A Kronecker sequence, equal weights."""
        uniform = jnp.asarray(kronecker(num, self.low.size))
        points = self.low + (self.high - self.low) * uniform
        return points, jnp.full(num, self.measure / num)


class Ball(Domain):
    """The ball ‖x - center‖ ≤ radius in d ≥ 1 dimensions.

    Points are a uniform direction times radius u^{1/d}, u uniform; the rule takes both
    from a Kronecker sequence of d + 1 dimensions.

    **Arguments:** `center`: shape (d,); `radius` > 0.

    **Raises:** `ValueError` for a center or radius that is none.

    ```python
    >>> from gflow.models import Ball
    >>> print(f"{float(Ball([0.0, 0.0, 0.0], 1.0).measure):.5f}")  # 4π/3
    4.18879

    ```
    """

    center: Float[Array, " d"]
    radius: Scalar

    def __init__(self, center: ArrayLike | Sequence[float], radius: float) -> None:
        middle = np.atleast_1d(np.asarray(center, float))
        if middle.ndim != 1 or not np.all(np.isfinite(middle)):
            raise ValueError(f"center must be finite, of shape (d,), not {center}")
        if not 0 < radius < np.inf:
            raise ValueError(f"radius must be > 0 and finite, not {radius}")
        self.center, self.radius = jnp.asarray(middle), jnp.asarray(radius, float)

    @property
    def measure(self) -> Scalar:
        """π^{d/2} r^d/Γ(d/2 + 1)."""
        d = self.center.size
        unit = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
        return unit * self.radius**d

    def sample(self, num: int, *, key: PRNGKeyArray) -> Points:
        """Uniform points, shape (num, d)."""
        shape = (num, self.center.size + 1)
        return self._placed(jax.random.uniform(key, shape, self.center.dtype))

    def rule(self, num: int) -> tuple[Points, Weights]:
        """A Kronecker sequence carried into the ball, equal weights."""
        uniform = jnp.asarray(kronecker(num, self.center.size + 1))
        return self._placed(uniform), jnp.full(num, self.measure / num)

    def _placed(self, uniform: Float[Array, "n coordinates"]) -> Points:
        d = self.center.size
        # At 0 and 1 the normal quantile is infinite; in one dimension it is 0 at 1/2.
        eps = float(jnp.finfo(uniform.dtype).eps)
        inside = jnp.clip(uniform, eps, 1 - eps)
        normal = jax.scipy.special.ndtri(inside[:, :d])
        length = jnp.linalg.norm(normal, axis=1, keepdims=True)
        unit = normal / jnp.where(length > 0, length, 1.0)
        return self.center + self.radius * inside[:, d:] ** (1 / d) * unit


class SampledDomain(Domain):
    """Any set that can be sampled uniformly.

    Its rule is `num` of its samples, drawn once: plain Monte Carlo, whose error falls
    as 1/√num.

    **Arguments:**

    - `sampler`: `(num, key) -> points` of shape (num, d), independent and uniform.
    - `measure`: its length, area or volume, > 0.
    - `seed`: of the rule's points.

    ```python
    >>> import jax, jax.numpy as jnp
    >>> from gflow.models import SampledDomain
    >>> def circle(num, key):
    ...     angle = 2 * jnp.pi * jax.random.uniform(key, (num,))
    ...     return jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    >>> print(SampledDomain(circle, measure=2 * jnp.pi).rule(5)[0].shape)
    (5, 2)

    ```
    """

    sampler: Callable[[int, Any], Array] = eqx.field(static=True)
    size: Scalar
    seed: int = eqx.field(static=True)

    def __init__(
        self,
        sampler: Callable[[int, Any], Array],
        *,
        measure: float | Array,
        seed: int = 0,
    ) -> None:
        if not 0 < float(measure) < np.inf:
            raise ValueError(f"measure must be > 0 and finite, not {measure}")
        self.sampler = sampler
        self.size = jnp.asarray(measure, float)
        self.seed = seed

    @property
    def measure(self) -> Scalar:
        """As declared."""
        return self.size

    def sample(self, num: int, *, key: PRNGKeyArray) -> Points:
        """What the sampler gives."""
        return self.sampler(num, key)

    def rule(self, num: int) -> tuple[Points, Weights]:
        """One draw, equal weights."""
        points = self.sampler(num, jax.random.key(self.seed))
        return points, jnp.full(num, self.size / num)


def kronecker(num: int, dim: int) -> Float[np.ndarray, "num dim"]:
    """The first points of a sequence that fills the unit cube evenly.

    x_n = frac(½ + n α) with α_j = φ^{-j}, φ the root > 1 of φ^{d+1} = φ + 1, for which
    multiples of 1, α_1, …, α_d are badly approximable; in one dimension the golden
    ratio. An integral over the cube has error about 1/num, with a logarithm.

    **References:** Kuipers, Niederreiter 1974, *Uniform Distribution of Sequences*.

    ```python
    >>> from gflow.models._domain import kronecker
    >>> print(kronecker(3, 1)[:, 0].round(4))
    [0.118  0.7361 0.3541]

    ```
    """
    phi = 2.0
    for _ in range(64):  # a contraction: 64 passes leave nothing of the error
        phi = (1 + phi) ** (1 / (dim + 1))
    alpha = phi ** -np.arange(1.0, dim + 1)
    return (0.5 + np.arange(1.0, num + 1)[:, None] * alpha) % 1.0
