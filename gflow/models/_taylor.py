"""Derivatives of a function along directions, by Taylor-mode differentiation."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.experimental.jet import jet
from jaxtyping import Array, Float


def directional_derivatives(
    f: Callable[[Array], Array],
    x: Float[Array, "n d"],
    direction: Float[Array, "*points d"],
    order: int,
) -> Float[Array, "derivatives n"]:
    """f, D_v f, D_v² f, …, D_v^k f at n points, in one pass.

    D_v^k f(x) is the k-th derivative of f(x + s v) at s = 0. One truncated Taylor
    series goes through the function: each nonlinear operation on it costs O(k²), each
    linear one O(k), where k nested passes of forward or reverse mode cost O(2^k).

    **Arguments:**

    - `f`: `(n, d) -> (n,)`, row by row, of operations whose Taylor rules jax has:
        sums, products, quotients, powers, exp, log, sin, cos, sinh, cosh, tanh,
        sigmoid, erf and what is made of them (`jax.nn.silu`, `jax.nn.gelu`,
        `gflow.models.softplus`). It must be smooth: a kink (of `jnp.abs`,
        `jnp.maximum`, `jax.nn.leaky_relu`) is passed over without a word, and f of
        straight pieces has derivatives of exactly 0 from order 2 on. This cannot be
        told from f in general.
    - `x`: the points; `direction`: v, one for all of shape (d,), or one a point.
    - `order`: k ≥ 1.

    **Returns:** shape (k + 1, n).

    **Raises:** `ValueError` for an order below 1, or an f of another shape than (n,);
    `TypeError` if jax has no Taylor rule for something in f.

    **References:** Griewank, Walther 2008, *Evaluating Derivatives*, chapter 13.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import directional_derivatives
    >>> f = lambda x: x[:, 0] ** 3
    >>> print(directional_derivatives(f, jnp.array([[2.0]]), jnp.ones(1), 3)[:, 0])
    [ 8. 12. 12.  6.]

    ```
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, not {order}")
    v = jnp.broadcast_to(direction, x.shape)
    series = (v, *(jnp.zeros_like(x) for _ in range(order - 1)))
    try:
        # Coefficients without factorials: jax's own are exp(lgamma), rounded.
        value, terms = jet(f, (x,), (series,), factorial_scaled=False)
    except (KeyError, NotImplementedError, jax.errors.UnexpectedTracerError) as error:
        cause = "of its own derivative rule" if "Tracer" in str(error) else str(error)
        raise TypeError(
            "jax has no Taylor rule for something in this function "
            f"({cause}): write it with operations that have one, such as tanh, sin, "
            "exp, sigmoid, erf (gflow.models.softplus for jax.nn.softplus)"
        ) from error
    if value.shape != x.shape[:1]:
        raise ValueError(
            f"the function must give one number a row, shape {x.shape[:1]}, not "
            f"{value.shape}: take one column, as in f(x)[:, 0]"
        )
    scaled = [float(math.factorial(k)) * term for k, term in enumerate(terms, start=1)]
    return jnp.stack([value, *scaled])


class Partials(eqx.Module):
    """Partial derivatives of f at given points, for writing a differential operator.

    `partials(axis, order)` is ∂^order f/∂x_axis^order, order 0 the value; `along`
    takes any direction, from which mixed derivatives follow:
    ∂²f/∂x∂y = (D²_{(1,1)} f - D²_{(1,-1)} f)/4.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.models import Partials
    >>> partials = Partials(lambda x: x[:, 0] ** 2 * x[:, 1], jnp.array([[3.0, 5.0]]))
    >>> print(partials(0, 2), partials(1, 1), partials.along((1.0, 1.0), 3))
    [10.] [9.] [6.]

    ```
    """

    f: Callable[[Array], Array]
    x: Float[Array, "n d"]

    def __call__(self, axis: int, order: int) -> Float[Array, " n"]:
        """The derivative of that order along that axis."""
        if order == 0:
            return self.f(self.x)
        dim = self.x.shape[1]
        if not 0 <= axis < dim:
            raise ValueError(f"axis must be from 0 to {dim - 1}, not {axis}")
        return self.along(jnp.eye(dim, dtype=self.x.dtype)[axis], order)

    def along(self, direction: Any, order: int) -> Float[Array, " n"]:
        """The derivative along a direction, one for all or one a point."""
        v = jnp.asarray(direction, self.x.dtype)
        return directional_derivatives(self.f, self.x, v, order)[order]
