"""Conservation laws from gradients alone."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from .. import _trees as trees
from .._types import Params
from ..problem import Metric
from ..trajectory import stage_line
from ._basis import Basis, Block, bases
from ._count import LawCount, counted
from ._drive import Drive, drive
from ._law import Law
from ._mend import Mended, mend
from ._search import RTOL, Search, flow_drift, search

# The largest basis: its matrix is factored in some forty seconds.
_MOST_TERMS = 5000

# Laws that are printed.
_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Discovery:
    """The laws that were found, and whether they are all.

    **Fields:**

    - `laws`: independent ones, simple ones first.
    - `count`: how many there are.
    - `basis`: `basis.terms`, among which they were sought, and `basis.what` they are.
    - `gap`: the least pivot of the matrix that counts over the largest that does not.
    - `residual`: max over laws and fresh draws of |⟨∇h, χ⟩| over the sum of its
        terms' sizes; what has more than 1e-9 is no law and left out.
    - `drift`: max over laws of the relative drift along a flow simulated at rtol 1e-8
        on random targets; nan if there are no laws, or if the flow failed.
    - `num_dependent`: laws found besides, that are functions of these.
    - `leaves`, `drive`: the parameters' names, and what pushes them.
    """

    laws: tuple[Law, ...]
    count: LawCount
    basis: Basis
    gap: float
    residual: float
    drift: float
    num_dependent: int
    leaves: tuple[Block, ...]
    drive: Drive

    @property
    def is_complete(self) -> bool:
        """Whether as many were found as there are, and that number is clear."""
        return len(self.laws) == self.count.num_laws and self.count.is_clear

    @property
    def verdict(self) -> str:
        """Whether the laws are all, in a few words."""
        missing = self.count.num_laws - len(self.laws)
        if not self.count.is_clear:
            return "how many there are is not clear"
        if missing == 0:
            return "complete" if self.laws else "complete: there is none"
        if missing < 0:
            return f"{-missing} more than were counted: do not trust either"
        return f"{missing} law{'' if missing == 1 else 's'} not found"

    def mend(
        self, h: Callable[[Params], Any], *, key: Array | None = None
    ) -> tuple[Mended, ...]:
        """Examine a quantity, and name the law that it was meant to be.

        **Arguments:** `h`: w -> a number or an array; `key`: of the random parameters,
        by default `jax.random.key(1)`.

        **Returns:** for each entry whether it is conserved whatever the loss, and if
        not, the law that shares the most of its terms and what h lacks to be it.

        ```python
        >>> import jax, jax.numpy as jnp
        >>> from gflow.invariants import discover
        >>> like = {"u": jnp.ones(()), "b": jnp.ones(()), "v": jnp.ones(())}
        >>> def neuron(w, x):
        ...     return w["v"] * jax.nn.relu(w["u"] * x + w["b"])
        >>> found = discover(neuron, like, inputs=jnp.linspace(-5, 5, 20))
        >>> found.mend(lambda w: w["u"] ** 2 - w["v"] ** 2)[0].lacks
        'b^2'

        ```
        """
        with jax.enable_x64(True):
            key = jax.random.key(1) if key is None else key
            return mend(self.drive, self.leaves, self.laws, self.basis.terms, h, key)

    def __repr__(self) -> str:
        """The formulas and the evidence."""
        lines = [f"{len(self.laws)} found, {self.verdict} ({self.count!r})"]
        shown = [f"  {law.formula}" for law in self.laws[:_SHOWN]]
        lines += shown
        if len(self.laws) > len(shown):
            lines.append(f"  ... and {len(self.laws) - len(shown)} more")
        lines.append(f"  sought among {len(self.basis.terms)} terms: {self.basis.what}")
        if self.laws:
            lines.append(
                f"  rate on fresh points {self.residual:.0e}, drift along a flow "
                f"{self.drift:.0e} (rtol {RTOL:.0e}), gap {self.gap:.0e}"
            )
        if self.num_dependent:
            lines.append(f"  {self.num_dependent} more are functions of these")
        return "\n".join(lines)


def discover(
    phi: Callable[..., Any],
    like: Params,
    *,
    inputs: PyTree[Any] | None = None,
    rates: Metric | PyTree[float] | None = None,
    degree: int = 2,
    powers: Sequence[int] = (-2, -1),
    key: Array | None = None,
) -> Discovery:
    """Find the conservation laws of gradient flow, whatever the loss.

    From gradients alone, with no hint about the model: the null space of ⟨∇h, χ⟩ = 0
    over random parameters and random fields χ = G^-1 ∇(c·φ), among sets of terms that
    grow until there are as many laws as `count` tells: linear terms, squares and
    products of partners, entries at one index of two arrays of one shape; products of
    neighbors, entries of one array that differ in one index; powers and logarithms;
    all products. Reduced to sparse vectors of integers, told in the parameters' names,
    and verified on fresh draws and along a simulated flow.

    **Arguments:**

    - `phi`, `like`, `inputs`, `rates`: as in `count`.
    - `degree`: of the products, >= 1.
    - `powers`: of single parameters that are sought besides, with logarithms.
    - `key`: of the draws, by default `jax.random.key(0)`.

    **Returns:** `Discovery`. Laws that are functions of the others are left out. They
    are those at the signs of `like`, which all draws have: of a net with kinks and few
    inputs there may be fewer elsewhere.

    **Raises:** as `count`; `ValueError` for a degree < 1 and for a power that is none.

    **Cost:** a gradient a row, as many rows as terms; O(terms³) for the null space, at
    most 5,000 terms. Larger sets are not tried: of a net with 2,500 parameters
    squares are, of one with 300 products of neighbors, with 90 all products of two.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.invariants import discover
    >>> like = {"u": jnp.ones(2), "v": jnp.ones(2)}
    >>> found = discover(lambda w: w["u"] ** 2 - w["v"] ** 2, like)
    >>> print(*[law.formula for law in found.laws], found.verdict, sep="; ")
    u[0] v[0]; u[1] v[1]; complete

    ```
    """
    if degree != int(degree) or degree < 1:
        raise ValueError(f"degree must be a whole number >= 1, not {degree}")
    if any(power != int(power) or power == 0 for power in powers):
        raise ValueError(f"powers must be integers other than 0, not {powers}")
    with jax.enable_x64(True):
        key = jax.random.key(0) if key is None else key
        driven = drive(phi, like, inputs, rates)
        leaves = _leaves(driven.whole(jnp.asarray(driven.start)))
        sets = list(bases(leaves, int(degree), powers, _MOST_TERMS))
        if not sets:
            raise ValueError(
                f"{driven.size} parameters are too many: their squares are more than "
                f"{_MOST_TERMS} terms"
            )
        there = counted(driven, "auto", key)
        basis, found = _grown(driven, leaves, sets, there.num_laws, key)
        drift = flow_drift(driven, found.laws, jax.random.fold_in(key, 2))
    return Discovery(
        laws=found.laws,
        count=there,
        basis=basis,
        gap=found.gap,
        residual=found.residual,
        drift=drift,
        num_dependent=found.num_dependent,
        leaves=tuple(leaves),
        drive=driven,
    )


def _grown(
    driven: Drive,
    leaves: Sequence[Block],
    sets: Sequence[Basis],
    num_laws: int,
    key: Array,
) -> tuple[Basis, Search]:
    """The first set in which all laws are found, or the last with the most of them."""
    best: tuple[Basis, Search] | None = None
    with stage_line("discover") as line:
        for basis in sets:
            line.set_postfix_str(f"among {len(basis.terms)} terms")
            found = search(driven, leaves, basis.terms, key)
            if best is None or len(found.laws) >= len(best[1].laws):
                best = basis, found
            if len(found.laws) == num_laws:
                break
    assert best is not None
    return best


def _leaves(whole: Params) -> list[Block]:
    """Names as they are written in Python, in the order of the flat parameters."""
    leaves: list[Block] = []
    start = 0
    arrays = trees.split(whole)[0]
    for path, array in jax.tree_util.tree_leaves_with_path(arrays):
        if array.size:
            leaves.append(Block(_name(path), array.shape, start))
        start += array.size
    return leaves


def _name(path: Sequence[Any]) -> str:
    """`layers[0].weight` of a module, `u` of a dict, w[0] of a list."""
    text = "".join(
        f".{key.key}"
        if isinstance(key, jax.tree_util.DictKey) and isinstance(key.key, str)
        else str(key)
        for key in path
    )
    return text[1:] if text[:1] == "." and text[1:2].isalpha() else f"w{text}"
