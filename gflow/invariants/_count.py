"""How many conservation laws there are."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Array, PyTree

from .._types import Params
from ..flows import Flow
from ..problem import Metric
from ._drive import Drive, drive
from ._polynomials import NotPolynomial
from ._smooth_count import smooth_ranks

# Beyond them polynomial brackets take longer than compiling numerical ones.
_EXACT_SIZE, _MOST_TERMS = 100, 200_000

# A rank is clear if the singular values that count are above the others by this factor.
_CLEAR = 1e3


@dataclasses.dataclass(frozen=True)
class LawCount:
    """The number of independent conservation laws, with the evidence for it.

    **Fields:**

    - `dimension`: of the state: the parameters, or (w, v, t) of a flow with inertia.
    - `method`: "exact" or "smooth".
    - `ranks`: of the Lie algebra that the fields generate, at each state looked at.
    - `gap`: of the singular values at that rank, the least that counts over the
        largest that does not; inf if there are none, or if exact.
    - `depth`: of the brackets after which the rank grew no more; None if exact.
    """

    dimension: int
    method: Literal["exact", "smooth"]
    ranks: tuple[int, ...]
    gap: float
    depth: int | None

    @property
    def rank(self) -> int:
        """That at a generic state: the largest."""
        return max(self.ranks)

    @property
    def num_laws(self) -> int:
        """Dimension less rank."""
        return self.dimension - self.rank

    @property
    def is_clear(self) -> bool:
        """Whether the gap leaves no doubt about the rank."""
        return self.gap > _CLEAR

    def __repr__(self) -> str:
        """In a line."""
        laws = f"{self.num_laws} law{'' if self.num_laws == 1 else 's'}"
        text = f"{laws} = dimension {self.dimension} - rank {self.rank} ({self.method}"
        if self.method == "exact":
            return f"{text}, modulo 2^61 - 1)"
        text += f", brackets to depth {self.depth}, gap {self.gap:.0e}"
        if min(self.ranks) < self.rank:
            fewer = sum(rank < self.rank for rank in self.ranks)
            text += f", less at {fewer} of {len(self.ranks)} points"
        return text + (")" if self.is_clear else "; not clear)")


def count(
    phi: Callable[..., Any],
    like: Params,
    *,
    inputs: PyTree[Any] | None = None,
    flow: Flow | None = None,
    rates: Metric | PyTree[float] | None = None,
    method: str = "auto",
    key: Array | None = None,
) -> LawCount:
    """The number of independent conservation laws of a model, whatever the loss.

    A law is a function h(w) that stays what it is along the flow of every loss
    f(φ(w)): ∇h is orthogonal to the fields χ_i = G^-1 ∇φ_i and so to their brackets.
    There are as many as the dimension less that of the Lie algebra which the χ_i
    generate, near a generic w. Of a flow with inertia laws are functions of (t, w, w').

    | method | of | how |
    |---|---|---|
    | exact | φ that adds, multiplies and moves numbers | polynomials modulo 2^61 - 1 |
    | smooth | φ that jax differentiates | brackets by jvp, singular values, 8 points |

    "auto" is exact where that is quick: up to 100 state variables, 200,000 terms in all
    brackets, and no numbers that look rounded (data that were centered obey only nearly
    what they should, and an exact rank sees the difference).

    **Arguments:**

    - `phi`: w -> the coefficients on which the loss depends, any pytree of arrays: of
        a linear net its end-to-end matrix. With `inputs`, (w, inputs) -> predictions.
    - `like`: parameters; their values say only near which points to look: entries are
        moved by random factors, zeros are drawn.
    - `inputs`: data. The count is then of losses of the predictions for these: the
        laws of every data set are counted with many random inputs, some times as many
        as there are parameters. Fewer inputs leave more laws.
    - `flow`: `GradientFlow` (default), `HeavyBall` or `Nesterov`.
    - `rates`: the metric, as in `gflow.Objective`; of a mirror flow
        `gflow.problem.Mirror`.
    - `key`: of the random points of "smooth", by default `jax.random.key(0)`.

    **Returns:** `LawCount`. Of a model with kinks, the number of laws of the region
    with the fewest among the points, all of which have the signs of `like`.

    **Raises:** `ValueError` if φ or the rates do not fit `like`; `TypeError` for a φ
    that is no function, a flow that is not known, or, if exact, a φ that is no
    polynomial, with the operation that is none.

    **Cost:** exact, as many brackets as rank times generators: two linear layers of 50
    parameters .2 s, but products of five or six factors minutes. Smooth, 8 (dimension +
    10) brackets a depth, each 4^depth gradients or less; seconds, most of it compiling.

    **References:** Marcotte, Gribonval, Peyré 2023 (arXiv 2307.00144), theorem 3.3;
    with inertia, Marcotte, Gribonval, Peyré 2024 (arXiv 2405.12888).

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.invariants import count
    >>> factors = {"u": jnp.ones((2, 2)), "v": jnp.ones((2, 2))}
    >>> count(lambda w: w["u"] @ w["v"].T, factors)
    3 laws = dimension 8 - rank 5 (exact, modulo 2^61 - 1)

    ```
    """
    if method not in ("auto", "exact", "smooth"):
        raise ValueError(f"method must be auto, exact or smooth, not {method!r}")
    with jax.enable_x64(True):
        key = jax.random.key(0) if key is None else key
        return counted(drive(phi, like, inputs, rates, flow), method, key)


def counted(driven: Drive, method: str, key: Array) -> LawCount:
    """The count of a drive that is at hand. To be called in float64."""
    if method == "exact":
        return _exact(driven, np.inf)
    if method == "auto" and driven.state_size <= _EXACT_SIZE:
        with contextlib.suppress(NotPolynomial):
            return _exact(driven, _MOST_TERMS)
    return _smooth(driven, key)


def _exact(driven: Drive, most_terms: float) -> LawCount:
    from ._exact_count import exact_rank  # flint takes .1 s to load

    rank = exact_rank(driven, most_terms)
    return LawCount(driven.state_size, "exact", (rank,), np.inf, None)


def _smooth(driven: Drive, key: Array) -> LawCount:
    points = smooth_ranks(driven, key)
    best = max(points, key=lambda point: (point.rank, point.gap))
    ranks = tuple(point.rank for point in points)
    return LawCount(driven.state_size, "smooth", ranks, best.gap, best.depth)
