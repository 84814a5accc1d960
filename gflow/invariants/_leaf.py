"""The leaf {h(w) = h(w0)} of given laws.

J the derivative of h, a row for each entry · G the metric of the flow · K = J G^-1 Jᵀ.

The point of the leaf that is next to w in the metric is w + G^-1 Jᵀ λ, where λ solves
h(w + G^-1 Jᵀ λ) = h(w0). By Newton's method with a K that is kept

    λ <- λ - K⁺ (h(w + G^-1 Jᵀ λ) - h(w0)).                                         (1)

If the laws are conserved, J G^-1 ∇L = 0: along G^-1 Jᵀ, and no other way across the
leaf, the loss stays what it is to first order, and nothing moves along the flow. The
Euclidean way, Jᵀ, would change the loss where groups have rates of their own, and move
parameters that are frozen.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from .. import _trees as trees
from .._types import InvariantFn, Params
from ..problem import Metric

# h is known to so many units in the last place of what it is made of.
_ULPS = 16
# Newton's method with a K that is kept gains this factor an iteration, or has K anew.
_GAIN = 0.1
# Twice as many as it takes at a double root, where a fourth is left of the distance
# each time, to go from a part in a million down to round-off.
_MOST = 30
# Eigenvalues of K so near to its round-off, over the largest, are of laws that say the
# same. They are damped, not cut off: round-off must not decide what a run does.
_DAMPING = 8

Vector = Float[Array, " n"]
Entries = Float[Array, " k"]
Rows = Float[Array, "k n"]


class Landing(eqx.Module):
    """A point brought to the leaf."""

    w: Params
    # The Euclidean length of the way.
    correction: Float[Array, ""]
    # The largest |h(w) - h(w0)| that is left.
    distance: Float[Array, ""]
    iterations: Int[Array, ""]
    # Whether what is left is round-off, that of the largest entry of each law.
    converged: Bool[Array, ""]


class _Linear(eqx.Module):
    """The laws near a point, to first order."""

    # G^-1 Jᵀ, a row for each entry; K⁺.
    ways: Rows
    inverse: Float[Array, "k k"]
    # The round-off of each entry of h, and that of the largest of its law. The one is
    # aimed at, and the other enough: where a law is singular, an entry that starts at
    # the square of round-off cannot be held to its own.
    round_off: Entries
    slack: Entries


class _Iterate(eqx.Module):
    flat: Vector
    miss: Entries
    linear: _Linear
    iterations: Int[Array, ""]
    # Whether K is to be had anew.
    is_slow: Bool[Array, ""]


class Leaf(eqx.Module):
    """Laws, and the geometry in which the nearest point is meant.

    **Arguments:**

    - `laws`: name -> callable `w -> array`.
    - `static`: the leaves of w that are not parameters, None where all are.
    - `metric`: None for the Euclidean one.
    """

    laws: Mapping[str, InvariantFn]
    static: Any
    metric: Metric | None

    def values(self, params: Params) -> Entries:
        """All entries of all laws, flat."""
        full, dtype = self.whole(params), trees.dtype(params)
        values = [jnp.asarray(h(full), dtype).ravel() for h in self.laws.values()]
        return jnp.concatenate(values)

    def _largest(self, params: Params, sizes: Entries) -> Entries:
        """For each entry the largest of its law."""
        shapes = eqx.filter_eval_shape(
            lambda w: [jnp.ravel(h(w)) for h in self.laws.values()], self.whole(params)
        )
        ends = np.cumsum([shape.size for shape in shapes])[:-1].tolist()
        parts = jnp.split(sizes, ends)
        return jnp.concatenate([jnp.full_like(x, jnp.max(x, initial=0)) for x in parts])

    def land(self, params: Params, target: Entries) -> Landing:
        """The point next to w where the laws have the target's values.

        **Cost:** one evaluation of the laws for each iteration, of which a step takes
        two or three; but for those that are there already, one derivative of the laws
        and the eigenvalues of K. Memory: 2 k n for k entries and n parameters.
        """
        flat, unravel = ravel_pytree(params)

        def miss(flat: Vector) -> Entries:
            return self.values(unravel(flat)) - target

        def goes_on(at: _Iterate) -> Any:
            there = jnp.all(jnp.abs(at.miss) <= at.linear.round_off)
            finite = jnp.all(jnp.isfinite(at.miss)) & jnp.all(jnp.isfinite(at.flat))
            return ~there & finite & (at.iterations < _MOST)

        def step(at: _Iterate) -> _Iterate:
            linear = jax.lax.cond(
                at.is_slow,
                lambda: self._linear(at.flat, unravel, target),
                lambda: at.linear,
            )
            flat = at.flat - (linear.inverse @ at.miss) @ linear.ways
            left = miss(flat)
            is_slow = _size(left, linear) > _GAIN * _size(at.miss, linear)
            return _Iterate(flat, left, linear, at.iterations + 1, is_slow)

        first = _Iterate(
            flat,
            miss(flat),
            self._linear(flat, unravel, target),
            jnp.zeros((), jnp.int32),
            jnp.asarray(False),
        )
        end = jax.lax.while_loop(goes_on, step, first)
        return Landing(
            w=unravel(end.flat),
            correction=jnp.linalg.norm(end.flat - flat),
            distance=jnp.max(jnp.abs(end.miss)),
            iterations=end.iterations,
            converged=jnp.all(jnp.abs(end.miss) <= end.linear.slack),
        )

    def whole(self, params: Params) -> Params:
        """With the leaves that do not move."""
        return params if self.static is None else eqx.combine(params, self.static)

    def _linear(
        self, flat: Vector, unravel: Callable[[Vector], Params], target: Entries
    ) -> _Linear:
        J: Rows = jax.jacrev(lambda x: self.values(unravel(x)))(flat)
        ways = J
        if self.metric is not None:
            metric, w = self.metric, self.whole(unravel(flat))
            ways = jax.vmap(
                lambda row: ravel_pytree(metric.inverse_apply(w, unravel(row)))[0]
            )(J)
        # What h moves by when each parameter is rounded.
        size = jnp.abs(J) @ jnp.abs(flat) + jnp.abs(target)
        round_off = _ULPS * jnp.finfo(flat.dtype).eps * size
        slack = self._largest(unravel(flat), round_off)
        return _Linear(ways, _inverse(J @ ways.T), round_off, slack)


def _size(miss: Entries, linear: _Linear) -> Any:
    """The largest entry in units of round-off."""
    unit = jnp.maximum(linear.round_off, jnp.finfo(miss.dtype).tiny)
    return jnp.max(jnp.abs(miss) / unit)


def _inverse(K: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """K⁺, by the eigenvalues of K scaled to a diagonal of ones."""
    diagonal = jnp.diagonal(K)
    # A law that does not change where w stands says nothing of the way.
    scale = jnp.where(diagonal > 0, diagonal, 1) ** -0.5
    values, vectors = jnp.linalg.eigh(scale[:, None] * K * scale)
    least = _DAMPING * len(K) * jnp.finfo(K.dtype).eps
    inverse = values / (values**2 + (least * jnp.maximum(values[-1], 0)) ** 2)
    inverse = jnp.where(values > 0, inverse, 0)
    vectors = scale[:, None] * vectors
    return (vectors * inverse) @ vectors.T
