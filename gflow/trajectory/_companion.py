"""An estimate of the global error of a flow, by a companion run.

A companion with tolerances less by a factor r has, where errors follow the tolerance,
an error less by r; then ‖w - w_companion‖ = (1 - 1/r) ‖error‖. Should they follow it
only in part, the companion still is the better run, and its distance the right order
of magnitude. That is not so of a looser companion, which would cost less: on five
closed forms, rtol 1e-4 to 1e-9 by half decades, the ratio of estimate to error was

| companion | Tsit5 | Dopri5 | Kvaerno5 | steps over those of the run |
|---|---|---|---|---|
| 100 rtol | 0.03 to 5.5 | 0.08 to 3.1 | 0.003 to 4.5 | 0.4 to 0.5 |
| 10 rtol | 0.2 to 7.3 | 0.2 to 6.0 | 0.05 to 8.8 | 0.6 to 0.7 |
| 5 rtol | 0.2 to 4.0 | 0.2 to 7.0 | 0.2 to 2.5 | 0.7 to 0.8 |
| 3 rtol | 0.3 to 8.0 | 0.3 to 7.1 | 0.07 to 17 | 0.8 |
| rtol / 2 | 1.3 to 5.6 | 0.9 to 7.2 | 0.3 to 15 | 1.1 to 1.2 |
| rtol / 3 | 0.6 to 3.6 | 0.7 to 3.0 | 0.5 to 2.2 | 1.2 |
| rtol / 5 | 0.7 to 1.7 | 0.9 to 2.7 | 0.1 to 4.6 | 1.3 to 1.4 |
| rtol / 10 | 0.9 to 1.7 | 0.8 to 2.6 | 0.4 to 3.0 | 1.5 to 1.6 |

where the error is the largest one over the saved times; at a single time it can be off
by more, because errors pass through zero. And a run that has itself left the flow can
be seen by a tighter companion alone.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._results import Outcome
from .._types import Params
from ._error import ErrorEstimate
from ._trajectory import Trajectory

COMPANION_RATIO = 3.0


def with_error(run: Trajectory, companion: Trajectory) -> Trajectory:
    """The run with the error that its companion tells, and what that cost.

    `companion` is the same flow with `COMPANION_RATIO` times smaller tolerances, saved
    at the same times. If it did not get to the end the estimate is nan, and a note
    says so.
    """
    gradients, saving = (
        companion.stats[name] for name in ("num_gradients", "num_gradients_saving")
    )
    stats = {
        **run.stats,
        "num_steps_error": companion.stats["num_steps"],
        "num_gradients_error": None if gradients is None else gradients + saving,
        "seconds_error": companion.stats["seconds"],
    }
    if companion.result is not Outcome.reached_end:
        reason = f"the companion run ended with {companion.result.name}"
        return without_error(dataclasses.replace(run, stats=stats), reason)
    whole = run.ws is not None and companion.ws is not None
    ws, others = (
        _rows(x.ws if whole else jax.tree.map(_lead, _params(x.w1)))
        for x in (run, companion)
    )
    absolute = np.linalg.norm(ws - others, axis=1) / (1 - 1 / COMPANION_RATIO)
    norms = np.linalg.norm(ws, axis=1)
    relative = np.divide(
        absolute, norms, out=np.where(absolute > 0, np.inf, 0.0), where=norms > 0
    )
    estimate = ErrorEstimate(run.ts if whole else run.ts[-1:], absolute, relative)
    return dataclasses.replace(run, stats=stats, error=estimate)


def without_error(run: Trajectory, reason: str) -> Trajectory:
    """The run with an estimate of nan and the reason."""
    unknown = np.full(1, np.nan)
    return dataclasses.replace(
        run,
        error=ErrorEstimate(run.ts[-1:], unknown, unknown),
        notes=(*run.notes, f"no estimate of the error: {reason}"),
    )


def _params(w: Params) -> Params:
    return eqx.filter(w, eqx.is_inexact_array)


def _lead(x: Any) -> Any:
    return np.asarray(x)[None]


def _rows(ws: Params) -> Any:
    """All parameters of a stack in double precision, a row for each time."""
    leaves = jax.tree.leaves(_params(ws))
    rows = [np.reshape(x, (len(x), -1)).astype(float) for x in leaves]
    return np.concatenate(rows, axis=1)
