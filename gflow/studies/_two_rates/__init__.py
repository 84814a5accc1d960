"""Two rates: Razborov 2022 (arXiv 2212.02323).

Two-layer ReLU nets with both layers trained, each at its rate, on Gaussian data with
adversarial labels: where the flow comes to zero loss, over width, samples and the ratio
of the rates, how far that is from the kernel regime, and the same on real data.
"""

from collections.abc import Iterator
from functools import partial

from .._parallel import in_parallel
from .._registry import TWO_RATES
from .._study import ReportProgress, Study, StudyResult
from ._descent import descent
from ._digits import digits
from ._explicit import explicit
from ._initializations import initializations
from ._maps import maps
from ._reference import reference
from ._settings import FULL, SMOKE, Settings


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    parts = [
        # These two are of the seed of the reference numbers, 0.
        partial(reference, settings),
        *([partial(explicit, settings)] if settings.explicit_steps else []),
        *(maps(settings, seed, n) for n in settings.samples),
        partial(initializations, settings, seed),
        partial(digits, settings, seed),
        partial(descent, settings, seed),
    ]
    yield from in_parallel(parts, progress)


study = Study(TWO_RATES, smoke=SMOKE, full=FULL, run=_run)
