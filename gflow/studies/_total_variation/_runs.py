"""Runs that the parts of the study share."""

from typing import Any

import numpy as np
from jaxtyping import Float

from ..._simulate import simulate
from ..._types import Params
from ...flows import GradientFlow
from ...models import (
    BlockRidge,
    Curve,
    Interval,
    PenalizedRegression,
    ShallowNet,
    total_variation,
)
from ...problem import Problem
from ...solvers import BDF
from ...trajectory import Save, Trajectory
from .._statistics import Interval as Bounds, paired
from ._settings import Settings

# Where predictions are scored: |x| <= 0.4, so closely that finer makes no difference.
GRID = np.linspace(-0.4, 0.4, 801)[:, None]


def strengths_of(settings: Settings) -> tuple[float, float, float]:
    """The paper's eta_1, eta_2, eta_3."""
    return settings.strength1, settings.strength2, settings.strength3


def regression(
    net: ShallowNet,
    curve: Curve,
    settings: Settings,
    strengths: Any = (0.0, 0.0, 0.0),
    ridge: float = 0.0,
    power: float = 0.5,
    domain: Interval | None = None,
) -> PenalizedRegression:
    """The paper's objective, on its interval unless another is given.

    One program serves all strengths, data, starts and intervals.
    """
    integral = total_variation(
        net,
        domain or Interval(-0.5, 0.5),
        strengths,
        num_points=settings.quadrature,
    )
    return PenalizedRegression(
        net, curve.x, curve.y, integral=integral, ridge=BlockRidge(ridge, power)
    )


def flow_time(settings: Settings) -> tuple[float, Float[np.ndarray, " steps"]]:
    """The time at which SGD ends, and its step sizes."""
    k = np.arange(settings.num_steps) % settings.cycle
    etas = settings.eta * settings.decay ** (k // settings.decay_every)
    return float(np.sum(etas)), etas


def last_long_step(etas: Any) -> int:
    """How many steps there are up to the last of the longest."""
    return int(np.flatnonzero(etas == np.max(etas))[-1]) + 1


def flow(
    problem: Problem, w0: Params, t1: float, settings: Settings, **kwargs: Any
) -> Trajectory:
    """Gradient flow to t1; these are mildly stiff, and small.

    All save at as many times, so that runs of one net share one program.
    """
    options: dict[str, Any] = {
        "save": Save.log(num=40, first=1e-3 * t1),
        "throw": False,
        "solver": BDF(),
        **kwargs,
    }
    return simulate(
        problem,
        GradientFlow(),
        w0,
        t1,
        rtol=settings.rtol,
        atol=1e-3 * settings.rtol,
        progress=False,
        **options,
    )


def correlation(f: Any, truth: Any) -> float:
    """The paper's score: correlation of predictions and truth."""
    return float(np.corrcoef(np.asarray(f), truth)[0, 1])


def rms(a: Any, b: Any) -> float:
    """Root mean square difference."""
    return float(np.sqrt(np.mean((np.asarray(a) - np.asarray(b)) ** 2)))


def geometric(ratios: Any, shared: float = 0.0) -> tuple[float, Bounds | None]:
    """Geometric mean of paired ratios, and its 95 % interval of two or more.

    NaN where one is; `shared` as in `paired`.
    """
    logs = np.log(ratios)
    ends = paired(logs, shared).interval if len(logs) > 1 else None
    bounds = None if ends is None else (float(np.exp(ends[0])), float(np.exp(ends[1])))
    return float(np.exp(np.mean(logs))), bounds


def undecided(bounds: Bounds | None, num: int, what: str, bound: float = 1.0) -> str:
    """For a note: that the interval of a ratio holds its bound, if it does."""
    if bounds is None or not bounds[0] <= bound <= bounds[1]:
        return ""
    return f"The interval holds {bound:g}: {num} {what}s do not decide it."


def over(num: int, what: str, statistic: str = "median") -> str:
    """In words, what stands for `num` seeds, starts or splits."""
    return f"{statistic} over {num} {what}s" if num > 1 else f"of one {what}"
