"""The phi-functions of exponential integrators, of numbers and of operators.

phi_0(z) = e^z, phi_{p+1}(z) = (phi_p(z) - 1/p!)/z, phi_p(0) = 1/p!.

Letters: B = tA; s in [0, 1] the time reached, tau a sub-step; u(s) = s^p phi_p(sB) v;
T the projection of B on a Krylov space, beta its residual.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._types import Params, Scalar, ScalarLike
from ._flat import Flat, Matvec, Vector, flatten
from ._krylov import Krylov, Pairs, begin, expand, ritz

# Below 2 in modulus the series, beyond it the recursion, which divides at every order
# and so loses no digits there. 26 terms leave 2^26/29! < 1e-23.
_SWITCH, _TERMS = 2.0, 26


def phi(order: int, z: Float[Array, "..."]) -> Float[Array, "..."]:
    """phi_order(z) entry by entry, to a few units of round-off, for real z.

    **Arguments:**

    - `order`: 0, 1, 2, ...; accuracy is stated up to 4.
    - `z`: of any shape.

    **Returns:** an array of the shape and type of `z`.

    **References:** Hochbruck and Ostermann (2010), section 2.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.linalg import phi
    >>> print(phi(1, jnp.asarray([0.0, 1.0])).round(4))
    [1.     1.7183]

    ```
    """
    if order == 0:
        return jnp.exp(z)
    near = jnp.where(jnp.abs(z) < _SWITCH, z, 0)
    series = jnp.zeros_like(z)
    for j in reversed(range(_TERMS)):
        series = series * near + 1 / math.factorial(j + order)
    far = jnp.where(jnp.abs(z) < _SWITCH, _SWITCH, z)
    value = jnp.expm1(far) / far
    for p in range(1, order):
        value = (value - 1 / math.factorial(p)) / far
    return jnp.where(jnp.abs(z) < _SWITCH, series, value)


class PhiAction(eqx.Module):
    """phi_p(tA) v, and how well it is known.

    - `value`: a pytree like v.
    - `error`: a bound on the norm of its error, up to round-off.
    - `converged`: whether that is at most `rtol` ‖v‖.
    - `products`: matrix-vector products taken.
    """

    value: Params
    error: Scalar
    converged: Bool[Array, ""]
    products: Int[Array, ""]


class _Progress(eqx.Module):
    """The time s reached, u(s), the error gathered and the products taken."""

    s: Scalar
    u: Float[Array, " n"]
    error: Scalar
    products: Int[Array, ""]


def phi_action(
    matvec: Matvec,
    v: Params,
    t: ScalarLike,
    order: int,
    *,
    rtol: float = 1e-8,
    num_steps: int = 30,
    max_products: int = 1000,
    weigh: Matvec | None = None,
) -> PhiAction:
    """phi_order(tA) v for a symmetric A, by Lanczos with sub-steps.

    u(s) = s^p phi_p(sB) v solves u' = Bu + s^(p-1)/(p-1)! v, and so can be advanced
    from any s by a step tau with a Krylov space of its own: all of [0, 1] in one space
    if it converges, else in as many steps as it takes. The error of a step is at most
    β tau^(p+1) [phi_{p+1}(tau T)]_{m,1} ‖w‖ e^(tau max(0, λ)), λ the largest
    eigenvalue of B: phi_{p+1}(tau T) has no negative entry, since T has none beside
    its diagonal, so the integral that is the error has a weight of one sign. With
    the largest Ritz value for λ it is a bound for tA ≤ 0 and an estimate otherwise.

    Round-off: the step from s > 0 multiplies p times by B, so that sub-steps lose
    about ‖tA‖^(p-1) units of it. A larger `num_steps` takes fewer of them.

    **Arguments:**

    - `matvec`: x -> A x, linear and symmetric in the inner product.
    - `v`: the vector.
    - `t`: a real number of either sign; it may be traced.
    - `order`: p, from 0 to 3.
    - `rtol`: the error allowed, relative to ‖v‖.
    - `num_steps`: the most vectors of a Krylov space.
    - `max_products`: no sub-step is begun once so many are taken.
    - `weigh`: x -> M x, of the inner product x·M y in which A is symmetric
        (`lanczos`), and of the norms.

    **Returns:** a `PhiAction`.

    **Raises:** `ValueError` for another order.

    **Cost:** of order sqrt(‖tA‖) products while they are fewer than `num_steps`; with
    sub-steps more, by `order` for each; `num_steps` vectors.

    **References:** Saad (1992), the error; Niesen and Wright (2012), the sub-steps;
    Hochbruck and Lubich (1997), the number of products.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.linalg import phi, phi_action
    >>> d = -jnp.linspace(0.0, 10.0, 100)
    >>> got = phi_action(lambda x: d * x, jnp.ones(100), 2.0, 1, rtol=1e-6)
    >>> bool(jnp.linalg.norm(got.value - phi(1, 2.0 * d)) <= got.error)
    True

    ```
    """
    if order not in (0, 1, 2, 3):
        raise ValueError(f"order must be 0, 1, 2 or 3, not {order!r}")
    plain, flat = flatten(matvec, v, weigh)
    operator = Flat(
        lambda x: jnp.asarray(t, x.dtype) * plain.apply(x), plain.weigh, plain.unravel
    )
    length = operator.norm(flat)

    def unfinished(now: _Progress) -> Bool[Array, ""]:
        return (now.s < 1) & (now.products < max_products)

    def body(now: _Progress) -> _Progress:
        return _substep(operator, flat, order, rtol * length, num_steps, now)

    zero = jnp.zeros((), flat.dtype)
    start = flat if order == 0 else jnp.zeros_like(flat)
    now = _Progress(zero, start, zero, jnp.asarray(0, jnp.int32))
    now = jax.lax.while_loop(unfinished, body, now)
    reached = now.s >= 1
    return PhiAction(
        plain.unravel(now.u),
        jnp.where(reached, now.error, jnp.inf),
        reached & (now.error <= rtol * length),
        now.products,
    )


def _substep(
    operator: Flat,
    v: Vector,
    order: int,
    allowed: Scalar,
    num_steps: int,
    now: _Progress,
) -> _Progress:
    """One Krylov space, and the longest step that it allows."""
    remaining = 1 - now.s
    ws, taken = _derivatives(operator, v, order, now)
    length = operator.norm(ws[-1])

    def error(krylov: Krylov, pairs: Pairs, tau: Scalar) -> Scalar:
        values, rows, _ = pairs
        last = jnp.take(rows, krylov.dimension - 1, axis=0, mode="clip")
        entry = jnp.abs(jnp.sum(last * phi(order + 1, tau * values) * rows[0]))
        growth = jnp.exp(tau * jnp.maximum(jnp.max(values), 0))
        return length * krylov.beta * tau ** (order + 1) * entry * growth

    def enough(krylov: Krylov) -> Bool[Array, ""]:
        return error(krylov, ritz(krylov), remaining) <= allowed * remaining

    krylov = expand(operator, begin(operator, ws[-1], num_steps), enough)
    pairs = ritz(krylov)
    # 1, 0.8, 0.64, ... of what remains: all are tried at once, which costs next to
    # nothing, and the longest that does is taken. The share of the error is that of
    # the time, and round-off is no reason to go slower.
    taus = remaining * 0.8 ** jnp.arange(60, dtype=v.dtype)
    errors = jax.vmap(lambda tau: error(krylov, pairs, tau))(taus)
    floor = 4 * jnp.finfo(v.dtype).eps * length * taus**order
    does = errors <= jnp.maximum(allowed * taus, floor)
    choice = jnp.where(jnp.any(does), jnp.argmax(does), len(taus) - 1)
    tau = taus[choice]
    values, coordinates, _ = pairs
    small = coordinates @ (phi(order, tau * values) * coordinates[0])
    u = length * tau**order * (small @ krylov.basis)
    for j, w in enumerate(ws[:-1]):
        u = u + tau**j / math.factorial(j) * w
    return _Progress(
        jnp.where(choice == 0, 1, now.s + tau),
        u,
        now.error + errors[choice],
        now.products + taken + krylov.dimension,
    )


def _derivatives(
    operator: Flat, v: Vector, order: int, now: _Progress
) -> tuple[Float[Array, "orders n"], Int[Array, ""]]:
    """w_0 = u and w_j = B w_{j-1} + s^(p-j)/(p-j)! v for j = 1 .. p; products taken.

    u(s + tau) = tau^p phi_p(tau B) w_p + Σ_{j<p} tau^j/j! w_j. At s = 0 all but w_p = v
    are zero, and no product is needed.
    """
    places = range(order + 1)
    shares = [now.s ** (order - j) / math.factorial(order - j) for j in places]
    shares = jnp.stack([jnp.asarray(x, v.dtype) for x in shares])

    def differentiate(j: Array, ws: Array) -> Array:
        return ws.at[j].set(operator.apply(ws[j - 1]) + shares[j] * v)

    started = now.s > 0
    zero = jnp.zeros((order + 1, v.size), v.dtype)
    ws = jnp.where(started, zero.at[0].set(now.u), zero.at[-1].set(v))
    taken = jnp.where(started, order, 0).astype(jnp.int32)
    return jax.lax.fori_loop(1, taken + 1, differentiate, ws), taken
