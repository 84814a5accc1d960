"""The Lanczos method with full reorthogonalization."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._types import Params
from ._flat import Matvec, flatten
from ._krylov import Krylov, begin, expand, never, ritz


class Lanczos(eqx.Module):
    """Ritz pairs of a symmetric operator, in ascending order.

    The arrays have as many entries as steps were allowed; only those where `found`
    holds mean anything. Others have value 0, vector 0 and residual inf.

    - `values`: Ritz values. The largest is at most the largest eigenvalue, the smallest
        at least the smallest.
    - `vectors`: Ritz vectors, orthonormal, along the leading axis of every leaf.
    - `residuals`: ‖A x - θ x‖; an eigenvalue lies within this of the Ritz value.
    - `found`: which entries count.
    - `products`: matrix-vector products taken.
    """

    values: Float[Array, " m"]
    vectors: Params
    residuals: Float[Array, " m"]
    found: Bool[Array, " m"]
    products: Int[Array, ""]


def lanczos(
    matvec: Matvec,
    start: Params,
    num_steps: int,
    *,
    rtol: float = 0.0,
    num_largest: int = 1,
    num_smallest: int = 0,
    weigh: Matvec | None = None,
) -> Lanczos:
    """Ritz pairs of A from the Krylov space of A and `start`.

    Reorthogonalization is full, so that no eigenvalue is found twice. One start sees
    one vector of each eigenspace: for multiplicities, use `eigenpairs`. If the space
    is invariant before `num_steps` (start in few eigenspaces, rank-deficient A, or
    `num_steps` above the dimension), the iteration ends there, exact to round-off.

    Own code: matfree's tridiagonalization always takes all its steps, asks for no more
    than the dimension, and knows neither a breakdown nor another inner product.

    **Arguments:**

    - `matvec`: x -> A x, linear and symmetric in the inner product.
    - `start`: the first vector, any but zero, of the structure of x.
    - `num_steps`: the most products, and the number of vectors stored.
    - `rtol`: stop when the residual of each wanted pair is at most `rtol` times the
        largest |Ritz value|. With 0 all steps are taken.
    - `num_largest`, `num_smallest`: how many pairs at each end are wanted.
    - `weigh`: x -> M x, symmetric positive definite, when A is symmetric in the inner
        product x·M y and not in x·y: the Jacobian -R∇²L of a flow with rates R has
        M = R^-1. Where a rate is 0 the vectors are 0, and any weight will do.

    **Returns:** a `Lanczos`.

    **Cost:** at most `num_steps` products; 8 `num_steps` n operations each beside, and
    an eigenvalue problem of size `num_steps` each if `rtol` > 0; `num_steps` vectors.

    **References:** Lanczos (1950); Paige (1971); Parlett (1998), The symmetric
    eigenvalue problem, ch. 13.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.linalg import lanczos
    >>> d = jnp.asarray([5.0, 2.0, 1.0])
    >>> pairs = lanczos(lambda x: d * x, jnp.ones(3), 3)
    >>> print(pairs.values.round(4), pairs.products)
    [1. 2. 5.] 3

    ```
    """
    operator, flat = flatten(matvec, start, weigh)

    def converged(krylov: Krylov) -> Bool[Array, ""]:
        values, _, residuals = ritz(krylov)
        place, end = jnp.arange(num_steps), krylov.dimension
        wanted = (place < num_smallest) | (place >= end - num_largest) & (place < end)
        small = residuals <= rtol * jnp.max(jnp.abs(values))
        enough = end >= num_largest + num_smallest
        return enough & jnp.all(small | ~wanted)

    stop = converged if rtol > 0 else never
    krylov = expand(operator, begin(operator, flat, num_steps), stop)
    values, coordinates, residuals = ritz(krylov)
    vectors = operator.unstack(coordinates.T @ krylov.basis)
    return Lanczos(values, vectors, residuals, krylov.filled, krylov.dimension)
