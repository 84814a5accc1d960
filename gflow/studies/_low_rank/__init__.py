"""Low rank: Huh, Mobahi, Zhang, Cheung, Agrawal, Isola 2021 (arXiv 2103.10427).

Deep linear nets and random embeddings: the effective rank at initialization, along
training, and at the end, over depth, target and method; the laws by which singular
values move; and what layers as products of linear factors change in classification.
"""

from collections.abc import Iterator
from functools import partial

from .._parallel import in_parallel
from .._registry import LOW_RANK
from .._study import ReportProgress, Study, StudyResult
from ._classification import classification
from ._classification_runs import require_images
from ._embeddings import embeddings
from ._expansion_flow import expansion_flow
from ._initialization import products
from ._methods import methods
from ._modes import modes
from ._settings import FULL, SMOKE, Settings
from ._sweep import sweep
from ._training import descent, training


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    require_images(settings)
    # Sweep, methods and training share programs: the later find them compiled.
    parts = [
        partial(sweep, settings, seed),
        partial(modes, settings, seed),
        partial(products, settings, seed),
        partial(methods, settings, seed),
        partial(training, settings, seed),
        partial(embeddings, settings, seed),
        partial(descent, settings, seed),
        partial(expansion_flow, settings, seed),
        partial(classification, settings, seed),
    ]
    yield from in_parallel(parts, progress)


study = Study(LOW_RANK, smoke=SMOKE, full=FULL, run=_run)
