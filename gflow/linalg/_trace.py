"""Trace and diagonal of an operator from products with random signs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .._types import Params, Scalar
from ._flat import Matvec, Vector, flatten


class TraceEstimate(eqx.Module):
    """Means over random vectors, and their standard errors.

    - `trace`, `trace_error`: of tr A.
    - `diagonal`, `diagonal_error`: pytrees like x, entry by entry.
    """

    trace: Scalar
    trace_error: Scalar
    diagonal: Params
    diagonal_error: Params


def trace_estimate(
    matvec: Matvec, like: Params, num_samples: int, *, key: PRNGKeyArray
) -> TraceEstimate:
    """Hutchinson's estimates of tr A and of the diagonal of A.

    For z of independent random signs, z·Az has mean tr A and variance
    2 Σ_{i≠j} a_ij^2 (A symmetric), and z * Az has mean diag A. Neither depends on an
    inner product. Where a few eigenvalues make up most of the trace, take those from
    `eigenpairs` and estimate what remains.

    The samples are run one after the other: own code, since matfree's estimators run
    all of them side by side, in `num_samples` times the memory of a product.

    **Arguments:**

    - `matvec`: x -> A x, linear.
    - `like`: a pytree of the structure of x; only its shapes and types matter.
    - `num_samples`: at least 2, as errors are estimated from the spread.
    - `key`: for the signs.

    **Returns:** a `TraceEstimate`; errors fall as 1/√num_samples.

    **Raises:** `ValueError` for fewer than 2 samples.

    **Cost:** `num_samples` products.

    **References:** Hutchinson (1990); Bekas, Kokiopoulou and Saad (2007), the diagonal.

    ```python
    >>> import jax, jax.numpy as jnp
    >>> from gflow.linalg import trace_estimate
    >>> d = jnp.arange(4.0)
    >>> got = trace_estimate(lambda x: d * x, d, 3, key=jax.random.key(0))
    >>> print(got.trace, got.trace_error)
    6.0 0.0

    ```
    """
    if num_samples < 2:
        raise ValueError(f"num_samples must be at least 2, not {num_samples}")
    operator, flat = flatten(matvec, like)

    def sample(i: Any, moments: tuple[Vector, Vector]) -> tuple[Vector, Vector]:
        mean, squares = moments
        signs = jax.random.rademacher(jax.random.fold_in(key, i), flat.shape)
        z = signs.astype(flat.dtype)
        diagonal = z * operator.apply(z)
        # The trace rides along as one more entry. Welford's recursion: no cancellation.
        value = jnp.append(diagonal, jnp.sum(diagonal))
        gap = value - mean
        mean = mean + gap / (i + 1).astype(flat.dtype)
        return mean, squares + gap * (value - mean)

    none = jnp.zeros(flat.size + 1, flat.dtype)
    mean, squares = jax.lax.fori_loop(0, num_samples, sample, (none, none))
    error = jnp.sqrt(squares / (num_samples * (num_samples - 1)))
    return TraceEstimate(
        mean[-1], error[-1], operator.unravel(mean[:-1]), operator.unravel(error[:-1])
    )
