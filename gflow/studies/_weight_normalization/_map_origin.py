"""Which normalized flows are drawn to the origin, told before any run.

Depth 2, w = r θ, c = Aᵀy. Near the origin L = ‖y‖²/2 - ⟨c, w²⟩, so that

    r' = 2 s r,    s' = 4 κ V r²,    s = ⟨c, θ²⟩,    V = ⟨c², θ²⟩ - s²,              (1)

and, V being nearly what it is at the start, s² - 2 κ V r² does not change: a flow with
s0 < 0 has r = 0 before s turns positive if s0² > 2 κ V r0². The plain flow is never
drawn there if some c_i > 0, as each entry of w grows by itself.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from .._claim import Claim


def drawn_to_origin(
    c: Float[np.ndarray, " n"], radius0: float, kappa: float | None
) -> bool:
    """Whether by (1) the flow from equal weights of that norm ends at w = 0."""
    if kappa is None:
        return bool(np.max(c) <= 0)
    mean, variance = np.mean(c), np.var(c)
    return bool(mean < 0 and mean**2 > 2 * kappa * variance * radius0**2)


def origin_claim(dataset: Any) -> Claim:
    """Of a dataset at depth 2."""
    drawn, ended = (
        dataset[name].transpose("map_method", ...).values > 0
        for name in ("map_drawn", "map_origin")
    )
    return Claim(
        "maps-origin",
        "The origin draws a normalized flow at depth 2 if s = mean(A^T y) < 0 and s^2 "
        "> 2 kappa Var(A^T y) r0^2, a plain one if no entry of A^T y is positive, told "
        f"before any run, and the data are never fitted: share of {ended.size} flows "
        f"that do as told ({ended.sum()} end there by t1, {ended[0].sum()} of them "
        f"plain; {drawn.sum()} are told to).",
        "derived: linearization at the origin",
        expected=1.0,
        measured=float(np.mean(drawn == ended)),
    )
