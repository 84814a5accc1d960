"""How the loss of a classifier falls on separable data.

m = -log L, which grows like the margin of the loss. Where the slope of the margin along
the flow is a power of the margin, dL/dt = -C L² mᵖ, and integrating by parts

    t L = (1/C) m^(-p) (1 + p/m + ...),   so   L ~ 1/(C t logᵖ t).              (1)

A net homogeneous of degree H in its weights has p = 2 - 2/H, exponential weight
normalization p = 2 at any degree.
"""

import dataclasses

import jax
import numpy as np

from ..problem import Metric, Rates
from ..trajectory import Trajectory
from ._lojasiewicz import LEAST_POINTS, line, window_of


@dataclasses.dataclass(frozen=True)
class MarginRate:
    """L = 1/(C t logᵖ t), fitted by least squares on logarithms.

    - `log_power`, `c`: p and C, of -dL/dt = C L² mᵖ with m = -log L.
    - `r_squared`: of the fit; near 0 where p is, as there is nothing to explain.
    - `window`: first and last time of the points used; `num_points`: how many.
    """

    log_power: float
    c: float
    r_squared: float
    window: tuple[float, float]
    num_points: int

    def __repr__(self) -> str:
        """The rate in a sentence."""
        return (
            f"margin rate: L ~ 1/({self.c:.3g} t (log t)^{self.log_power:.3f}), "
            f"t = {self.window[0]:.3g} to {self.window[1]:.3g}, {self.num_points} "
            "points"
        )


def margin_rate(trajectory: Trajectory, *, since: float = 1e6) -> MarginRate:
    """The power p of the logarithm in L ~ 1/(t logᵖ t), from a flow's tail.

    Fitted to the rate of fall, -dL/dt = ‖∇L‖², and not to t L: by (1) that would be
    off by p/log t. The direction of the weights converges like 1/log t, and as much
    is p off, from above.

    **Arguments:**

    - `trajectory`: of a gradient flow in the Euclidean metric, with a loss of
        exponential tail whose infimum is 0.
    - `since`: the first time used.

    **Raises:** `ValueError` if fewer than 8 saved points have t ≥ since and L < 1/e, or
    the problem has a metric, or rates other than 1.

    **Cost:** none beyond what the run has saved.

    **References:** Lyu, Li 2020 (arXiv 1906.05890); Morwani, Ramaswamy 2022 (arXiv
    2010.12909).

    ```python
    >>> import jax; jax.config.update("jax_enable_x64", True)
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: jnp.exp(-w[0] * w[1]))
    >>> flow, w0 = gf.GradientFlow(), jnp.ones(2)
    >>> run = gf.simulate(problem, flow, w0, 1e20, clock=gf.LossTime())
    >>> print(f"{gf.diagnostics.margin_rate(run).log_power:.3f}")  # 2 - 2/H, H = 2
    1.000

    ```
    """
    if not _is_euclidean(trajectory.origin.problem.metric):
        raise ValueError("with rates other than 1, -dL/dt is not |grad L|^2")
    loss = np.asarray(trajectory.observed["loss"], dtype=float)
    speed = np.asarray(trajectory.observed["grad_norm"], dtype=float) ** 2
    used = (trajectory.ts >= since) & (loss > 0) & (loss < np.exp(-1)) & (speed > 0)
    if used.sum() < LEAST_POINTS:
        raise ValueError(
            f"only {used.sum()} saved points have t >= {since:g} and a loss below 1/e; "
            f"{LEAST_POINTS} are needed (run longer, or save more?)"
        )
    loss = loss[used]
    power, intercept, r_squared = line(
        np.log(-np.log(loss)), np.log(speed[used]) - 2 * np.log(loss)
    )
    return MarginRate(
        log_power=power,
        c=float(np.exp(intercept)),
        r_squared=r_squared,
        window=window_of(trajectory, used),
        num_points=int(used.sum()),
    )


def _is_euclidean(metric: Metric | None) -> bool:
    unit = isinstance(metric, Rates) and all(
        bool(np.all(np.asarray(rate) == 1)) for rate in jax.tree.leaves(metric.prefix)
    )
    return metric is None or unit
