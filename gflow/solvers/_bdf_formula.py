"""The coefficients of backward differentiation on any grid of times."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Weights = Float[Array, " depth"]


class Formula(eqx.Module):
    """One step of BDF of order q from past points (t_i, y_i), newest first, to t.

    With the polynomial P through (t, y) and the q newest points, P'(t) = f(t, y) reads

        y = ψ + γ f(t, y),   1/γ = Σ_{i<q} 1/(t - t_i),   ψ = Σ_i `psi`_i y_i.

    The polynomial through the q + 1 newest points predicts y, and the local error of
    the formula is γ/(t - t_q) (y - prediction) in the limit of small steps.

    For k = q-1, q, q+1 row k - q + 1 of `predictors` extrapolates from k + 1 points,
    and `constants` has γ_k/(t - t_k), so that the errors that the neighboring orders
    would have made are known as well.

    **References:** Hairer, Nørsett, Wanner, "Solving Ordinary Differential Equations
    I" (1993), III.5; Brayton, Gustavson, Hachtel (1972).
    """

    gamma: Float[Array, ""]
    psi: Weights
    predictors: Float[Array, "3 depth"]
    constants: Float[Array, "3"]


def extrapolation(t: Float[Array, ""], times: Weights, num: Int[Array, ""]) -> Weights:
    """The values at t of the Lagrange basis of the first `num` times.

    Weights of the other times are 0. Cost: depth² divisions.
    """
    used = jnp.arange(len(times)) < num
    both = used[:, None] & used[None, :] & ~jnp.eye(len(times), dtype=bool)
    top = jnp.where(both, t - times[None, :], 1)
    bottom = jnp.where(both, times[:, None] - times[None, :], 1)
    return jnp.where(used, jnp.prod(top / bottom, axis=1), 0)


def formula(t: Float[Array, ""], times: Weights, order: Int[Array, ""]) -> Formula:
    """BDF of the given order to t from strictly falling times, all below t.

    **Arguments:**

    - `times`: (depth,), newest first; order + 1 of them must be points of the past,
        and order + 2 for the error of the next order to mean anything. The others may
        be any distinct numbers.
    """
    indices = jnp.arange(len(times))
    inverse = 1 / (t - times)

    def gamma(k: Int[Array, ""]) -> Float[Array, ""]:
        return 1 / jnp.sum(jnp.where(indices < k, inverse, 0))

    orders = jnp.clip(order + jnp.arange(-1, 2), 1, len(times) - 1)
    predictors = jax.vmap(lambda k: extrapolation(t, times, k + 1))(orders)
    constants = jax.vmap(gamma)(orders) * inverse[orders]
    own = gamma(order)
    psi = own * extrapolation(t, times, order) * inverse
    return Formula(own, psi, predictors, constants)
