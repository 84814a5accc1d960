"""How fast a drift falls with the tolerance or the step size."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from .._types import Invariants
from ..trajectory import Drift, Trajectory, check_kind
from ._drift import drift


@dataclasses.dataclass(frozen=True)
class DriftOrder:
    """The relative drift of a quantity at several settings, and the power fitted to it.

    `order` is the slope of log drift against log setting, by least squares; nan if a
    drift is 0.
    """

    settings: Float[np.ndarray, " n"]
    drifts: Float[np.ndarray, " n"]
    order: float


def drift_order(
    run: Callable[[float], Trajectory],
    invariants: Invariants,
    settings: Sequence[float],
) -> dict[str, DriftOrder]:
    """Run again and again, and fit the order at which invariants drift.

    Theory has drifts of first order: in the tolerance along a flow, in the step size
    under gradient descent to a given time. What is no law has order 0.

    **Arguments:**

    - `run`: a tolerance or a step size -> trajectory with parameters saved.
    - `invariants`: name -> callable `w -> array`, or an `Invariant`.
    - `settings`: two or more, > 0, all different.

    **Returns:** name -> `DriftOrder`.

    **Raises:** `ValueError` for other settings; `TypeError` if a run is no trajectory;
    as `drift`.

    **Cost:** the runs.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: (w["u"] * w["v"] - 1.0) ** 2)
    >>> w0 = {"u": jnp.array(2.0), "v": jnp.array(0.1)}
    >>> def descend(eta):
    ...     return gf.iterate(problem, gf.gradient_descent(eta), w0, round(1 / eta))
    >>> law = {"balance": lambda w: w["u"] ** 2 - w["v"] ** 2}
    >>> found = gf.invariants.drift_order(descend, law, (0.01, 0.005))
    >>> print(f"{found['balance'].order:.1f}")
    1.0

    ```
    """
    by_size = np.unique(np.array(settings, float))
    if by_size.size != np.size(settings) or by_size.size < 2 or not by_size[0] > 0:
        raise ValueError(
            f"settings must be two or more, > 0, all different, not {settings}"
        )
    measured: list[dict[str, Drift]] = []
    for setting in by_size:
        trajectory = run(float(setting))
        check_kind("what run returns", trajectory, Trajectory)
        measured.append(drift(trajectory, invariants))
    found: dict[str, DriftOrder] = {}
    for name in invariants:
        drifts = np.array([told[name].relative for told in measured])
        found[name] = DriftOrder(by_size, drifts, _slope(by_size, drifts))
    return found


def _slope(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    if not np.all((y > 0) & np.isfinite(y)):
        return float("nan")
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
