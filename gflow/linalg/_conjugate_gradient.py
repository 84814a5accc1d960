"""Conjugate gradients that know how far they are from the solution."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

Vector = Float[Array, " n"]
Scalar = Float[Array, ""]


class ConjugateGradient(eqx.Module):
    """One iterate of preconditioned conjugate gradients for A x = b.

    A is symmetric positive definite in the inner product Σ weights a b, and so is the
    preconditioner M. The iteration stands here as values, without a loop, so that a
    caller may share its products with A with another iteration.

    The error in the A-norm is known from above at no cost, given a lower bound μ of
    the eigenvalues of M^-1 A. With step lengths α_k, and β_k the ratios of successive
    ρ_k = <r_k, M^-1 r_k>,

        ‖x - x_k‖_A² <= φ_k ρ_k,  φ_0 = 1/μ,
        φ_{k+1} = (φ_k - α_k) / (μ (φ_k - α_k) + β_{k+1}).

    **Differs from the source** in nothing but the names.

    **References:** Hestenes, Stiefel (1952); Meurant, Tichý, "On computing quadrature-
    based bounds for the A-norm of the error in conjugate gradients" (2013), eq. 3.6.
    """

    x: Vector
    residual: Vector
    direction: Vector
    rho: Scalar
    phi: Scalar
    # Whether some direction p had <p, A p> <= 0: A is not positive definite.
    indefinite: Bool[Array, ""]
    num_iterations: Int[Array, ""]

    @staticmethod
    def start(
        x: Vector, residual: Vector, preconditioned: Vector, weights: Any, mu: Any = 1.0
    ) -> "ConjugateGradient":
        """The iterate before any product: `residual` is b - A x."""
        rho = jnp.sum(weights * residual * preconditioned)
        return ConjugateGradient(
            x=x,
            residual=residual,
            direction=preconditioned,
            rho=rho,
            phi=1 / jnp.asarray(mu, rho.dtype),
            indefinite=jnp.asarray(False),
            num_iterations=jnp.zeros((), jnp.int32),
        )

    @property
    def error(self) -> Scalar:
        """An upper bound of ‖x - x_k‖_A, inf once A was seen to be indefinite."""
        bound = jnp.sqrt(jnp.maximum(self.phi * self.rho, 0))
        return jnp.where(self.indefinite, jnp.inf, bound)

    def advance(
        self,
        product: Vector,
        precondition: Callable[[Vector], Vector],
        weights: Any,
        mu: Any = 1.0,
    ) -> "ConjugateGradient":
        """The next iterate, `product` being A times `direction`.

        A direction of curvature <= 0 is not followed: x stays and `indefinite` is set.
        """
        curvature = jnp.sum(weights * self.direction * product)
        # At an exact solution the direction is zero, and nothing is wrong.
        at_rest = self.rho <= 0
        bad = ~(curvature > 0) & ~at_rest
        alpha = jnp.where(bad | at_rest, 0, self.rho / jnp.where(bad, 1, curvature))
        alpha = jnp.where(at_rest, 0, alpha)
        residual = self.residual - alpha * product
        preconditioned = precondition(residual)
        rho = jnp.sum(weights * residual * preconditioned)
        beta = jnp.where(at_rest, 0, rho / jnp.where(at_rest, 1, self.rho))
        # φ >= α in exact arithmetic; rounding must not turn the bound negative.
        gap = jnp.maximum(self.phi - alpha, 0)
        phi = gap / jnp.maximum(mu * gap + beta, jnp.finfo(rho.dtype).tiny)
        return ConjugateGradient(
            x=self.x + alpha * self.direction,
            residual=residual,
            direction=preconditioned + beta * self.direction,
            rho=rho,
            phi=phi,
            indefinite=self.indefinite | bad,
            num_iterations=self.num_iterations + 1,
        )


def conjugate_gradient(
    matvec: Callable[[Vector], Vector],
    b: Vector,
    *,
    tol: Any,
    precondition: Callable[[Vector], Vector] = lambda r: r,
    weights: Any = 1.0,
    mu: Any = 1.0,
    max_steps: int = 1000,
) -> ConjugateGradient:
    """Solve A x = b until ‖x - x_k‖_A <= tol, for A symmetric positive definite.

    Holds where μ is at most the least eigenvalue of M^-1 A; a larger one makes the
    bound, and with it the stop, optimistic.

    **Arguments:**

    - `matvec`: x -> A x on vectors of length n.
    - `b`: (n,).
    - `tol`: absolute, in the A-norm, which is at least √μ times the norm of M: for
        M = 1, that of `weights`.
    - `precondition`: r -> M^-1 r.
    - `weights`: of the inner product in which A and M are symmetric, a number or (n,).

    **Returns:** the last iterate; `indefinite` says if A was not positive definite.

    **Cost:** one product an iteration; memory for 4 vectors.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.linalg import conjugate_gradient
    >>> diagonal = jnp.array([1.0, 2.0, 4.0])
    >>> cg = conjugate_gradient(lambda x: diagonal * x, jnp.ones(3), tol=1e-6)
    >>> print(cg.x, cg.num_iterations)
    [1.   0.5  0.25] 3

    ```
    """

    def unfinished(cg: ConjugateGradient) -> Any:
        wanted = (cg.error > tol) & ~cg.indefinite
        return wanted & (cg.num_iterations < max_steps)

    def body(cg: ConjugateGradient) -> ConjugateGradient:
        return cg.advance(matvec(cg.direction), precondition, weights, mu)

    zero = jnp.zeros_like(b)
    start = ConjugateGradient.start(zero, b, precondition(b), weights, mu)
    return jax.lax.while_loop(unfinished, body, start)
