"""Weight normalization: Chou, Rauhut, Ward 2023 (arXiv 2305.05448).

Diagonal linear nets under gradient flow, in plain and in polar coordinates: where the
flows end, what they conserve, how fast they converge, how gradient descent compares,
where weight normalization helps and where it hurts, and how fast the loss falls on
separable data.
"""

from collections.abc import Iterator
from functools import partial

from .._parallel import in_parallel
from .._registry import WEIGHT_NORMALIZATION
from .._study import Figure, ReportProgress, Study, StudyResult
from . import _convergence, _diabetes, _laws, _limits, _maps, _separable, _variants
from ._settings import FULL, SMOKE, Settings


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    # The longest two first, so that none of them is left alone at the end.
    parts = [
        partial(_maps.maps, settings, seed),
        partial(_limits.p1_limits, settings),
        partial(_diabetes.diabetes, settings, seed),
        partial(_variants.signed_limits, settings),
        partial(_variants.deep_limits, settings),
        partial(_laws.effective_init, settings),
        partial(_laws.invariants, settings),
        partial(_convergence.convergence, settings),
        partial(_convergence.descent, settings),
        partial(_separable.separable, settings, seed),
        partial(_variants.explicit_steps, settings),
    ]
    yield from in_parallel(parts, progress)


def _figures(settings: Settings) -> tuple[Figure, ...]:
    return (
        *_maps.figures(settings),
        _limits.figure(),
        _diabetes.figure(settings),
        _laws.figure(settings),
        _convergence.figure(),
        _convergence.gap_figure(settings),
        _separable.figure(settings),
    )


study = Study(WEIGHT_NORMALIZATION, smoke=SMOKE, full=FULL, run=_run, figures=_figures)
