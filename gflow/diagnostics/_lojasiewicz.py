"""The Łojasiewicz exponent of a trajectory, and the rate at which its loss falls.

L* `loss_min` · θ `theta` · c `c`: ‖∇L‖ ≥ c (L - L*)^θ near the limit. Along a gradient
flow in the Euclidean metric, dL/dt = -‖∇L‖², and equality gives

    θ = ½: L - L* = A e^(-c² t)        ½ < θ < 1: L - L* ~ t^(-1/(2θ - 1))         (1)
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ..trajectory import Trajectory

# A window is what the loss gap fell through on the last this many decades, and at
# least so many points.
_DECADES = 3.0
LEAST_POINTS = 8
# A law that leaves more than this share of the variation unexplained is none.
_LEAST_R_SQUARED = 0.95


@dataclasses.dataclass(frozen=True)
class Lojasiewicz:
    """‖∇L‖ = c (L - L*)^θ, fitted by least squares on logarithms over the tail.

    - `theta`, `c`: exponent and constant; `r_squared`: of the fit.
    - `window`: first and last time of the points used; `num_points`: how many.
    - `gaps`: largest and smallest loss gap among them.
    - `loss_min`: the L* assumed.
    """

    theta: float
    c: float
    r_squared: float
    window: tuple[float, float]
    num_points: int
    gaps: tuple[float, float]
    loss_min: float

    def __repr__(self) -> str:
        """The fit in a paragraph."""
        if self.r_squared < _LEAST_R_SQUARED:
            return (
                "Łojasiewicz: not of that type on this window, "
                f"t = {self.window[0]:.4g} to {self.window[1]:.4g}: a line through log "
                f"‖∇L‖ against log(L - {self.loss_min:.3g}) has R² = "
                f"{self.r_squared:.3f} only"
            )
        return (
            f"Łojasiewicz: ‖∇L‖ = {self.c:.3g} (L - {self.loss_min:.3g})"
            f"^{self.theta:.3f}, R² = {self.r_squared:.5f}, over {self.num_points} "
            f"points with loss gap {self.gaps[0]:.2e} to {self.gaps[1]:.2e}, "
            f"t = {self.window[0]:.4g} to {self.window[1]:.4g}"
        )


@dataclasses.dataclass(frozen=True)
class Rate:
    """How the loss gap falls in time over the tail.

    - `kind`: "exponential", A e^(-rate t), or "power", A t^(-rate): the one whose
        straight line (log gap against t, or against log t) leaves less unexplained;
        "undecided" if that is R² < 0.95.
    - `rate`: its rate (per unit of time) or exponent; nan if undecided.
    - `r_squared`: of the winner; `r_squared_other`: of the other.
    - `window`, `num_points`: as in `Lojasiewicz`.
    """

    kind: str
    rate: float
    r_squared: float
    r_squared_other: float
    window: tuple[float, float]
    num_points: int

    def __repr__(self) -> str:
        """The rate in a sentence."""
        if self.kind == "undecided":
            return (
                f"rate: undecided, no law fits (R² = {self.r_squared:.3f}, "
                f"{self.r_squared_other:.3f}), t = {self.window[0]:.4g} to "
                f"{self.window[1]:.4g}"
            )
        law = "e^(-{:.4g} t)" if self.kind == "exponential" else "t^(-{:.4g})"
        return (
            f"rate: {self.kind}, L - L* ~ {law.format(self.rate)}, "
            f"R² = {self.r_squared:.5f} (the other law: {self.r_squared_other:.5f}), "
            f"t = {self.window[0]:.4g} to {self.window[1]:.4g}"
        )


def lojasiewicz(trajectory: Trajectory, *, loss_min: float = 0.0) -> Lojasiewicz:
    """Exponent θ and constant c of ‖∇L‖ = c (L - L*)^θ along the tail of a run.

    A regression, first cut: it says what the points it used look like, not that the
    inequality holds around the limit. The window is the last three decades of the loss
    gap above round-off and above what rtol resolves. A run that stopped on a plateau
    gives the plateau's exponent.

    **Arguments:**

    - `trajectory`: a flow or a discrete run, with a metric close to Euclidean.
    - `loss_min`: L*. A wrong one bends the line: see R².

    **Raises:** `ValueError` if fewer than 8 points are left.

    **Cost:** none beyond what the run has saved.

    **References:** Łojasiewicz 1963; Absil, Mahony, Andrews 2005, theorem 2.2.

    ```python
    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.25 * jnp.sum(w**4))
    >>> run = gf.simulate(problem, gf.GradientFlow(), jnp.ones(1), t1=1e4)
    >>> print(f"{gf.diagnostics.lojasiewicz(run).theta:.4f}")  # 1 - 1/p, p = 4
    0.7500

    ```
    """
    gap, used = _tail(trajectory, loss_min)
    x, y = np.log(gap[used]), np.log(trajectory.observed["grad_norm"][used])
    slope, intercept, r_squared = line(x, y)
    return Lojasiewicz(
        theta=slope,
        c=float(np.exp(intercept)),
        r_squared=r_squared,
        window=window_of(trajectory, used),
        num_points=int(used.sum()),
        gaps=(float(gap[used].max()), float(gap[used].min())),
        loss_min=loss_min,
    )


def rate(trajectory: Trajectory, *, loss_min: float = 0.0) -> Rate:
    """Whether the loss gap falls exponentially or like a power of t, and how fast.

    Two straight lines over the same window as `lojasiewicz`: log(L - L*) against t
    and against log t. By (1) the first belongs to θ = ½, the second to θ > ½.

    **Arguments, Raises, Cost:** as `lojasiewicz`.

    ```python
    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
    >>> run = gf.simulate(problem, gf.GradientFlow(), jnp.ones(1), t1=10.0)
    >>> found = gf.diagnostics.rate(run)
    >>> print(found.kind, f"{found.rate:.3f}")
    exponential 2.000

    ```
    """
    gap, used = _tail(trajectory, loss_min)
    used = used & (trajectory.ts > 0)
    t, y = trajectory.ts[used], np.log(gap[used])
    fits = {"exponential": line(t, y), "power": line(np.log(t), y)}
    kind, other = sorted(fits, key=lambda name: fits[name][2], reverse=True)
    decided = fits[kind][2] >= _LEAST_R_SQUARED
    return Rate(
        kind=kind if decided else "undecided",
        rate=-fits[kind][0] if decided else float("nan"),
        r_squared=fits[kind][2],
        r_squared_other=fits[other][2],
        window=window_of(trajectory, used),
        num_points=int(used.sum()),
    )


def _tail(
    trajectory: Trajectory, loss_min: float
) -> tuple[Float[np.ndarray, " k"], Bool[np.ndarray, " k"]]:
    """The loss gap, and which points belong to its last decades that are resolved."""
    loss = np.asarray(trajectory.observed["loss"], dtype=float)
    gap = loss - loss_min
    eps = float(np.finfo(trajectory.observed["loss"].dtype).eps)
    # A difference from L* is known to a few units in the last place of L*. And near a
    # minimum a flow held to rtol has an error of rtol in its gradient too: of the order
    # of the gradient itself where the loss gap is rtol^2 of the initial one, and a
    # hundredth of it at 1e4 times that.
    rtol = trajectory.origin.options.get("rtol", 0.0)
    floor = max(100 * eps * abs(loss_min), 1e4 * rtol**2 * gap[0])
    usable = (gap > floor) & (trajectory.observed["grad_norm"] > 0)
    if usable.sum() < LEAST_POINTS:
        raise ValueError(
            f"only {usable.sum()} saved points have a loss above loss_min = "
            f"{loss_min:g} by more than round-off and rtol allow; {LEAST_POINTS} are "
            "needed (save more, or is loss_min above the infimum?)"
        )
    least = gap[usable].min()
    used = usable & (gap <= 10**_DECADES * least)
    if used.sum() < LEAST_POINTS:
        used = usable & (np.cumsum(usable[::-1])[::-1] <= LEAST_POINTS)
    return gap, used


def line(x: Any, y: Any) -> tuple[float, float, float]:
    """Slope, intercept and R² of the least-squares line."""
    slope, intercept = np.polyfit(x, y, 1)
    rest, spread = y - slope * x - intercept, y - y.mean()
    total = float(spread @ spread)
    r_squared = 1 - float(rest @ rest) / total if total > 0 else float("nan")
    return float(slope), float(intercept), r_squared


def window_of(trajectory: Trajectory, used: Any) -> tuple[float, float]:
    ts = trajectory.ts[used]
    return float(ts[0]), float(ts[-1])
