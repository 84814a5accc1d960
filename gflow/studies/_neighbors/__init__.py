"""Neighbors: eleven small results on gradient flow, each against its closed form.

Implicit gradient regularization, flat factorizations, sharp limits of diagonal nets,
batch normalization, leaky ReLU, one neuron, splines, fine-tuning, momentum, weight
decay, and averaged SGD.
"""

from collections.abc import Iterator
from functools import partial

from .._parallel import in_parallel
from .._registry import NEIGHBORS
from .._study import Figure, ReportProgress, Study, StudyResult
from . import (
    _averaging,
    _batch_norm,
    _fine_tuning,
    _flatness,
    _gradient_regularization,
    _leaky_relu,
    _momentum,
    _one_neuron,
    _sharp_limits,
    _spline,
    _weight_decay,
)
from ._settings import FULL, SMOKE, Settings


def _run(
    settings: Settings, seed: int, progress: ReportProgress
) -> Iterator[StudyResult]:
    parts = [
        partial(_gradient_regularization.gradient_regularization, settings),
        partial(_flatness.flatness, settings, seed),
        partial(_sharp_limits.sharp_limits, settings),
        partial(_batch_norm.batch_norm, settings, seed),
        partial(_leaky_relu.leaky_relu, settings, seed),
        partial(_one_neuron.one_neuron, settings, seed),
        partial(_spline.spline, settings, seed),
        partial(_fine_tuning.fine_tuning, settings, seed),
        partial(_momentum.momentum, settings, seed),
        partial(_weight_decay.weight_decay, settings, seed),
        partial(_averaging.averaging, settings, seed),
    ]
    yield from in_parallel(parts, progress)


def _figures(settings: Settings) -> tuple[Figure, ...]:
    return (
        _gradient_regularization.figure(),
        _flatness.figure(),
        _sharp_limits.figure(),
        _batch_norm.figure(),
        _leaky_relu.figure(settings),
        _one_neuron.figure(settings),
        _spline.figure(settings),
        _fine_tuning.figure(),
        _momentum.figure(),
        _weight_decay.figure(),
        _averaging.figure(settings),
    )


study = Study(NEIGHBORS, smoke=SMOKE, full=FULL, run=_run, figures=_figures)
