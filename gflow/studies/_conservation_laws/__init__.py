"""Conservation laws: found, counted, published; and of a net that learns digits."""

from collections.abc import Iterator
from functools import partial

from .._parallel import in_parallel
from .._registry import CONSERVATION_LAWS
from .._study import Figure, ReportProgress, Study, StudyResult
from . import _digits, _digits_figure, _table
from ._settings import FULL, SMOKE, Settings


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    parts = [_table.table(seed), partial(_digits.digits, settings, seed)]
    yield from in_parallel(parts, progress)


def _figures(settings: Settings) -> tuple[Figure, ...]:
    del settings
    return _table.figure(), _digits_figure.figure()


study = Study(CONSERVATION_LAWS, smoke=SMOKE, full=FULL, run=_run, figures=_figures)
