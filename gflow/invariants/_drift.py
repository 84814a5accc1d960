"""How far an invariant moved along a trajectory that was run without declaring it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._types import Invariants, Params
from ..trajectory import (
    Drift,
    Trajectory,
    check_invariants,
    measure_drift,
    named,
    value_and_scale,
)


def drift(trajectory: Trajectory, invariants: Invariants) -> dict[str, Drift]:
    """Drift of invariants along any trajectory that kept its parameters.

    As `trajectory.drift`, for quantities that come to mind after the run.

    **Arguments:**

    - `trajectory`: a flow or a discrete run.
    - `invariants`: name -> callable `w -> array`, or an `Invariant`.

    **Returns:** name -> `Drift`, absolute and relative.

    **Raises:** `ValueError` if the run kept no parameters, or an invariant cannot be
    evaluated; `TypeError` if they are no mapping.

    **Cost:** one evaluation of each invariant a saved point; no gradients.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: (w["u"] * w["v"] - 1.0) ** 2)
    >>> w0 = {"u": jnp.array(2.0), "v": jnp.array(0.1)}
    >>> run = gf.simulate(problem, gf.GradientFlow(), w0, t1=1.0)
    >>> balance = {"u^2 - v^2": lambda w: w["u"] ** 2 - w["v"] ** 2}
    >>> found = gf.invariants.drift(run, balance)["u^2 - v^2"]
    >>> found.relative < 1e-4
    True

    ```
    """
    if trajectory.ws is None:
        raise ValueError("drift needs the parameters, and this run kept none (Save)")
    invariants = named("invariants", invariants)
    check_invariants(invariants, trajectory.w0)
    params, static = eqx.partition(trajectory.ws, eqx.is_inexact_array)

    def at(point: Params) -> dict[str, Any]:
        w = eqx.combine(point, static)
        return {name: value_and_scale(h, w) for name, h in invariants.items()}

    laws = jax.lax.map(at, jax.tree.map(jnp.asarray, params))
    law_name = trajectory.origin.law_name
    out: dict[str, Drift] = {}
    for name, h in invariants.items():
        values, scales = map(np.asarray, laws[name])
        out[name] = measure_drift(h, values, scales, law_name)
    return out
