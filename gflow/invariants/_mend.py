"""The conservation law that a quantity which is not conserved was meant to be."""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._types import Params
from ._basis import Block, Term, scale, values
from ._drive import Drive
from ._formula import formula
from ._law import Law
from ._null_space import less

# Rates of change below this share of ‖∇h‖ ‖χ‖ are round-off.
_CONSERVED = 1e-9

# A quantity is made of given terms if they leave this share of its gradient.
_MADE = 1e-7


@dataclasses.dataclass(frozen=True)
class Mended:
    """Whether an entry of a quantity is conserved, and if not, what would be.

    **Fields:** `entry`: its number; `rate`: max |⟨∇h, χ⟩| over ‖∇h‖ ‖χ‖ at random
    parameters and losses; `law`: h with what it lacks, None if h is conserved or no
    law shares its terms; `lacks`: the law less h, as text.
    """

    entry: int
    rate: float
    law: Law | None
    lacks: str

    @property
    def is_conserved(self) -> bool:
        """Whether the rate is round-off."""
        return self.rate < _CONSERVED

    def __repr__(self) -> str:
        """In a line."""
        if self.is_conserved:
            return f"entry {self.entry}: conserved (rate {self.rate:.0e})"
        text = f"entry {self.entry}: not conserved (rate {self.rate:.0e})"
        if self.law is None:
            return f"{text}; no law is near it"
        return f"{text}; conserved is {self.law.formula}: it lacks {self.lacks}"


def mend(
    driven: Drive,
    leaves: Sequence[Block],
    laws: Sequence[Law],
    terms: Sequence[Term],
    h: Callable[[Params], Any],
    key: Array,
) -> tuple[Mended, ...]:
    """Each entry of h examined. To be called in float64."""

    def flat(w: Array) -> Float[Array, " entries"]:
        return jnp.ravel(jnp.asarray(h(driven.whole(w))))

    num_draws = max(20, math.ceil((len(terms) + 50) / driven.size))
    keys = jax.random.split(key, num_draws)
    points, pushes = jax.jit(jax.vmap(driven.draw_push))(keys)
    gradients = np.asarray(jax.jit(jax.vmap(jax.jacrev(flat)))(points))
    if not np.all(np.isfinite(gradients)):
        raise ValueError("h or its gradient is not finite near `like`")
    rates = np.max(_cosines(gradients, np.asarray(pushes)), axis=0)
    if np.all(rates < _CONSERVED):
        return tuple(Mended(k, float(rate), None, "") for k, rate in enumerate(rates))
    slopes = np.asarray(
        jax.jit(jax.vmap(jax.jacfwd(lambda w: values(terms, w))))(points)
    )
    # Rows: a derivative at a draw. Σ_k c_k ∇m_k = ∇h for each entry.
    matrix = slopes.transpose(0, 2, 1).reshape(-1, len(terms))
    targets = gradients.transpose(0, 2, 1).reshape(len(matrix), -1)
    made, *_ = np.linalg.lstsq(matrix, targets, rcond=None)
    off = np.linalg.norm(matrix @ made - targets, axis=0)
    known = off <= _MADE * np.linalg.norm(targets, axis=0)
    made /= np.array([scale(term, driven.scales) for term in terms])[:, None]
    return tuple(
        _mended(k, float(rate), made[:, k] if known[k] else None, laws, terms, leaves)
        for k, rate in enumerate(rates)
    )


def _cosines(
    gradients: Float[np.ndarray, "draws entries n"],
    pushes: Float[np.ndarray, "draws n"],
) -> Float[np.ndarray, "draws entries"]:
    """|⟨∇h, χ⟩| over ‖∇h‖ ‖χ‖, 0 where one of them is."""
    rates = np.abs(np.einsum("den,dn->de", gradients, pushes))
    lengths = (
        np.linalg.norm(gradients, axis=2) * np.linalg.norm(pushes, axis=1)[:, None]
    )
    return np.divide(rates, lengths, out=np.zeros_like(rates), where=lengths > 0)


def _mended(
    entry: int,
    rate: float,
    coefficients: Float[np.ndarray, " terms"] | None,
    laws: Sequence[Law],
    terms: Sequence[Term],
    leaves: Sequence[Block],
) -> Mended:
    if rate < _CONSERVED or coefficients is None:
        return Mended(entry, rate, None, "")
    least = _MADE * np.max(np.abs(coefficients))
    rest = {
        t: float(c) for t, c in zip(terms, coefficients, strict=True) if abs(c) > least
    }
    nearest: dict[Term, float] = {}
    for law in sorted(laws, key=lambda law: -len(rest.keys() & law.terms)):
        ratio = _ratio(rest, law.terms)
        after = less(rest, law.terms, ratio)
        # The first may cost as much as it explains: of u^2 nothing but u^2 - v^2.
        fewer = len(after) < len(rest) or (not nearest and len(after) <= len(rest))
        if ratio and fewer:
            rest, nearest = after, less(nearest, law.terms, -ratio)
    if not nearest:
        return Mended(entry, rate, None, "")
    lacks = formula({term: -c for term, c in sorted(rest.items())}, leaves)
    nearest = dict(sorted(nearest.items()))
    return Mended(entry, rate, Law.of(nearest, leaves), lacks)


def _ratio(quantity: dict[Term, float], law: dict[Term, float]) -> float:
    """The multiple of the law that most of the shared terms agree on, 0 if none do."""
    shared = [quantity[t] / law[t] for t in sorted(quantity.keys() & law.keys())]
    if not shared:
        return 0.0
    votes = Counter(f"{ratio:.6g}" for ratio in shared)
    most = votes.most_common(1)[0][0]
    return next(ratio for ratio in shared if f"{ratio:.6g}" == most)
