"""The functions of the parameters among which laws are sought."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._drive import Flat


@dataclasses.dataclass(frozen=True, order=True)
class Term:
    """Π w_i^e over `factors` (i, e) in ascending i, or log |w_i| of the one factor."""

    factors: tuple[tuple[int, int], ...]
    is_log: bool = False

    @property
    def complexity(self) -> int:
        """Degree, and more than any degree for what is no polynomial."""
        if self.is_log or any(power < 0 for _, power in self.factors):
            return 10 + sum(abs(power) for _, power in self.factors)
        return sum(power for _, power in self.factors)


@dataclasses.dataclass(frozen=True)
class Block:
    """An array of parameters: its name, its shape, where it starts in the flat ones."""

    name: str
    shape: tuple[int, ...]
    start: int

    @property
    def places(self) -> np.ndarray:
        """The flat index of each entry."""
        size = int(np.prod(self.shape, dtype=int))
        return np.arange(self.start, self.start + size).reshape(self.shape)


class Basis(NamedTuple):
    """Terms, and what they are."""

    what: str
    terms: list[Term]


def values(terms: Sequence[Term], w: Flat) -> Float[Array, " terms"]:
    """Each term at w."""
    width = max(len(term.factors) for term in terms)
    padded = [(*t.factors, *[(len(w), 0)] * (width - len(t.factors))) for t in terms]
    table = np.array(padded)  # terms, factors, (index, power)
    is_log = np.array([term.is_log for term in terms])
    powers = np.where(is_log[:, None], 0, table[..., 1])
    picked = jnp.append(w, 1.0)[table[..., 0]]
    raised = jnp.ones(powers.shape, w.dtype)
    # By integers: an array of powers has no second derivative at 0.
    for power in np.unique(powers[powers != 0]):
        at = np.nonzero(powers == power)
        raised = raised.at[at].set(picked[at] ** int(power))
    out = jnp.prod(raised, axis=1)
    if not is_log.any():
        return out
    logs = jnp.log(jnp.abs(w[table[is_log, 0, 0]]))
    return out.at[np.flatnonzero(is_log)].set(logs)


def scale(term: Term, scales: np.ndarray) -> float:
    """What a term of x = w/s is to be divided by to be one of w; a log by 1."""
    if term.is_log:
        return 1.0
    return float(np.prod([scales[i] ** power for i, power in term.factors]))


def bases(
    leaves: Sequence[Block], degree: int, powers: Sequence[int], most: int
) -> Iterator[Basis]:
    """Larger and larger sets of terms, up to `most` terms."""
    size = sum(leaf.places.size for leaf in leaves)
    plain = [Term(((i, e),)) for e in range(1, min(degree, 2) + 1) for i in range(size)]
    near = [] if degree == 1 else list(itertools.islice(_neighbors(leaves), most + 1))
    plain += [] if degree == 1 else _partners(leaves)
    other = [Term(((i, e),)) for e in powers for i in range(size)]
    other += [Term(((i, 1),), is_log=True) for i in range(size)]
    first = "linear terms"
    if degree > 1:
        first += ", squares and products of partners"
    yield from _small(first, plain, most)
    yield from _small(f"{first} and neighbors", plain + near, most)
    if len(plain + near + other) > most:
        near, neighbors = [], ""
    else:
        neighbors = " and neighbors"
    yield from _small(
        f"{first}{neighbors}, powers, logarithms", plain + near + other, most
    )
    if sum(math.comb(size + k - 1, k) for k in range(1, degree + 1)) <= most:
        products = list(_products(size, degree)) + other
        yield from _small(
            f"products to degree {degree}, powers, logarithms", products, most
        )


def _small(what: str, terms: list[Term], most: int) -> Iterator[Basis]:
    terms = list(dict.fromkeys(terms))  # a power may be named twice
    if len(terms) <= most:
        yield Basis(what, terms)


def _partners(leaves: Sequence[Block]) -> list[Term]:
    """Products of two entries at one index of two leaves of one shape."""
    return [
        Term(((i, 1), (j, 1)))
        for one, other in itertools.combinations(leaves, 2)
        if one.shape == other.shape
        for i, j in zip(
            one.places.ravel().tolist(), other.places.ravel().tolist(), strict=True
        )
    ]


def _neighbors(leaves: Sequence[Block]) -> Iterator[Term]:
    """Products of two entries of a leaf that differ in one index."""
    for leaf in leaves:
        for axis in range(len(leaf.shape)):
            lines = np.moveaxis(leaf.places, axis, -1).reshape(-1, leaf.shape[axis])
            for line in lines:
                for i, j in itertools.combinations(line.tolist(), 2):
                    yield Term(((i, 1), (j, 1)))


def _products(size: int, degree: int) -> Iterator[Term]:
    for total in range(1, degree + 1):
        for chosen in itertools.combinations_with_replacement(range(size), total):
            yield Term(tuple((i, chosen.count(i)) for i in sorted(set(chosen))))
