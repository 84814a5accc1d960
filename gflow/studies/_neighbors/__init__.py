"""Neighbors: eleven small results on gradient flow, each against its closed form.

Implicit gradient regularization, flat factorizations, sharp limits of diagonal nets,
batch normalization, leaky ReLU, one neuron, splines, fine-tuning, momentum, weight
decay, and averaged SGD.
"""

from collections.abc import Iterator
from functools import partial

from .._parallel import in_parallel
from .._registry import NEIGHBORS
from .._study import ReportProgress, Study, StudyResult
from ._averaging import averaging
from ._batch_norm import batch_norm
from ._fine_tuning import fine_tuning
from ._flatness import flatness
from ._gradient_regularization import gradient_regularization
from ._leaky_relu import leaky_relu
from ._momentum import momentum
from ._one_neuron import one_neuron
from ._settings import FULL, SMOKE, Settings
from ._sharp_limits import sharp_limits
from ._spline import spline
from ._weight_decay import weight_decay


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    parts = [
        partial(gradient_regularization, settings),
        partial(flatness, settings, seed),
        partial(sharp_limits, settings),
        partial(batch_norm, settings, seed),
        partial(leaky_relu, settings, seed),
        partial(one_neuron, settings, seed),
        partial(spline, settings, seed),
        partial(fine_tuning, settings, seed),
        partial(momentum, settings, seed),
        partial(weight_decay, settings, seed),
        partial(averaging, settings, seed),
    ]
    yield from in_parallel(parts, progress)


study = Study(NEIGHBORS, smoke=SMOKE, full=FULL, run=_run)
