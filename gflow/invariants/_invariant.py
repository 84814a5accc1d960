"""A declared invariant: a function of the parameters that a flow conserves."""

from collections.abc import Callable
from typing import Any

import equinox as eqx

from .._types import Params


class Invariant(eqx.Module):
    """A quantity h(w) that stays what it was at t = 0.

    **Arguments:**

    - `value`: `w -> array` of any fixed shape, h(w).
    - `formula`: h as plain text, for tables and reports.
    - `conserved_by`: the class names of the flows that conserve it. Under any other
        law of motion its drift is measured but not held against the run.
    - `scale`: `w -> array`, the pieces from which h is built. Drift is reported
        relative to max over t of ‖scale(w(t))‖, and to ‖h(w0)‖ when not given; give it
        where h starts at or near zero.
    - `reference`: author, year, theorem.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> uv = gf.Invariant(lambda w: w["u"] * w["v"], formula="u v")
    >>> print(uv({"u": jnp.array(2.0), "v": jnp.array(3.0)}))
    6.0

    ```
    """

    value: Callable[[Params], Any]
    formula: str = eqx.field(static=True)
    conserved_by: tuple[str, ...] = eqx.field(static=True)
    scale: Callable[[Params], Any] | None
    reference: str = eqx.field(static=True)

    def __init__(
        self,
        value: Callable[[Params], Any],
        *,
        formula: str,
        conserved_by: tuple[str, ...] = ("GradientFlow",),
        scale: Callable[[Params], Any] | None = None,
        reference: str = "",
    ) -> None:
        self.value = value
        self.formula = formula
        self.conserved_by = conserved_by
        self.scale = scale
        self.reference = reference

    def __call__(self, w: Params) -> Any:
        """h(w)."""
        return self.value(w)
