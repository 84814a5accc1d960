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
from .._study import ReportProgress, Study, StudyResult
from ._convergence import convergence, descent
from ._diabetes import diabetes
from ._laws import effective_init, invariants
from ._limits import p1_limits
from ._maps import maps
from ._separable import separable
from ._settings import FULL, SMOKE, Settings
from ._variants import deep_limits, explicit_steps, signed_limits


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    # The longest two first, so that none of them is left alone at the end.
    parts = [
        partial(maps, settings, seed),
        partial(p1_limits, settings),
        partial(diabetes, settings, seed),
        partial(signed_limits, settings),
        partial(deep_limits, settings),
        partial(effective_init, settings),
        partial(invariants, settings),
        partial(convergence, settings),
        partial(descent, settings),
        partial(separable, settings, seed),
        partial(explicit_steps, settings),
    ]
    yield from in_parallel(parts, progress)


study = Study(WEIGHT_NORMALIZATION, smoke=SMOKE, full=FULL, run=_run)
