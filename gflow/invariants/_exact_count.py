"""The dimension of a Lie algebra of polynomial vector fields, exactly.

X, Y fields on the state z, each a sparse dict: component -> polynomial modulo a prime.

The module of fields that the drive spans over rational functions is closed under
brackets as soon as it contains the brackets of its members with the generators: of a
combination, [ΣfX, Y] = Σ f [X, Y] - Y(f) X. A field that depends on the others at a
random point may so be dropped, with all brackets of its own. A rank at a random point
modulo p is never above the true one. It is below it if the point is a root, which has
probability degree/p, 1e-15 or less here, or if p divides every minor, for a prime that
nobody has chosen to.
"""

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any

import flint
import jax
import numpy as np

from ._drive import Drive
from ._polynomials import PRIME, NotPolynomial, Ring, polynomials

_SparseField = dict[int, Any]


def exact_rank(drive: Drive, most_terms: float = math.inf) -> int:
    """The dimension of the Lie algebra at a generic state.

    **Raises:** `NotPolynomial`; if `most_terms` is given, also where the model has
    numbers that look rounded, or the brackets have more terms than that in all.
    """
    generators, is_rounded = _generators(drive)
    if is_rounded and math.isfinite(most_terms):
        raise NotPolynomial("numbers look rounded: an exact rank would count that")
    return _generated(generators, drive.state_size, most_terms)


def _generators(drive: Drive) -> tuple[list[_SparseField], bool]:
    """The fields, and whether the model has numbers that look rounded."""
    ring, n = Ring(drive.state_size), drive.size
    w = ring.variables[:n]
    outputs = ring.run(drive.outputs, w)[0]
    covectors = polynomials([p.derivative(i) for p in outputs for i in range(n)])
    each = jax.vmap(drive.descend, (None, 0))
    pushes = ring.run(each, w, covectors.reshape(-1, n))[0]
    if drive.inertia is None:
        return [_sparse(push) for push in pushes], ring.is_rounded
    is_rounded = ring.is_rounded  # the damping may be any number
    # Forces act on v; and the state (w, v, t) drifts, at a pace of t where the damping
    # falls as 1/t: that spans the same module.
    still, one = ring.constants(np.zeros(n + 1)), ring.constants(np.ones(1))
    damping = ring.constants(np.full(1, drive.inertia.damping))
    v, pace = ring.variables[n:-1], ring.variables[-1:] if drive.inertia.falls else one
    drift = np.concatenate([pace * v, -damping * v, pace])
    forces = [np.concatenate([still[:n], push, still[n:]]) for push in pushes]
    return [_sparse(field) for field in (drift, *forces)], is_rounded


def _sparse(field: np.ndarray) -> _SparseField:
    return {i: p for i, p in enumerate(field) if not p.is_zero()}


def _generated(generators: list[_SparseField], size: int, most_terms: float) -> int:
    """The rank at a random point of all brackets of the generators."""
    span, num_terms = _Span(size), 0
    kept = [field for field in generators if span.grows_by(field)]
    generators, newest = kept, kept
    while newest and span.rank < size:
        before, newest = newest, []
        for x, y in itertools.product(before, generators):
            field = _bracket(x, y)
            num_terms += sum(map(len, field.values()))
            if num_terms > most_terms:
                raise NotPolynomial(f"brackets of more than {most_terms} terms")
            if span.grows_by(field):
                newest.append(field)
    return span.rank


class _Span:
    """Values of fields at a random point, and a vector that is orthogonal to them all.

    A value outside the span is orthogonal to it with probability 1/p.
    """

    def __init__(self, size: int) -> None:
        self._random = random.Random(0)
        self._size = size
        self._point = [self._random.randrange(1, PRIME) for _ in range(size)]
        self._rows: list[int] = []
        self._orthogonal = self._draw()

    @property
    def rank(self) -> int:
        return len(self._rows) // self._size

    def grows_by(self, field: _SparseField) -> bool:
        value = {i: int(p(*self._point)) for i, p in field.items()}
        if sum(self._orthogonal[i] * v for i, v in value.items()) % PRIME == 0:
            return False
        self._rows += [value.get(i, 0) for i in range(self._size)]
        self._orthogonal = self._draw()
        return True

    def _draw(self) -> list[int]:
        """A random vector that is orthogonal to every row."""
        if not self._rows:
            return [self._random.randrange(PRIME) for _ in range(self._size)]
        rows = flint.nmod_mat(self.rank, self._size, self._rows, PRIME)
        basis, dimension = rows.nullspace()
        mix = [self._random.randrange(PRIME) for _ in range(dimension)]
        mix += [0] * (self._size - dimension)  # the basis is padded by zeros
        drawn = basis * flint.nmod_mat(self._size, 1, mix, PRIME)
        return [int(drawn[i, 0]) for i in range(self._size)]


def _bracket(x: _SparseField, y: _SparseField) -> _SparseField:
    """[X, Y] = DY X - DX Y."""
    out: _SparseField = {}
    for component, change in _changes(x, y):
        out[component] = out.get(component, 0) + change
    for component, change in _changes(y, x):
        out[component] = out.get(component, 0) - change
    return {i: p for i, p in out.items() if not p.is_zero()}


def _changes(x: _SparseField, y: _SparseField) -> Iterator[tuple[int, Any]]:
    """The terms X_i ∂_i Y_j of DY X, each with its j."""
    for component, polynomial in y.items():
        for variable, degree in enumerate(polynomial.degrees()):
            if degree and variable in x:
                yield component, x[variable] * polynomial.derivative(variable)
