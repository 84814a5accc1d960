"""The kinks of a piecewise smooth loss: where they are, and the smooth field on a side.

z_p value of switching function p, P of them · σ the activation, σ(z) = high z for
z > 0 and low z for z < 0 · s_p slope of pair p: low, high, or a multiplier between
them where z_p is held at 0 · g_p signal, ∂L/∂σ_p.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._types import Params, Scalar
from ._metric import Metric

Activate = Callable[[Array], Array]
Descend = Callable[[Params], Params]

# Room for values held at zero takes its square in memory, and as many reverse passes
# for each gradient; beyond this the caller must ask for more.
_MOST_HELD = 256


class Normals(eqx.Module):
    """The gradients ∇z of C switching values, as a linear map."""

    @abc.abstractmethod
    def push(self, velocity: Params) -> Float[Array, " c"]:
        """dz/dt along a velocity."""

    @abc.abstractmethod
    def pull(self, weights: Float[Array, " c"]) -> Params:
        """The covector Σ weights_q ∇z_q."""

    @abc.abstractmethod
    def gram(self, descend: Descend) -> Float[Array, "c c"]:
        """⟨∇z_p, G^-1 ∇z_q⟩, with `descend` the map from a covector v to -G^-1 v."""


class DenseNormals(Normals):
    """Normals given row by row: a tree of the structure of w, with C leading.

    **Cost:** memory C times the parameters; the Gram matrix C² inner products.
    """

    rows: Params

    def push(self, velocity: Params) -> Float[Array, " c"]:
        """dz/dt along a velocity."""
        return _contract(self.rows, velocity)

    def pull(self, weights: Float[Array, " c"]) -> Params:
        """The covector Σ weights_q ∇z_q."""
        return jax.tree.map(lambda row: jnp.tensordot(weights, row, 1), self.rows)

    def gram(self, descend: Descend) -> Float[Array, "c c"]:
        """⟨∇z_p, G^-1 ∇z_q⟩."""
        raised = jax.vmap(descend)(self.rows)
        return -jax.vmap(lambda v: _contract(self.rows, v), out_axes=1)(raised)


def _contract(rows: Params, velocity: Params) -> Array:
    terms = jax.tree.map(
        lambda r, v: jnp.reshape(r, (r.shape[0], -1)) @ jnp.ravel(v), rows, velocity
    )
    return sum(jax.tree.leaves(terms))  # pyright: ignore[reportReturnType]


class Kinks(eqx.Module):
    """Where a loss is not smooth: L(w) written with its activations left open.

    `loss(w, activate)` must call `activate` on each array of switching values, in an
    order that does not depend on their numbers, and use what it returns in the place
    of σ(z). Everything else follows by automatic differentiation: with the slopes
    frozen, σ(z) = s z, the loss is smooth, and equal to L as long as each slope fits
    the sign of its z. Where z_p = 0 any slope is right in value, and the gradient
    takes the slope given: the multiplier of a Filippov solution.
    """

    low: eqx.AbstractVar[float]
    high: eqx.AbstractVar[float]
    metric: eqx.AbstractVar[Metric | None]

    @abc.abstractmethod
    def loss(self, w: Params, activate: Activate) -> Scalar:
        """L(w) with `activate` in the place of σ."""

    def normals(
        self, w: Params, slopes: Float[Array, " p"], pairs: Int[Array, " c"]
    ) -> Normals:
        """∇z of the pairs listed, by index; an index of P stands for none.

        Cost: C reverse passes. A model whose z belong to one datum each does better.
        """
        rows = jax.vmap(lambda p: self._row(w, slopes, p))(pairs)
        return DenseNormals(rows)

    def max_held(self, w: Params) -> int:
        """A bound on how many pairs one may expect to be held at 0 at one time."""
        return min(self.size(w), _MOST_HELD)

    def plain(self, z: Array) -> Array:
        """σ(z)."""
        return activation(self.low, self.high)(z)

    def values(
        self, w: Params, slopes: Float[Array, " p"] | None = None
    ) -> Float[Array, " p"]:
        """All z, in the order of the calls; with frozen slopes if these are given.

        Cost: one loss.
        """
        found: list[Array] = []
        inner = self.plain if slopes is None else gate(slopes)

        def record(z: Array) -> Array:
            found.append(jnp.ravel(z))
            return inner(z)

        self.loss(w, record)
        return jnp.concatenate(found)

    def signals(
        self, w: Params, slopes: Float[Array, " p"], pairs: Int[Array, " c"]
    ) -> Float[Array, " c"]:
        """g = ∂L/∂σ of the pairs listed; 0 for none. Cost: about one gradient."""

        def lifted(offsets: Array) -> Scalar:
            return self.loss(w, gate(slopes, offsets))

        return take(jax.grad(lifted)(jnp.zeros_like(slopes)), pairs)

    def size(self, w: Params) -> int:
        """P."""
        return eqx.filter_eval_shape(self.values, w).shape[0]

    def num_calls(self, w: Params) -> int:
        """How often `activate` is called: the layers, if one feeds the next."""
        calls: list[None] = []

        def count(z: Array) -> Array:
            calls.append(None)
            return z

        eqx.filter_eval_shape(lambda w: self.loss(w, count), w)
        return len(calls)

    def _row(self, w: Params, slopes: Array, pair: Any) -> Params:
        params, static = eqx.partition(w, eqx.is_inexact_array)

        def value(params: Params) -> Any:
            z = self.values(eqx.combine(params, static), slopes)
            return take(z, pair)

        return jax.grad(value)(params)


def activation(low: float, high: float) -> Activate:
    """σ, with its slopes left and right of 0."""
    return lambda z: jnp.where(z > 0, high, low).astype(z.dtype) * z


def gate(slopes: Array, offsets: Array | None = None) -> Activate:
    """An activation with frozen slopes, given flat in the order of the calls.

    It counts its calls, so one serves for one evaluation of the loss.
    """
    start = 0

    def activate(z: Array) -> Array:
        nonlocal start
        here, start = slice(start, start + np.size(z)), start + np.size(z)
        out = jnp.reshape(slopes[here], z.shape) * z
        return out if offsets is None else out + jnp.reshape(offsets[here], z.shape)

    return activate


def take(values: Array, pairs: Array) -> Array:
    """The values at the pairs, 0 where an index stands for none."""
    return jnp.take(values, pairs, mode="fill", fill_value=0)
