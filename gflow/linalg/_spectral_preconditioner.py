"""A preconditioner made of what conjugate gradients saw of a spectrum."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

Rows = Float[Array, "k n"]

# Directions that are combinations of others up to this share, squared, add nothing but
# the round-off of their products.
_INDEPENDENT = 1e-6


class SpectralPreconditioner(eqx.Module):
    """The inverse of 1 + γ H on a few Ritz vectors of H, the identity elsewhere.

    H is symmetric in the inner product Σ weights a b, in which the rows of `vectors`
    are orthonormal or zero:

        M^-1 r = r + Σ_i (1/(1 + γ θ_i) - 1) <v_i, r> v_i.

    Where v_i, θ_i are eigenpairs, 1 + γ H loses these eigenvalues for every γ at once,
    and no eigenvalue of M^-1 (1 + γ H) is below 1 while H has none below 0. So that
    approximate pairs keep to this, each θ_i is lowered by its residual ‖H v - θ v‖: an
    eigenvalue of H lies as near.

    **Arguments:**

    - `vectors`, `images`: v_i and H v_i, (k, n). `values`: (k,).

    **References:** Giraud, Gratton, "On the sensitivity of some spectral
    preconditioners" (2006); Parlett, "The Symmetric Eigenvalue Problem" (1998), 4.5.
    """

    vectors: Rows
    images: Rows
    values: Float[Array, " k"]

    @staticmethod
    def empty(num: int, size: int, dtype: Any) -> "SpectralPreconditioner":
        """The identity, with room for `num` vectors."""
        zero = jnp.zeros((num, size), dtype)
        return SpectralPreconditioner(zero, zero, jnp.zeros((num,), dtype))

    def apply(
        self, residual: Float[Array, " n"], gamma: Any, weights: Any
    ) -> Float[Array, " n"]:
        """M^-1 times a residual. Cost: 4 k n operations."""
        shares = self.vectors @ (weights * residual)
        gains = 1 / (1 + gamma * self.values) - 1
        return residual + (gains * shares) @ self.vectors

    def updated(
        self, directions: Rows, images: Rows, weights: Any
    ) -> "SpectralPreconditioner":
        """The largest Ritz pairs in the span of the old vectors and new directions.

        **Arguments:**

        - `directions`, `images`: p_i and H p_i, (m, n); a row of zeros is no direction.

        **Cost:** about 6 (k + m)² n operations.
        """
        lengths = jnp.sqrt(jnp.sum(weights * directions**2, axis=1, keepdims=True))
        inverse = jnp.where(lengths > 0, 1 / jnp.where(lengths > 0, lengths, 1), 0)
        basis = jnp.concatenate([self.vectors, inverse * directions])
        applied = jnp.concatenate([self.images, inverse * images])
        gram, cross = (basis * weights) @ basis.T, (basis * weights) @ applied.T
        sizes, axes = jnp.linalg.eigh(gram)
        kept = sizes > _INDEPENDENT * jnp.max(sizes)
        whiten = axes * jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, sizes, 1)), 0)
        small = whiten.T @ (0.5 * (cross + cross.T)) @ whiten
        values, combinations = jnp.linalg.eigh(small)
        num = len(self.values)
        mix = (whiten @ combinations[:, -num:]).T
        vectors, products = mix @ basis, mix @ applied
        values = values[-num:]
        errors = products - values[:, None] * vectors
        residuals = jnp.sqrt(jnp.sum(weights * errors**2, axis=1))
        return SpectralPreconditioner(
            vectors, products, jnp.maximum(values - residuals, 0)
        )
