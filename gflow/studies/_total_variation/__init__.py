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
from .._study import ReportProgress, Study, StudyResult
from ._cars import cars
from ._compare import compare_methods
from ._cost import cost
from ._deep import deep
from ._estimator import estimator
from ._modified import modified
from ._physics import physics
from ._plane import plane
from ._published import published
from ._settings import FULL, SMOKE, Settings


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    # The longest first, and those that share a program after it.
    parts = [
        partial(published, settings, seed),
        partial(deep, settings, seed),
        partial(physics, settings, seed),
        partial(modified, settings, seed),
        partial(plane, settings, seed),
        partial(compare_methods, settings, seed),
        partial(cars, settings, seed),
        partial(cost, settings, seed),
        partial(estimator, settings, seed),
    ]
    yield from in_parallel(parts, progress)


study = Study(TOTAL_VARIATION, smoke=SMOKE, full=FULL, run=_run)
