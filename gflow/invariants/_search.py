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

from ._basis import Block, Term, scale, values
from ._drive import Drive, Flat
from ._law import Law
from ._null_space import null_space

# Rows beyond one a term.
_SPARE = 50

_ROWS_AT_ONCE = 64

# Draws for the verification of the laws, and what is round-off there.
_FRESH, _RESIDUAL = 20, 1e-9

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
    driven: Drive, blocks: Sequence[Block], terms: list[Term], key: Array
) -> Search:
    """The independent laws among the combinations of `terms`."""
    rates, sizes = _rates(driven, terms, len(terms) + _SPARE + _FRESH, key)
    if not np.all(np.isfinite(rates)):
        raise ValueError("phi, its derivatives or a term are not finite near `like`")
    fresh, rates = rates[:_FRESH], rates[_FRESH:]
    scales = np.array([scale(term, driven.scales) for term in terms])
    lengths = np.linalg.norm(sizes[_FRESH:], axis=0)
    vectors, gap = null_space(rates, lengths, scales)
    found: list[tuple[Law, np.ndarray, float]] = []
    for vector in vectors:
        law = Law.of({terms[k]: a for k, a in vector.items()}, blocks)
        dense = np.zeros(len(terms))
        dense[list(vector)] = list(vector.values())
        dense *= scales  # of the terms in x
        # 0 over 0 where nothing is pushed.
        size = np.maximum(sizes[:_FRESH] @ np.abs(dense), np.finfo(float).tiny)
        residual = float(np.max(np.abs(fresh @ dense) / size))
        if residual < _RESIDUAL:
            found.append((law, dense, residual))
    if not found:
        return Search((), gap, 0.0, 0)
    found.sort(key=lambda one: one[0].complexity)
    slopes = jax.jit(jax.jacfwd(lambda x: values(terms, x)))(driven.draw(key))
    kept = _independent(np.stack([dense for _, dense, _ in found]) @ np.asarray(slopes))
    return Search(
        tuple(found[k][0] for k in kept),
        gap,
        max(found[k][2] for k in kept),
        len(found) - len(kept),
    )


def _rates(
    driven: Drive, terms: Sequence[Term], num_rows: int, key: Array
) -> tuple[Float[np.ndarray, "rows terms"], Float[np.ndarray, "rows terms"]]:
    """⟨∇m_k, χ⟩ of each term at random (x, χ), and Σ_i |∂_i m_k χ_i|."""
    powers = np.zeros((len(terms), driven.size))
    for own, term in zip(powers, terms, strict=True):
        for i, power in term.factors:
            own[i] = abs(power)
    is_log = np.array([term.is_log for term in terms])

    def row(row_key: Array) -> tuple[Array, Array]:
        x, push = driven.draw_push(row_key)
        push /= jnp.maximum(jnp.linalg.norm(push), jnp.finfo(float).tiny)
        at, rates = jax.jvp(lambda y: values(terms, y), (x,), (push,))
        # Of a product of powers ∂_i m = e_i m/x_i, of a logarithm 1/x_i.
        sizes = jnp.where(is_log, 1, jnp.abs(at)) * (powers @ jnp.abs(push / x))
        return rates, sizes

    def rows(keys: Array) -> tuple[Array, Array]:
        return jax.lax.map(row, keys, batch_size=_ROWS_AT_ONCE)

    rates, sizes = jax.jit(rows)(jax.random.split(key, num_rows))
    return np.asarray(rates), np.asarray(sizes)


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


def flow_drift(driven: Drive, laws: Sequence[Law], key: Array) -> float:
    """The largest drift of a law relative to its summands, along a flow.

    The flow of ½‖φ - y‖² with y = φ at other parameters, for so long that at its first
    rate the loss would be halved; nan if there is no law.
    """
    if not laws:
        return np.nan
    start, target = (driven.draw(k) for k in jax.random.split(key))
    points = jnp.asarray(driven.scales) * _flow(driven, start, driven.outputs(target))
    return float(np.max([_relative_drift(law, points) for law in laws]))


def _flow(driven: Drive, start: Flat, y: Array) -> Float[Array, "k n"]:
    """Eleven points along it."""

    def velocity(t: Any, w: Flat, args: Any) -> Flat:
        del t, args
        return -driven.push(w, (driven.outputs(w) - y) / driven.weights)

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
