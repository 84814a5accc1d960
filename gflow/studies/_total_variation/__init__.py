"""Higher-order total variation: Okuno 2023 (arXiv 2308.02293).

Nets whose k-th derivative is penalized, by stochastic descent and by gradient flow on
one clock: the published settings, what SGD adds to the flow, what derivatives of high
order cost, deep nets, other ways to smooth, outliers, a real data set, differential
equations, and two dimensions.
"""

from collections.abc import Iterator
from functools import partial

from .._parallel import in_parallel
from .._registry import TOTAL_VARIATION
from .._study import Figure, ReportProgress, Study, StudyResult
from . import (
    _cars,
    _compare,
    _cost,
    _deep,
    _estimator,
    _modified,
    _physics,
    _plane,
    _published,
)
from ._settings import FULL, SMOKE, Settings


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    # The longest first, and those that share a program after it.
    parts = [
        partial(_published.published, settings, seed),
        partial(_deep.deep, settings, seed),
        partial(_physics.physics, settings, seed),
        partial(_modified.modified, settings, seed),
        partial(_plane.plane, settings, seed),
        partial(_compare.compare_methods, settings, seed),
        partial(_cars.cars, settings, seed),
        partial(_cost.cost, settings, seed),
        partial(_estimator.estimator, settings, seed),
    ]
    yield from in_parallel(parts, progress)


def _figures(settings: Settings) -> tuple[Figure, ...]:
    return (
        *_published.figures(settings),
        _deep.figure(settings),
        _physics.figure(),
        _modified.figure(settings),
        _plane.figure(settings),
        _compare.figure(settings),
        _cars.figure(settings),
        _cost.figure(),
    )


study = Study(TOTAL_VARIATION, smoke=SMOKE, full=FULL, run=_run, figures=_figures)
