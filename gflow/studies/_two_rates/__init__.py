"""Two rates: Razborov 2022 (arXiv 2212.02323).

Two-layer ReLU nets with both layers trained, each at its rate, on Gaussian data with
adversarial labels: where the flow comes to zero loss, over width, samples and the ratio
of the rates, how far that is from the kernel regime, and the same on real data.
"""

from collections.abc import Iterator
from functools import partial

from .._parallel import in_parallel
from .._registry import TWO_RATES
from .._study import Figure, ReportProgress, Study, StudyResult
from . import _descent, _digits, _explicit, _initializations, _maps, _reference
from ._settings import FULL, SMOKE, Settings


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    parts = [
        # These two are of the seed of the reference numbers, 0.
        partial(_reference.reference, settings),
        *([partial(_explicit.explicit, settings)] if settings.explicit_steps else []),
        *(_maps.maps(settings, seed, n) for n in settings.samples),
        partial(_initializations.initializations, settings, seed),
        partial(_digits.digits, settings, seed),
        partial(_descent.descent, settings, seed),
    ]
    yield from in_parallel(parts, progress)


def _figures(settings: Settings) -> tuple[Figure, ...]:
    return (
        _reference.figure(settings),
        _explicit.figure(settings),
        *(f for n in settings.samples for f in _maps.figures(settings, n)),
        _initializations.figure(settings),
        _digits.figure(settings),
        _descent.figure(settings),
    )


study = Study(TWO_RATES, smoke=SMOKE, full=FULL, run=_run, figures=_figures)
