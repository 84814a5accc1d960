"""A preconditioner made of what conjugate gradients saw of a spectrum."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

Rows = Float[Array, "k n"]

# A combination of rows whose squared length is below this is left out: the errors of
# its products would be multiplied by the inverse length. Fresh products have round-off
# only; old ones belong to an H of the past. With 1e-6 for these, too, Ritz values far
# above the spectrum arose where H changes along the run: errors of 0.9 at 1e-5.
_FRESH, _OLD = 1e-6, 0.5


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

        H may have changed since the old images were made: the new ones are taken as
        they are, and of the old ones only what the new directions do not tell.

        **Arguments:**

        - `directions`, `images`: p_i and H p_i, (m, n); a row of zeros is no direction.

        **Cost:** about 8 (k + m)² n operations.
        """
        lengths = jnp.sqrt(jnp.sum(weights * directions**2, axis=1, keepdims=True))
        inverse = jnp.where(lengths > 0, 1 / jnp.where(lengths > 0, lengths, 1), 0)
        directions, images = inverse * directions, inverse * images
        rows = jnp.concatenate([self.vectors, directions])
        products = jnp.concatenate([self.images, images])
        gram, curved = (rows * weights) @ rows.T, (rows * weights) @ products.T
        # All that follows, up to the last two lines, is of coefficients on the rows.
        num = len(self.values)
        unit = jnp.eye(len(rows), dtype=rows.dtype)
        fresh = _orthonormal(unit[num:], gram, _FRESH)
        rest = unit[:num] - (unit[:num] @ gram @ fresh.T) @ fresh
        rest = _orthonormal(rest, gram, _OLD)
        cross, stale = rest @ curved @ fresh.T, rest @ curved.T @ fresh.T
        basis = jnp.concatenate([rest, fresh])
        small = basis @ curved @ basis.T
        small = small.at[num:, :num].set(cross.T).at[:num, num:].set(cross)
        values, combinations = jnp.linalg.eigh(0.5 * (small + small.T))
        mix, values = combinations[:, -num:].T, values[-num:]
        told = mix[:, :num] @ (cross - stale) @ fresh
        vectors = mix @ basis @ rows
        images = mix @ basis @ products + told[:, num:] @ directions
        errors = images - values[:, None] * vectors
        residuals = jnp.sqrt(jnp.sum(weights * errors**2, axis=1))
        return SpectralPreconditioner(
            vectors, images, jnp.maximum(values - residuals, 0)
        )


def _orthonormal(coefficients: Any, gram: Any, least: float) -> Any:
    """Combinations with the same span, orthonormal or zero."""
    sizes, axes = jnp.linalg.eigh(coefficients @ gram @ coefficients.T)
    kept = sizes > least
    return (axes * jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, sizes, 1)), 0)).T @ (
        coefficients
    )
