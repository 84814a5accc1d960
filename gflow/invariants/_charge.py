"""Charges of a symmetry, from its generator.

ξ the generator · G the metric · b = G ξ · o an origin.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import _trees as trees
from .._types import Params, Scalar
from ..problem import Metric
from ._drive import Drive
from ._generators import Generator
from ._invariant import Invariant
from ._momentum_laws import Inertial, gain

# Points of Gauss and Legendre along the ray of the integral: exact for charges of
# degree up to 64; and fewer, whose result must be the same.
_RULES = tuple(np.polynomial.legendre.leggauss(n) for n in (32, 24))

# Of the integral of the absolute value.
_RESOLVED = 1e-9


def covector(metric: Metric | None, moves: Generator, w: Params) -> Params:
    """G ξ; 0 for what a rate of 0 freezes."""
    xi = eqx.filter(moves(w), eqx.is_inexact_array)
    if metric is None:
        return xi
    inverse = metric.inverse_apply(w, jax.tree.map(jnp.ones_like, xi))
    return jax.tree.map(
        lambda x, g: jnp.where(g > 0, x / jnp.where(g > 0, g, 1), 0), xi, inverse
    )


def gradient_charge(driven: Drive, field: Any, keys: Array) -> Invariant:
    """h with ∇h = G ξ, and its gradient held against that.

    **Raises:** `ValueError` if the quadrature does not resolve it.
    """
    like = eqx.filter(driven.whole(jnp.asarray(driven.start)), eqx.is_inexact_array)
    origin = jax.tree.map(jnp.zeros_like, like)
    start = driven.whole(jnp.zeros(driven.size))
    if not bool(trees.all_finite(field(start))):
        origin = like
    invariant = Invariant(
        eqx.Partial(_along_ray, field, origin),
        formula="the charge of the symmetry",
        reference="Noether 1918",
    )

    def off(key: Array) -> Array:
        w = eqx.filter(driven.whole(driven.draw(key)), eqx.is_inexact_array)
        b = field(driven.whole(driven.draw(key)))
        return trees.norm(
            jax.tree.map(jnp.subtract, jax.grad(invariant)(w), b)
        ) / trees.norm(b)

    worst = float(jnp.max(jax.vmap(off)(keys)))
    if not worst < 1e-6:
        raise ValueError(
            f"the charge is not resolved: its gradient is off by {worst:.0e}. Give a "
            "`like` nearer to the parameters of interest, away from singularities of xi"
        )
    return invariant


def _along_ray(field: Any, origin: Params, w: Params) -> Scalar:
    """∫_0^1 ⟨b(o + s (w - o)), w - o⟩ ds, nan where it is not resolved."""
    params, static = eqx.partition(w, eqx.is_inexact_array)
    start = jax.tree.map(lambda o, x: jnp.asarray(o, x.dtype), origin, params)
    ray = jax.tree.map(jnp.subtract, params, start)

    def at(s: Array) -> Scalar:
        point = jax.tree.map(lambda o, d: o + s.astype(d.dtype) * d, start, ray)
        return trees.inner(field(eqx.combine(point, static)), ray)

    sums: list[Any] = []
    for nodes, weights in _RULES:
        values = jax.vmap(at)(jnp.asarray(0.5 * (nodes + 1)))
        weights = jnp.asarray(0.5 * weights, values.dtype)
        sums.append((weights @ values, weights @ jnp.abs(values)))
    (fine, size), (coarse, _) = sums
    least = max(_RESOLVED, 100 * float(jnp.finfo(size.dtype).eps))
    return jnp.where(jnp.abs(fine - coarse) <= least * size, fine, jnp.nan)


def momentum_charge(flow: Inertial, field: Any, t: Any, w: Params, v: Params) -> Scalar:
    """e^∫γ ⟨G ξ, v⟩ at time t."""
    return gain(flow, t) * trees.inner(field(w), v)
