"""One flow of the maps: a random instance, a depth, a start and a rate ratio."""

import dataclasses
import math
from typing import Any

import numpy as np

from ..._results import Outcome
from ...models import (
    DiagonalNet,
    SparseRegression,
    WeightNormalized,
    diagonal_limit,
    sparse_random,
)
from ._map_origin import drawn_to_origin
from ._runs import Model, descend, relative, run_to_limit, time_of, with_kappa, x_end
from ._settings import Settings


@dataclasses.dataclass(frozen=True)
class Place:
    """Where on the maps; `kappa` None for the plain flow."""

    depth: int
    sparsity: int
    alpha: float
    kappa: float | None
    instance: int


@dataclasses.dataclass(frozen=True)
class Cell:
    """What the flow did, and what the law says of it; nan where there is no number.

    - `error`: of the limit, relative to the true vector; nan if the flow did not fit
        the data.
    - `l1_norm`: of the limit.
    - `time`, `descent_time`: at which the data were fitted, by flow and by descent.
    - `from_limit`: relative distance to the potential's minimizer.
    - `log_contraction`: log(w0_eff/w0) by the law, 0 for the plain flow.
    - `reached`: whether it fitted the data; `origin`: whether it went to w = 0 instead,
        and `drawn`: whether it should have, at depth 2.
    - `steps`: of the solver.
    """

    error: float
    l1_norm: float
    time: float
    descent_time: float
    from_limit: float
    log_contraction: float
    reached: bool
    origin: bool
    drawn: bool
    steps: int
    evidence: str


def instance(settings: Settings, sparsity: int, seed: int) -> SparseRegression:
    """The random instance of that sparsity and seed."""
    return sparse_random(
        settings.num_features, settings.num_samples, sparsity, seed=seed
    )


def start(depth: int, alpha: float) -> float:
    """Weights whose x is alpha^2 at every depth, so that depths compare."""
    return (alpha**2) ** (1 / depth)


def nearest(values: tuple[float, ...], wanted: float) -> float:
    """The value nearest to the one wanted, on a logarithmic scale."""
    return min(values, key=lambda value: abs(math.log(value / wanted)))


def run_cell(place: Place, settings: Settings, seed: int, descent: bool) -> Cell:
    """The flow of one place, beside its oracle and, if wanted, gradient descent."""
    data = instance(settings, place.sparsity, seed + place.instance)
    model = with_kappa(DiagonalNet(settings.num_features, place.depth), place.kappa)
    w0 = model.init(start(place.depth, place.alpha))
    end = run_to_limit(
        model,
        w0,
        data.A,
        data.y,
        settings,
        tight=False,
        max_steps=settings.map_max_steps,
        throw=False,
    )
    reached, x = end.run.result is Outcome.loss_reached, x_end(model, end.run)
    x0 = np.asarray(model.effective(w0))
    limit, log_contraction = _predicted(model, data, w0)
    time = float("nan")
    if descent:
        time = time_of(descend(model, w0, data.A, data.y, settings))
    return Cell(
        error=relative(x, np.asarray(data.x_true)) if reached else float("nan"),
        l1_norm=float(np.sum(np.abs(x))) if reached else float("nan"),
        time=end.time_fitted,
        descent_time=time,
        from_limit=relative(x, limit) if reached else float("nan"),
        log_contraction=log_contraction,
        reached=reached,
        origin=not reached and bool(np.sum(np.abs(x)) < 1e-3 * np.sum(x0)),
        drawn=place.depth == 2
        and drawn_to_origin(data.A.T @ data.y, np.sum(x0) ** 0.5, place.kappa),
        steps=end.run.stats["num_steps"],
        evidence=repr(end.run),
    )


def _predicted(
    model: Model, data: SparseRegression, w0: Any
) -> tuple[np.ndarray, float]:
    """The limit and log(w0_eff/w0) from the invariants, nan where none is found."""
    try:
        limit = diagonal_limit(model, data.A, data.y, w0)
    except ValueError:
        # Effective weights of less than e^-60: more than the dual resolves.
        return np.full(data.A.shape[1], np.nan), float("nan")
    if not isinstance(model, WeightNormalized):
        return np.asarray(limit.x), 0.0
    return np.asarray(limit.x), float(model.log_contraction(w0, limit.radius))
