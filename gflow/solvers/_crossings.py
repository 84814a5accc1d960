"""When within a step a switching function first reaches zero.

Each function is a polynomial in θ, the share of the step, positive while the mode
holds; rows of coefficients are ascending powers.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# A sign is looked at this often in a step. Two changes between two looks go unseen;
# the excursion is then short and shallow, of third order in a step already small.
_NUM_LOOKS = 8
_NUM_BISECTIONS = 52
_MAX_ROUNDS = 40


class Crossing(eqx.Module):
    """The first zero: whether there is one, its θ, and the functions at or below 0."""

    found: Bool[Array, ""]
    theta: Float[Array, ""]
    hit: Bool[Array, " q"]


def quartic(
    start: Array, slope: Array, middle: Array, end: Array, end_slope: Array
) -> Float[Array, "5 q"]:
    """The quartic with these values at θ = 0, ½, 1 and slopes at θ = 0 and 1."""
    rest = end - start - slope
    bend = end_slope - slope
    c4 = 16 * (middle - start - 0.5 * slope) - 8 * rest + 2 * bend
    c3 = bend - 2 * rest - 2 * c4
    return jnp.stack([start, slope, rest - c3 - c4, c3, c4])


def quadratic(
    start: Array, middle: Array, end: Array, at: float
) -> Float[Array, "5 q"]:
    """The quadratic with these values at θ = 0, `at` and 1."""
    rise, whole = (middle - start) / at, end - start
    c2 = (whole - rise) / (1 - at)
    zero = jnp.zeros_like(start)
    return jnp.stack([start, whole - c2, c2, zero, zero])


def first_crossing(polynomials: Float[Array, "5 q"]) -> Crossing:
    """The first θ in (0, 1] at which one of the polynomials goes below zero.

    They must not be below zero at θ = 0. Cost: some 10 evaluations of all of them.
    """
    dtype = polynomials.dtype
    looks = jnp.arange(1, _NUM_LOOKS + 1, dtype=dtype) / _NUM_LOOKS
    below = jnp.any(_powers(looks) @ polynomials < 0, axis=1)
    found, first = jnp.any(below), jnp.argmax(below)
    low, high = first / _NUM_LOOKS, (first + 1) / _NUM_LOOKS
    low, high = jnp.asarray(low, dtype), jnp.asarray(high, dtype)
    at_low = _at(polynomials, low)
    index = jnp.arange(polynomials.shape[1])

    def lagging(carry: Any) -> Any:
        high, last, _ = carry
        return (_at(polynomials, high) < 0) & (index != last)

    def cond(carry: Any) -> Any:
        return found & (carry[2] < _MAX_ROUNDS) & jnp.any(lagging(carry))

    def body(carry: Any) -> Any:
        # Of those below zero, the one whose chord is first; no other can be much
        # earlier, and if one is, the next round finds it.
        high, _, count = carry
        at_high = _at(polynomials, high)
        share = at_low / jnp.where(at_high < 0, at_low - at_high, 1)
        one = jnp.argmin(jnp.where(lagging(carry), share, jnp.inf))
        return _bisect(polynomials[:, one], low, high), one, count + 1

    theta, last, _ = jax.lax.while_loop(cond, body, (high, jnp.asarray(-1), 0))
    hit = found & ((_at(polynomials, theta) <= 0) | (index == last))
    return Crossing(found, theta.astype(dtype), hit)


def _bisect(polynomial: Array, low: Any, high: Any) -> Any:
    # Ends on the side below zero, so that what is released there is past its bound.
    def halve(_: Any, ends: Any) -> Any:
        low, high = ends
        middle = 0.5 * (low + high)
        below = _at(polynomial, middle) < 0
        return jnp.where(below, low, middle), jnp.where(below, middle, high)

    return jax.lax.fori_loop(0, _NUM_BISECTIONS, halve, (low, high))[1]


def _at(polynomials: Array, theta: Any) -> Array:
    return _powers(theta) @ polynomials


def _powers(theta: Any) -> Array:
    return jnp.asarray(theta)[..., None] ** jnp.arange(5)
