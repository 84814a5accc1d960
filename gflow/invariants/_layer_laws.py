"""Conserved quantities of a layer and of two neighboring ones, as invariants.

A_j the weights and the bias into unit (or channel) j, B_j the weights out of it.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .. import _trees as trees
from .._types import Params
from ._invariant import Invariant
from ._layers import rows_in, rows_out
from ._places import Path, at

_BALANCE = "Arora, Cohen, Hazan 2018 (arXiv 1802.06509), theorem 1"
_UNITS = "Du, Hu, Lee 2018 (arXiv 1806.00900), theorem 2.1"
_SYMMETRIES = "Kunin et al. 2021 (arXiv 2012.04728)"

# Of what is linear in w: from rest, inertia moves it no more than the gradient does,
# nor does any step of gradient descent.
LINEAR_FLOWS = ("GradientFlow", "ModifiedFlow", "HeavyBall", "Nesterov")


def balance(below: Path, above: Path, order: np.ndarray) -> Invariant:
    """B_iᵀB_j - A_iᵀA_j, with the inputs of the layer above in the order of units."""
    return Invariant(
        eqx.Partial(_balance, below, above, order),
        formula="W_{l+1}^T W_{l+1} - W_l W_l^T - b_l b_l^T",
        scale=eqx.Partial(_grams, below, above, order),
        reference=_BALANCE,
    )


def units(below: Path, above: Path, sources: np.ndarray) -> Invariant:
    """‖B_j‖² - ‖A_j‖²."""
    return Invariant(
        eqx.Partial(_units, below, above, sources),
        formula="|out_j|^2 - |in_j|^2 - b_j^2",
        scale=eqx.Partial(_squares, below, above, sources),
        reference=_UNITS,
    )


def norm(layer: Path, *, each: bool) -> Invariant:
    """Σ_j ‖A_j‖², or ‖A_j‖² for each j."""
    return Invariant(
        eqx.Partial(_norm, layer, each),
        formula="|W_j|^2 + b_j^2" if each else "|W|^2 + |b|^2",
        reference=_SYMMETRIES,
    )


def direction_norm(layer: Path, axis: int | None) -> Invariant:
    """‖V_j‖² of a layer in `WeightNorm`."""
    return Invariant(
        eqx.Partial(_direction_norm, layer, axis),
        formula="|V|^2" if axis is None else "|V_j|^2",
        reference="Salimans, Kingma 2016 (arXiv 1602.07868)",
    )


def sums(array: Path) -> Invariant:
    """Σ_j of weights or biases into j."""
    return Invariant(
        eqx.Partial(_sums, array),
        formula="sum_j W_jk" if array[-1] == "weight" else "sum_j b_j",
        conserved_by=LINEAR_FLOWS,
        scale=eqx.Partial(at, path=array),
        reference=_SYMMETRIES,
    )


def constant(array: Path) -> Invariant:
    """A bias that has no effect."""
    return Invariant(
        eqx.Partial(at, path=array),
        formula="b",
        conserved_by=LINEAR_FLOWS,
        reference=_SYMMETRIES,
    )


def at_rates(roots: Params, law: Invariant) -> Invariant:
    """The law of a flow whose rates are the squares of `roots`, a tree prefix.

    w/√η follows the flow at rate 1 of the same loss.
    """
    return Invariant(
        eqx.Partial(_at_rates, roots, law.value),
        conserved_by=law.conserved_by,
        formula=f"{law.formula}, each weight over the root of its rate",
        scale=None if law.scale is None else eqx.Partial(_at_rates, roots, law.scale),
        reference=law.reference,
    )


def _at_rates(roots: Params, law: Any, w: Params) -> Any:
    params, static = eqx.partition(w, eqx.is_inexact_array)
    inverse = jax.tree.map(lambda root: 1 / root, roots)
    return law(eqx.combine(trees.scaled(inverse, params), static))


def gram(rows: Array) -> Array:
    """Inner products of the rows of a matrix, or of each in a stack."""
    return rows @ rows.mT


def _grams(below: Path, above: Path, order: Any, w: Params) -> Array:
    into, out = rows_in(at(w, below)), rows_out(at(w, above))
    return jnp.stack([gram(out[order].reshape(len(into), -1)), gram(into)])


def _balance(below: Path, above: Path, order: Any, w: Params) -> Array:
    out, into = _grams(below, above, order, w)
    return out - into


def _squares(below: Path, above: Path, sources: Any, w: Params) -> Array:
    into, out = (
        jnp.sum(rows**2, axis=1)
        for rows in (rows_in(at(w, below)), rows_out(at(w, above)))
    )
    # Channels that come from none stand at the end, and are dropped.
    summed = jax.ops.segment_sum(out, sources, len(into) + 1)[:-1]
    return jnp.stack([summed, into])


def _units(below: Path, above: Path, sources: Any, w: Params) -> Array:
    out, into = _squares(below, above, sources, w)
    return out - into


def _norm(layer: Path, each: bool, w: Params) -> Array:
    return jnp.sum(rows_in(at(w, layer)) ** 2, axis=1 if each else None)


def _direction_norm(layer: Path, axis: int | None, w: Params) -> Array:
    v = at(w, layer).layer.weight
    return jnp.sum(v**2, axis=tuple(k for k in range(v.ndim) if k != axis))


def _sums(array: Path, w: Params) -> Array:
    return jnp.sum(at(w, array), axis=0)
