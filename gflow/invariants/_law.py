"""A conservation law as a sum of terms."""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .. import _trees as trees
from .._types import Params
from ._basis import Block, Term, values
from ._drive import Flat
from ._formula import formula
from ._invariant import Invariant


@dataclasses.dataclass(frozen=True)
class Law:
    """h(w) = Σ coefficient times term, a function that the flow conserves.

    **Fields:** `formula`: in the parameters' names; `terms`: products of powers of the
    flat parameters, or a logarithm of one -> coefficient; `leaves`: where the
    parameters' arrays lie in the flat ones.
    """

    formula: str
    terms: dict[Term, float] = dataclasses.field(repr=False)
    leaves: tuple[Block, ...] = dataclasses.field(repr=False)

    @classmethod
    def of(cls, terms: dict[Term, float], leaves: Sequence[Block]) -> "Law":
        """The law with its formula written out."""
        return cls(formula(terms, leaves), terms, tuple(leaves))

    @property
    def complexity(self) -> tuple[int, int, Term]:
        """For order: polynomials of low degree and few terms first, then by place."""
        degree = max(term.complexity for term in self.terms)
        return degree, len(self.terms), min(self.terms)

    def __hash__(self) -> int:
        """As part of a compiled program's key."""
        return hash((self.formula, self.leaves))

    def summands(self, flat: Flat) -> Float[Array, " terms"]:
        """Each coefficient times its term, at flat parameters."""
        coefficients = np.array(list(self.terms.values()))
        return jnp.asarray(coefficients, flat.dtype) * values(list(self.terms), flat)

    def invariant(self) -> Invariant:
        """The law for `simulate`, `drift` and whatever else takes an `Invariant`."""
        return Invariant(
            eqx.Partial(_value, self),
            formula=self.formula,
            scale=eqx.Partial(_parts, self),
        )


def _parts(law: Law, w: Params) -> Float[Array, " terms"]:
    return law.summands(ravel_pytree(trees.split(w)[0])[0])


def _value(law: Law, w: Params) -> Array:
    return jnp.sum(_parts(law, w))
