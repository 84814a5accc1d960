"""A sparse basis, of rational numbers, of the null space of a matrix.

Columns are brought to length 1 and factored by QR with pivoting, M P = Q R. If R falls
off after r rows, the r leading columns are independent and each other column is a
combination of them: one vector of the null space a column, with that column's 1.
"""

import math
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float
from scipy.linalg import qr, solve_triangular

# Pivots below this share of the first are round-off; and columns, of their sizes.
_THRESHOLD = 1e-9

_ZERO = 1e-11

# Coefficients are told to this: the rounding of a matrix of some thousand columns.
_COEFFICIENT = 1e-7

_LARGEST_DENOMINATOR = 100

Vector = dict[int, float]
_Key = TypeVar("_Key")


def null_space(
    matrix: Float[np.ndarray, "m n"],
    sizes: Float[np.ndarray, " n"],
    scales: Float[np.ndarray, " n"],
) -> tuple[list[Vector], float]:
    """Vectors that span the null space, as few-entried as was found.

    **Arguments:** `matrix`: (m, n) with m > n, float64; `sizes`: of each column, how
    long it would be if nothing in it had canceled; `scales`: what each entry of a
    vector is divided by in the end.

    **Returns:** the vectors, column -> entry, of integers without a common divisor
    where the entries are rationals of small denominator; and the gap, the least pivot
    that counts over the largest that does not, inf if none does not.

    **Cost:** O(m n²).
    """
    lengths = np.linalg.norm(matrix, axis=0)
    # A column of round-off is 0: at length 1 it would pass for independent.
    real = lengths > _ZERO * sizes
    lengths = np.where(real, lengths, np.where(sizes > 0, sizes, 1.0))
    factors: Any = qr(np.where(real, matrix, 0.0) / lengths, mode="r", pivoting=True)
    upper, order = factors[0][: matrix.shape[1]], factors[1]
    pivots = np.abs(np.diag(upper))
    rank = int(np.sum(pivots > _THRESHOLD * max(pivots[0], np.finfo(float).tiny)))
    if rank == len(pivots):
        return [], np.inf
    gap = pivots[rank - 1] / max(pivots[rank], np.finfo(float).eps) if rank else np.inf
    dependent = -solve_triangular(upper[:rank, :rank], upper[:rank, rank:])
    vectors: list[Vector] = []
    for entries, column in zip(dependent.T, order[rank:].tolist(), strict=True):
        kept = np.flatnonzero(np.abs(entries) > _COEFFICIENT)
        vectors.append({int(order[k]): float(entries[k]) for k in kept} | {column: 1.0})
    own = lengths * scales
    return [
        _recognized({k: x / own[k] for k, x in vector.items()})
        for vector in _sparse(vectors)
    ], float(gap)


def _sparse(vectors: list[Vector]) -> list[Vector]:
    """The vectors less multiples of each other, as long as that removes entries."""
    vectors, progress = sorted(vectors, key=len), True
    while progress:
        progress = False
        for place, vector in enumerate(vectors):
            for other in vectors[:place] + vectors[place + 1 :]:
                shorter = _shortened(vector, other)
                if 0 < len(shorter) < len(vector):
                    vector = vectors[place] = shorter
                    progress = True
    return vectors


def _shortened(vector: Vector, other: Vector) -> Vector:
    """The vector less that multiple of another which leaves the fewest entries."""
    found = (vector[k] / x for k, x in other.items() if k in vector)
    ratios = {round(ratio, 6): ratio for ratio in found}.values()
    return min((less(vector, other, r) for r in ratios), key=len, default=vector)


def less(
    vector: dict[_Key, float], other: dict[_Key, float], ratio: float
) -> dict[_Key, float]:
    """A vector less a multiple of another, without what cancels."""
    keys = {*vector, *other}
    parts = (*vector.values(), *(ratio * x for x in other.values()))
    size = max(map(abs, parts))
    new = {k: vector.get(k, 0.0) - ratio * other.get(k, 0.0) for k in keys}
    return {k: x for k, x in new.items() if abs(x) > 10 * _COEFFICIENT * size}


def _recognized(vector: Vector) -> Vector:
    """Scaled to integers if the entries are rational, the first of them positive."""
    keys = sorted(vector)
    least = min((abs(x) for x in vector.values()), default=1.0)
    unit = math.copysign(least, vector[keys[0]])
    scaled = [float(vector[k] / unit) for k in keys]
    fractions = [Fraction(x).limit_denominator(_LARGEST_DENOMINATOR) for x in scaled]
    if not all(map(_is_close, fractions, scaled)):
        return dict(zip(keys, scaled, strict=True))
    multiple = math.lcm(*(f.denominator for f in fractions))
    integers = [int(f * multiple) for f in fractions]
    divisor = math.gcd(*integers)
    return {k: float(i // divisor) for k, i in zip(keys, integers, strict=True)}


def _is_close(fraction: Fraction, number: float) -> bool:
    """Much closer than fractions of such a denominator come to any number."""
    off = abs(float(fraction) - number)
    return off <= min(_COEFFICIENT * abs(number), 1e-3 / fraction.denominator**2)
