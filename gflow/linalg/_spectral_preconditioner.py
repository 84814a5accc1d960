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

        **Cost:** about 6 (k + m)² n operations.
        """
        lengths = jnp.sqrt(jnp.sum(weights * directions**2, axis=1, keepdims=True))
        inverse = jnp.where(lengths > 0, 1 / jnp.where(lengths > 0, lengths, 1), 0)
        directions, images = inverse * directions, inverse * images
        fresh, fresh_images = _orthonormal(directions, images, weights, _FRESH)
        shared = (self.vectors * weights) @ fresh.T
        rest, rest_images = _orthonormal(
            self.vectors - shared @ fresh,
            self.images - shared @ fresh_images,
            weights,
            _OLD,
        )
        cross = (rest * weights) @ fresh_images.T
        stale = (rest_images * weights) @ fresh.T
        rest_images = rest_images + (cross - stale) @ fresh
        basis = jnp.concatenate([rest, fresh])
        applied = jnp.concatenate([rest_images, fresh_images])
        small = (basis * weights) @ applied.T
        values, combinations = jnp.linalg.eigh(0.5 * (small + small.T))
        num = len(self.values)
        mix = combinations[:, -num:].T
        vectors, products = mix @ basis, mix @ applied
        values = values[-num:]
        errors = products - values[:, None] * vectors
        residuals = jnp.sqrt(jnp.sum(weights * errors**2, axis=1))
        return SpectralPreconditioner(
            vectors, products, jnp.maximum(values - residuals, 0)
        )


def _orthonormal(rows: Any, images: Any, weights: Any, least: float) -> tuple[Any, Any]:
    """Rows with the same span, orthonormal or zero, and their images."""
    gram = (rows * weights) @ rows.T
    sizes, axes = jnp.linalg.eigh(gram)
    kept = sizes > least
    mix = (axes * jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, sizes, 1)), 0)).T
    return mix @ rows, mix @ images
