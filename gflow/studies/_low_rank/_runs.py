"""Runs that the parts of the study share."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ..._simulate import simulate
from ...diagnostics import rank_effective
from ...flows import GradientFlow
from ...invariants import deep_linear_invariants
from ...models import DeepLinear, MatrixRegression, matrix_regression
from ...solvers import BDF
from ...trajectory import LossBelow, MaxSteps, Save, Trajectory
from .._statistics import worst
from ._settings import Settings

# Where curves are measured, as shares of the first loss or of the horizon.
NUM_SAVED = 40
# Rounding keeps losses far above; a run without a goal is then the program of one with.
_NEVER = 1e-60


@dataclasses.dataclass(frozen=True)
class Instance:
    """A net, its data and where it starts."""

    net: DeepLinear
    data: MatrixRegression
    w0: Any

    @property
    def problem(self) -> Any:
        """Least squares on the data.

        With rows of zeros up to as many as there are unknowns, which change nothing:
        any number of samples is the same program.
        """
        missing = self.data.X.shape[1] - len(self.data.X)
        rows = ((0, missing), (0, 0))
        return self.net.problem(np.pad(self.data.X, rows), np.pad(self.data.Y, rows))

    @property
    def observables(self) -> dict[str, Any]:
        """The effective rank of the end-to-end map, as "rank"."""
        # A Partial and no closure: the same program for every instance.
        return {"rank": eqx.Partial(_rank, self.net)}

    def rank(self, w: Any) -> float:
        """Effective rank of the end-to-end map at w."""
        return float(rank_effective(self.net.end_to_end(w)))

    @property
    def target_rank(self) -> float:
        """Effective rank of the map that made the data."""
        return float(rank_effective(self.data.target))

    def test_error(self, w: Any) -> float:
        """Expected test loss, in units of that of the zero map."""
        return self.data.error(np.asarray(self.net.end_to_end(w)))


def instance(
    settings: Settings, depth: int, samples: int, rank: int, seed: int
) -> Instance:
    """Data of a given rank, and Gaussian factors, both from the seed."""
    net = DeepLinear([settings.dim] * (depth + 1))
    data = matrix_regression(settings.dim, samples, rank=rank, seed=seed)
    w0 = net.init(key=jax.random.key(seed), gain=settings.gain)
    return Instance(net, data, w0)


def flow(
    settings: Settings, given: Instance, *, goal: LossBelow | None = None
) -> Trajectory:
    """Gradient flow to the horizon or a loss; a failure is a result.

    Data fit at rates that differ a thousandfold, so that the solver is implicit, from
    the start: then one program does it all.
    """
    return simulate(
        given.problem,
        GradientFlow(),
        given.w0,
        settings.t1,
        rtol=settings.rtol,
        atol=1e-4 * settings.rtol,
        solver=BDF(),
        save=Save.log(num=NUM_SAVED, first=1e-3, keep_params=False),
        observables=given.observables,
        invariants=deep_linear_invariants(given.net),
        stops=(goal or LossBelow(_NEVER), MaxSteps(settings.max_steps)),
        throw=False,
        progress=False,
    )


def until_fitted(settings: Settings, given: Instance) -> LossBelow:
    """The stop at which the data count as fitted."""
    return LossBelow(settings.fitted * float(given.problem.loss(given.w0)))


def drift(run: Trajectory) -> float:
    """Largest relative drift of the declared invariants; 0 if there are none.

    NaN of a run that did not reach the end asked for, or a goal.
    """
    if not run.result.ok:
        return float("nan")
    return worst([d.relative for d in run.drift.values()]) if run.drift else 0.0


def _rank(net: DeepLinear, t: Any, w: Any, problem: Any) -> Any:
    del t, problem
    return rank_effective(net.end_to_end(w))
