"""Sums of terms as text, in the parameters' own names.

Terms of one leaf or pair of leaves with one coefficient, whose indices run over all of
some axes, are told together: |w[3, :]|^2 for Σ_k w[3, k]^2, w[:, 0] . w[:, 1] for
Σ_k w[k, 0] w[k, 1], sum(1/w) for Σ_i 1/w[i].
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ._basis import Block, Term

# A factor of a term: the number of its leaf, its index there, its power.
_Factor = tuple[int, tuple[int, ...], int]

_MOST_PIECES = 12


def formula(terms: Mapping[Term, float], leaves: Sequence[Block]) -> str:
    """Σ coefficient times term."""
    groups: dict[tuple, list[tuple[_Factor, ...]]] = defaultdict(list)
    for term, coefficient in terms.items():
        factors = tuple(_factor(i, power, leaves) for i, power in term.factors)
        kind = tuple((leaf, power) for leaf, _, power in factors)
        groups[float(f"{coefficient:.9g}"), kind, term.is_log].append(factors)
    pieces: list[tuple[float, str]] = []
    for (coefficient, _, is_log), members in groups.items():
        pieces += [(coefficient, text) for text in _pieces(members, leaves, is_log)]
    text = "".join(_signed(*piece) for piece in pieces[:_MOST_PIECES])
    if len(pieces) > _MOST_PIECES:
        text += f" + ({len(pieces) - _MOST_PIECES} more)"
    return ("-" if text.startswith(" - ") else "") + text[3:]


def _factor(place: int, power: int, leaves: Sequence[Block]) -> _Factor:
    number = max(k for k, leaf in enumerate(leaves) if leaf.start <= place)
    leaf = leaves[number]
    index = np.unravel_index(place - leaf.start, leaf.shape) if leaf.shape else ()
    return number, tuple(int(i) for i in index), power


def _pieces(
    members: list[tuple[_Factor, ...]], leaves: Sequence[Block], is_log: bool
) -> list[str]:
    """Texts that together name all members, as few as their indices allow."""
    free = _free_axes(members, leaves)
    if free is not None:
        return [_text(members[0], leaves, free, is_log)]
    # They are no full slice: told apart by the index that takes the fewest values.
    columns = np.array([[i for _, index, _ in m for i in index] for m in members])
    counts = [len(set(column)) for column in columns.T]
    split = min((c, k) for k, c in enumerate(counts) if c > 1)[1]
    parts: dict[int, list[tuple[_Factor, ...]]] = defaultdict(list)
    for member, value in zip(members, columns[:, split].tolist(), strict=True):
        parts[value].append(member)
    return [text for part in parts.values() for text in _pieces(part, leaves, is_log)]


def _free_axes(
    members: list[tuple[_Factor, ...]], leaves: Sequence[Block]
) -> set[tuple[int, int]] | None:
    """The (factor, axis) that run over all values, in step; None if some run partly."""
    if len(members) == 1:
        return set()
    free: set[tuple[int, int]] = set()
    running: list[tuple[int, ...]] = []  # of each factor, the sizes it runs over
    values: list[list[tuple[int, ...]]] = []  # and the values, member by member
    for k, (leaf, _, _) in enumerate(members[0]):
        indices = np.array([member[k][1] for member in members])
        shape = leaves[leaf].shape
        moving = [a for a in range(len(shape)) if len(set(indices[:, a])) > 1]
        free |= {(k, a) for a in moving}
        running.append(tuple(shape[a] for a in moving))
        values.append([tuple(row) for row in indices[:, moving].tolist()])
    in_step = all(own == values[0] for own in values)
    alike = all(sizes == running[0] for sizes in running)
    full = len(members) == math.prod(running[0])
    return free if in_step and alike and full else None


def _text(
    factors: tuple[_Factor, ...],
    leaves: Sequence[Block],
    free: set[tuple[int, int]],
    is_log: bool,
) -> str:
    names: list[str] = []
    for k, (number, index, _) in enumerate(factors):
        shown = [":" if (k, a) in free else str(i) for a, i in enumerate(index)]
        whole = not index or all(i == ":" for i in shown)
        names.append(leaves[number].name + ("" if whole else f"[{', '.join(shown)}]"))
    powers = [power for _, _, power in factors]
    if is_log:
        return f"sum(log|{names[0]}|)" if free else f"log|{names[0]}|"
    if free and powers == [2]:
        return f"|{names[0]}|^2"
    if free and powers == [1, 1]:
        return " . ".join(names)
    product = " ".join(
        name if power == 1 else f"{name}^{power}"
        for name, power in zip(names, powers, strict=True)
    )
    return f"sum({product})" if free else product


def _signed(coefficient: float, text: str) -> str:
    sign, size = ("-" if coefficient < 0 else "+"), abs(coefficient)
    return f" {sign} {text}" if size == 1 else f" {sign} {size:.9g} {text}"
