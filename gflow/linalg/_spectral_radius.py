"""Bounds on the spectral radius, cheap enough to refresh along a run."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._types import Params, Scalar
from ._flat import Matvec, flatten
from ._krylov import Krylov, begin, expand, ritz

# Of the vector handed to the next call, the part that is not the leading Ritz vector.
# It is what sees another eigenvalue overtake; more of it costs products, and with 0.1
# the second product of a warm start still suffices to resolve it.
RUNNER_UP = 0.1


class SpectralRadius(eqx.Module):
    """What a few products tell of the largest modulus of an eigenvalue.

    - `lower`: the largest modulus of a Ritz value; at most the spectral radius.
    - `upper`: what bounds the spectral radius, but for bad luck; at least `lower`.
    - `vector`: start of the next estimate, a unit vector.
    - `products`: matrix-vector products taken.
    """

    lower: Scalar
    upper: Scalar
    vector: Params
    products: Int[Array, ""]


def spectral_radius(
    matvec: Matvec,
    start: Params,
    *,
    max_products: int = 10,
    rtol: float = 0.1,
    safety: float = 1.05,
    weigh: Matvec | None = None,
) -> SpectralRadius:
    """Bounds on ρ(A) for a symmetric A, definite or not, by a few Lanczos steps.

    The upper bound is `safety` times the largest θ + r, r being the residual norm of
    the Ritz pair. An eigenvalue lies within r of θ, but a start that holds next to
    nothing of the leading eigenvector can hide it, so this is a bound with high
    probability and not for certain; `safety` and a start with a random or
    well-chosen part (the velocity of the flow, the last `vector`) make it hold.

    If A is symmetric in another inner product than the one given, the bounds tend to
    the numerical radius of A, which is at least ρ(A) and at most ‖A‖: an overestimate.

    **Arguments:**

    - `matvec`: x -> A x.
    - `start`: a random vector the first time, later the last `vector`. Not zero.
    - `max_products`: the most products to be taken.
    - `rtol`: stop when the residuals leave `lower` uncertain by at most this factor.
    - `safety`: factor on the upper bound.
    - `weigh`: x -> M x, of the inner product x·M y in which A is symmetric (`lanczos`).

    **Returns:** a `SpectralRadius`. Where a product is not finite, bounds are NaN.

    **Cost:** 2 or 3 products from a good start, 5 to 10 from a random one, and
    `max_products` vectors.

    **References:** Zhou, Saad, Tiago and Chelikowsky (2006), Zhou and Li (2011), the
    bound; Sommeijer, Shampine and Verwer (1998), its use in stabilized methods.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.linalg import spectral_radius
    >>> d = jnp.linspace(-9.0, 4.0, 50)
    >>> first = spectral_radius(lambda x: d * x, jnp.ones(50))
    >>> again = spectral_radius(lambda x: d * x, first.vector)
    >>> bool(first.lower <= 9 <= first.upper), bool(again.products < first.products)
    (True, True)

    ```
    """
    operator, flat = flatten(matvec, start, weigh)

    def bracket(krylov: Krylov) -> tuple[Scalar, Scalar]:
        values, _, residuals = ritz(krylov)
        modulus = jnp.abs(values)
        reach = jnp.where(krylov.filled, modulus + residuals, 0)
        return jnp.max(modulus), jnp.max(reach)

    def narrow(krylov: Krylov) -> Bool[Array, ""]:
        lower, reach = bracket(krylov)
        return reach <= (1 + rtol) * lower

    krylov = expand(operator, begin(operator, flat, max_products), narrow)
    lower, reach = bracket(krylov)
    vector = operator.unravel(_leading(krylov))
    return SpectralRadius(lower, safety * reach, vector, krylov.dimension)


def _leading(krylov: Krylov) -> Float[Array, " n"]:
    """The leading Ritz vector, and a part of the runner-up or of what comes next."""
    values, coordinates, _ = ritz(krylov)
    rank = jnp.argsort(jnp.where(krylov.filled, -jnp.abs(values), 1))
    first = coordinates[:, rank[0]] @ krylov.basis
    if len(rank) == 1:
        second = krylov.following
    else:
        runner_up = coordinates[:, rank[1]] @ krylov.basis
        second = jnp.where(krylov.dimension > 1, runner_up, krylov.following)
    return (first + RUNNER_UP * second) / jnp.sqrt(1 + RUNNER_UP**2)
