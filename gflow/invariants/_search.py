"""The search for laws among the combinations of given terms, with its evidence.

m_k the terms of a basis · χ a random field that the drive allows, at a random w.

h = Σ_k a_k m_k is conserved whatever the loss iff Σ_k a_k ⟨∇m_k, χ⟩ = 0 for all w and
χ: a is in the null space of a matrix with a row for each draw.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._basis import Leaf, Term, values
from ._drive import Drive, Flat
from ._law import Law
from ._null_space import null_space

# Rows beyond one a term.
_SPARE = 50

_ROWS_AT_ONCE = 64

# Draws for the verification of the laws.
_FRESH = 20

# The part of a law's unit gradient that others do not have, if it is no function of
# them.
_INDEPENDENT = 1e-6

RTOL = 1e-8


class Search(NamedTuple):
    """Independent laws, the gap of the null space, the laws' largest rate."""

    laws: tuple[Law, ...]
    gap: float
    residual: float
    num_dependent: int


def search(
    driven: Drive, leaves: Sequence[Leaf], terms: list[Term], key: Array
) -> Search:
    """The independent laws among the combinations of `terms`."""
    rates = _rates(driven, terms, len(terms) + _SPARE, key)
    vectors, gap = null_space(rates)
    laws = [Law.of({terms[k]: a for k, a in v.items()}, leaves) for v in vectors]
    laws.sort(key=lambda law: law.complexity)
    if not laws:
        return Search((), gap, 0.0, 0)
    gradients, pushes = _fresh(driven, laws, jax.random.fold_in(key, 1))
    kept = _independent(gradients[0])
    return Search(
        tuple(laws[k] for k in kept),
        gap,
        float(np.max(cosines(gradients, pushes))),
        len(laws) - len(kept),
    )


def _rates(
    driven: Drive, terms: Sequence[Term], num_rows: int, key: Array
) -> Float[np.ndarray, "rows terms"]:
    """⟨∇m_k, χ⟩ of each term at random (w, χ)."""

    def row(row_key: Array) -> Float[Array, " terms"]:
        w, push = driven.draw_push(row_key)
        return jax.jvp(lambda at: values(terms, at), (w,), (push,))[1]

    def rows(keys: Array) -> Float[Array, "rows terms"]:
        return jax.lax.map(row, keys, batch_size=_ROWS_AT_ONCE)

    return np.asarray(jax.jit(rows)(jax.random.split(key, num_rows)))


def _independent(gradients: Float[np.ndarray, "laws n"]) -> list[int]:
    """Which laws are no functions of those before them, by their gradients."""
    kept: list[int] = []
    basis = np.zeros((0, gradients.shape[1]))
    for place, gradient in enumerate(gradients):
        rest = gradient / np.linalg.norm(gradient)
        for _ in range(2):  # once leaves round-off
            rest = rest - basis.T @ (basis @ rest)
        length = np.linalg.norm(rest)
        if length > _INDEPENDENT:
            basis = np.vstack([basis, rest / length])
            kept.append(place)
    return kept


def _fresh(
    driven: Drive, laws: Sequence[Law], key: Array
) -> tuple[Float[np.ndarray, "draws laws n"], Float[np.ndarray, "draws n"]]:
    """Gradients of the laws, and χ, at draws that the search did not see."""
    terms = sorted({term for law in laws for term in law.terms})
    place = {term: k for k, term in enumerate(terms)}
    dense = np.zeros((len(laws), len(terms)))
    for row, law in zip(dense, laws, strict=True):
        row[[place[term] for term in law.terms]] = list(law.terms.values())

    def at(draw_key: Array) -> tuple[Array, Array]:
        w, push = driven.draw_push(draw_key)
        return jax.jacfwd(lambda at: values(terms, at))(w), push

    slopes, pushes = jax.jit(jax.vmap(at))(jax.random.split(key, _FRESH))
    return dense @ np.asarray(slopes), np.asarray(pushes)


def cosines(
    gradients: Float[np.ndarray, "draws laws n"], pushes: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, "draws laws"]:
    """|⟨∇h, χ⟩| over ‖∇h‖ ‖χ‖."""
    rates = np.abs(np.einsum("dln,dn->dl", gradients, pushes))
    lengths = np.linalg.norm(gradients, axis=2)
    return rates / (lengths * np.linalg.norm(pushes, axis=1)[:, None])


def flow_drift(driven: Drive, laws: Sequence[Law], key: Array) -> float:
    """The largest drift of a law relative to its summands, along a flow.

    The flow of ½‖φ - y‖² with y = φ at other parameters, for so long that at its first
    rate the loss would be halved; nan if there is no law.
    """
    if not laws:
        return np.nan
    start, target = (driven.draw(k) for k in jax.random.split(key))
    points = _flow(driven, start, driven.outputs(target))
    return float(np.max([_relative_drift(law, points) for law in laws]))


def _flow(driven: Drive, start: Flat, y: Array) -> Float[Array, "k n"]:
    """Eleven points along it."""

    def velocity(t: Any, w: Flat, args: Any) -> Flat:
        del t, args
        return -driven.push(w, driven.outputs(w) - y)

    off = driven.outputs(start) - y
    # Of L = ½‖φ - y‖², L' = ⟨φ - y, Dφ w'⟩.
    rate = off @ jax.jvp(driven.outputs, (start,), (velocity(0, start, None),))[1]
    t1 = 0.25 * (off @ off) / -rate
    return diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        diffrax.Tsit5(),
        0.0,
        t1,
        t1 / 100,
        start,
        saveat=diffrax.SaveAt(ts=jnp.linspace(0, t1, 11)),
        stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=RTOL),
        max_steps=100_000,
        throw=False,
    ).ys  # pyright: ignore[reportReturnType]


def _relative_drift(law: Law, points: Float[Array, "k n"]) -> float:
    parts = np.asarray(jax.vmap(law.summands)(points))
    moved = np.abs(parts.sum(axis=1) - parts[0].sum())
    return float(np.max(moved) / np.max(np.linalg.norm(parts, axis=1)))
