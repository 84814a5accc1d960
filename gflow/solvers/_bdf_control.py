"""The next step and order of a multistep method."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Errors are multiplied by these before a step is chosen (lower, same, higher order):
# the next step is to be accepted, and a change of order is to be worth it.
_BIAS = (2.0, 2.0, 3.5)
# A step grows only if it grows by so much, for its coefficients to settle between; and
# by no more, but at the start, where the first step is a guess.
_LEAST_GROWTH, _LARGEST_GROWTH, _LARGEST_FIRST_GROWTH = 1.2, 2.0, 10.0
# An order whose accepted error is above this is left if a lower one is better.
_LARGE = 0.5
# A step that is refused shrinks to no less, and to this share where its equation could
# not be solved, of which the error knows nothing.
_LEAST_SHARE, _UNSOLVED_SHARE = 0.2, 0.25
# The factor that a controller multiplies with the inverse error.
SAFETY = 0.9


def next_step(
    errors: Float[Array, "3"],
    order: Int[Array, ""],
    max_order: int,
    num_points: Int[Array, ""],
    age: Int[Array, ""],
    cut: Any,
    solved: Any,
) -> tuple[Any, Any, Any]:
    """Whether a step is accepted, the factor for the next, and its order.

    The factor is at least 1 after an accepted step and at most 0.9 after a refused
    one, which is what a controller can do.

    **Arguments:**

    - `errors`: in units of the tolerance, had the order been one lower, as it was, or
        one higher.
    - `num_points`: past points that the step saw.
    - `age`: accepted steps since order or step changed. Both change only after as
        many steps as the order: differences over unlike steps mislead.
    - `cut`: whether the step was much shorter than asked for, and may grow at once.
    """
    orders = order + jnp.arange(-1, 2)
    bias = jnp.asarray(_BIAS, errors.dtype)
    tiny = jnp.finfo(errors.dtype).tiny
    factors = jnp.maximum(bias * errors, tiny) ** (-1.0 / (orders + 1))
    higher = (order < max_order) & (num_points >= order + 2)
    allowed = jnp.stack([order > 1, jnp.asarray(True), higher])
    factors = jnp.where(allowed, factors, 0)
    best = jnp.argmax(factors)
    starting = (num_points < 3) | cut
    most = jnp.where(starting, _LARGEST_FIRST_GROWTH, _LARGEST_GROWTH)
    growth = jnp.minimum(factors[best], most)
    grows = ((age >= order) | starting) & (growth >= _LEAST_GROWTH)
    lowers = ~grows & (factors[0] > factors[1]) & (errors[1] > _LARGE)
    accepted = solved & (errors[1] <= 1)
    share = jnp.clip(factors[1], _LEAST_SHARE, SAFETY)
    share = jnp.where(solved, share, _UNSOLVED_SHARE)
    factor = jnp.where(accepted, jnp.where(grows, growth, 1), share)
    next_order = jnp.where(grows, orders[best], order - lowers)
    return accepted, factor, next_order.astype(jnp.int32)
