"""Bounds on the spectral radius, cheap enough to refresh along a run."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._types import Params, Scalar, ScalarLike
from ._flat import Matvec, flatten
from ._krylov import Krylov, Pairs, begin, expand, ritz

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
    overlap: ScalarLike = 0.0,
    weigh: Matvec | None = None,
) -> SpectralRadius:
    """Bounds on ρ(A) for a symmetric A, definite or not, by a few Lanczos steps.

    The upper bound is `safety` times the largest |θ| + r over the Ritz pairs, r being
    the residual norm. An eigenvalue lies within r of θ, but one that the start holds
    next to nothing of can lie above and hide. Two remedies:

    - From a random start of n numbers, give `overlap` = 0.02/√n. The cosine c between
        start and eigenvector is larger with probability 0.98, and then the bound is
        one: Π_i(λ - θ_i) ≤ Π_j β_j / c for every eigenvalue λ above the Ritz values,
        since the k-th Lanczos vector is Π_i(A - θ_i) v_0 / Π_j β_j.
    - From the last `vector`, let the steps between two calls be short: what overtakes
        was second before, and `vector` holds a part of it. Add a part of the velocity
        of the flow, or of a random vector, against surprises.

    If A is symmetric in another inner product than the one given, the bounds tend to
    the numerical radius of A, which is at least ρ(A) and at most ‖A‖: an overestimate.

    **Arguments:**

    - `matvec`: x -> A x.
    - `start`: a random vector the first time, later the last `vector`. Not zero.
    - `max_products`: the most products to be taken.
    - `rtol`: stop when the residuals leave `lower` uncertain by at most this factor.
    - `safety`: factor on the upper bound.
    - `overlap`: the least cosine between start and leading eigenvectors that may be
        counted on; 0 if nothing is known. It may be traced.
    - `weigh`: x -> M x, of the inner product x·M y in which A is symmetric (`lanczos`).

    **Returns:** a `SpectralRadius`. Where a product is not finite, bounds are NaN.

    **Cost:** 1 to 3 products from a good start, 5 to 10 from a random one, 10 to 20
    from a random one with `overlap`; and `max_products` vectors.

    **References:** van Dorsselaer, Hochstenbach and van der Vorst (2000), the bound
    by a polynomial; Zhou, Saad, Tiago and Chelikowsky (2006), Zhou and Li (2011), the
    bound by residuals; Sommeijer, Shampine and Verwer (1998), its use in stabilized
    methods.

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

    def bracket(krylov: Krylov, pairs: Pairs) -> tuple[Scalar, Scalar]:
        values, _, residuals = pairs
        modulus = jnp.abs(values)
        reach = jnp.max(jnp.where(krylov.filled, modulus + residuals, 0))
        # Known before tracing: a root that would be compiled for nothing.
        if isinstance(overlap, float) and overlap == 0.0:
            return jnp.max(modulus), reach
        hidden = jnp.maximum(
            _hidden(krylov, values, overlap), _hidden(krylov, -values, overlap)
        )
        return jnp.max(modulus), jnp.maximum(reach, hidden)

    def narrow(krylov: Krylov) -> Bool[Array, ""]:
        lower, reach = bracket(krylov, ritz(krylov))
        return reach <= (1 + rtol) * lower

    krylov = expand(operator, begin(operator, flat, max_products), narrow)
    pairs = ritz(krylov)
    lower, reach = bracket(krylov, pairs)
    vector = operator.unravel(_leading(krylov, pairs))
    return SpectralRadius(lower, safety * reach, vector, krylov.dimension)


def _leading(krylov: Krylov, pairs: Pairs) -> Float[Array, " n"]:
    """The leading Ritz vector, and a part of the runner-up or of what comes next."""
    values, coordinates, _ = pairs
    rank = jnp.argsort(jnp.where(krylov.filled, -jnp.abs(values), 1))
    first = coordinates[:, rank[0]] @ krylov.basis
    if len(rank) == 1:
        second = krylov.following
    else:
        runner_up = coordinates[:, rank[1]] @ krylov.basis
        second = jnp.where(krylov.dimension > 1, runner_up, krylov.following)
    return (first + RUNNER_UP * second) / jnp.sqrt(1 + RUNNER_UP**2)


def _hidden(krylov: Krylov, values: Float[Array, " m"], overlap: ScalarLike) -> Scalar:
    """Where the largest eigenvalue may be, given the least overlap; 0 for overlap 0.

    The root above all θ of Σ log(λ - θ_i) = Σ log β_j - log overlap.
    """
    filled, steps = krylov.filled, krylov.dimension
    between = jnp.where(filled[1:], jnp.diagonal(krylov.hessenberg, -1), 1)
    overlap = jnp.asarray(overlap, values.dtype)
    safe = jnp.where(overlap > 0, overlap, 1)
    logarithm = jnp.sum(jnp.log(between)) + jnp.log(krylov.beta) - jnp.log(safe)
    largest = jnp.max(jnp.where(filled, values, -jnp.inf))
    below = jnp.where(filled, largest - values, 0)

    def halve(_: Any, bracket: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        low, high = bracket
        middle = (low + high) / 2
        logs = jnp.where(filled, jnp.log(middle + below), 0)
        beyond = jnp.sum(logs) > logarithm
        return jnp.where(beyond, low, middle), jnp.where(beyond, middle, high)

    # Every factor is at least λ - max θ, which bounds the root from above. Twelve
    # halvings leave less than the safety factor; the upper end is the one returned.
    first = (jnp.zeros_like(largest), jnp.exp(logarithm / steps))
    excess = jax.lax.fori_loop(0, 12, halve, first)[1]
    return jnp.where(overlap > 0, jnp.maximum(largest + excess, 0), 0)
