"""Ways to smooth a curve, each with its strength chosen on held-out data."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ... import _trees as trees
from ..._types import Params
from ...models import Curve, ShallowNet, smoothing_spline
from ...trajectory import Trajectory
from ._runs import flow, flow_time, regression, strengths_of
from ._settings import Settings

Function = Callable[[np.ndarray], np.ndarray]
NAMES = (
    "none",
    "1-TV",
    "2-TV",
    "3-TV",
    "k-TV",
    "ridge",
    "weight decay",
    "early stop",
    "spline",
)


@dataclasses.dataclass(frozen=True)
class Fit:
    """A way to smooth: its predictor, the strength chosen, and its evidence."""

    f: Function
    strength: float
    evidence: str


def all_fits(
    net: ShallowNet, train: Curve, held_out: Curve, w0: Params, settings: Settings
) -> dict[str, Fit]:
    """Each method at that of its strengths whose held-out error is least.

    "k-TV" is the best of three orders by the same data, each at multiples of the
    paper's strength; ridge and weight decay try the same strengths. Early stopping
    chooses among 40 times of the flow without penalty, the spline among 40 strengths.
    All nets move from one start to one time.
    """
    found: dict[str, Fit] = {}
    multiples = settings.compare_strengths
    none = _net_fit(net, train, w0, settings)
    found["none"] = _at_end(net, none, 0.0)
    for k, strength in enumerate(strengths_of(settings), start=1):
        tried: list[Fit] = []
        for multiple in multiples:
            etas = np.where(np.arange(1, 4) == k, multiple * strength, 0.0)
            run = _net_fit(net, train, w0, settings, etas)
            tried.append(_at_end(net, run, multiple * strength))
        found[f"{k}-TV"] = best(tried, held_out)
    found["k-TV"] = best([found[f"{k}-TV"] for k in (1, 2, 3)], held_out)
    # ½ λ Σ_B ‖θ_B‖²/√|B|, or with the same number on each parameter.
    for name, power in (("ridge", 0.5), ("weight decay", 0.0)):
        tried = []
        for lam in settings.compare_ridges:
            run = _net_fit(net, train, w0, settings, ridge=lam, power=power)
            tried.append(_at_end(net, run, lam))
        found[name] = best(tried, held_out)
    found["early stop"] = best(_stopped(net, none), held_out)
    x, y = train.x[:, 0], train.y
    found["spline"] = best(
        [
            Fit(_on_rows(smoothing_spline(x, y, lam)), float(lam), "closed form")
            for lam in np.geomspace(1e-9, 1e1, 40)
        ],
        held_out,
    )
    return found


def best(fits: Sequence[Fit], held_out: Curve) -> Fit:
    """The one with the least mean square error on the data held out.

    Where none has one, all having failed, the first and no strength.
    """
    errors = np.array([np.mean((fit.f(held_out.x) - held_out.y) ** 2) for fit in fits])
    if np.all(np.isnan(errors)):
        return dataclasses.replace(fits[0], strength=float("nan"))
    return fits[int(np.nanargmin(errors))]


def parted(curve: Curve, num_train: int, seed: int) -> tuple[Curve, Curve]:
    """Training data and the others, at random."""
    order = np.random.default_rng(seed).permutation(len(curve.y))
    return rows(curve, order[:num_train]), rows(curve, order[num_train:])


def rows(curve: Curve, index: np.ndarray) -> Curve:
    """Some of the data."""
    return dataclasses.replace(
        curve, x=curve.x[index], y=curve.y[index], outlying=curve.outlying[index]
    )


def _net_fit(
    net: ShallowNet,
    train: Curve,
    w0: Params,
    settings: Settings,
    etas: Any = (0.0, 0.0, 0.0),
    ridge: float = 0.0,
    power: float = 0.5,
) -> Trajectory:
    fit = regression(net, train, settings, etas, ridge, power)
    t1, _ = flow_time(settings)
    return flow(fit.problem, w0, t1, settings)


def _at_end(net: ShallowNet, run: Trajectory, strength: float) -> Fit:
    """Predictions at the end of a run, nan if it failed."""
    w, is_whole = run.w1, run.result.ok

    def f(x: np.ndarray) -> np.ndarray:
        values = np.asarray(net(w, jnp.asarray(x)))
        return values if is_whole else np.full_like(values, np.nan)

    return Fit(f, strength, repr(run))


def _stopped(net: ShallowNet, run: Trajectory) -> list[Fit]:
    """One predictor for each saved time, its strength the time."""

    def at(i: int) -> Function:
        w = trees.take(run.ws, i)
        return lambda x: np.asarray(net(w, jnp.asarray(x)))

    return [Fit(at(i), float(t), repr(run)) for i, t in enumerate(run.ts)]


def _on_rows(spline: Function) -> Function:
    return lambda x: spline(x[:, 0])
