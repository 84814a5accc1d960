"""Runs that the parts of the study share."""

import dataclasses
from typing import Any

import diffrax
import numpy as np
from jaxtyping import Float

from ..._results import Outcome
from ..._simulate import simulate
from ...flows import GradientFlow
from ...models import DiagonalNet, WeightNormalized
from ...solvers import BDF
from ...steppers import gradient_descent, iterate
from ...trajectory import LossBelow, MaxSteps, Save, Trajectory
from ._settings import Settings

Model = DiagonalNet | WeightNormalized


def method_name(kappa: float | None) -> str:
    """How tables and legends call the plain flow and the normalized ones."""
    return "plain" if kappa is None else f"kappa = {kappa:g}"


def with_kappa(net: DiagonalNet, kappa: float | None) -> Model:
    """The net as it is, or in polar coordinates with that rate ratio."""
    return net if kappa is None else WeightNormalized(net, kappa=kappa)


# The residual, relative to ‖y‖, at which the data count as fitted.
FITTED = 1e-3


@dataclasses.dataclass(frozen=True)
class Limit:
    """A flow run to its limit, and the time at which the data were fitted (or nan)."""

    run: Trajectory
    time_fitted: float


def run_to_limit(
    model: Model,
    w0: Any,
    A: Float[np.ndarray, "m n"],
    y: Float[np.ndarray, " m"],
    settings: Settings,
    *,
    tight: bool = True,
    max_steps: int | None = None,
    throw: bool = True,
) -> Limit:
    """Flow until ‖A x - y‖ ≤ residual ‖y‖, and note when that is 1e-3.

    Entries of x off the support of the sparse solution move at rates of their own
    size, down to 1e-10, while the support moves at rates of order kappa: the flow is
    stiff. They are also why it stops by the residual, which tells when they are done,
    and not by the time. `tight` is `residual`, else `coarse_residual`. `atol` leaves
    entries of 1e-10 their own relative accuracy.
    """
    first = _flow(model, w0, A, y, settings, tight, FITTED, max_steps, None, throw)
    if first.result is not Outcome.loss_reached:
        return Limit(first, float("nan"))
    residual = settings.residual if tight else settings.coarse_residual
    end = _flow(model, w0, A, y, settings, tight, residual, max_steps, first, throw)
    return Limit(end, float(first.ts[-1]))


def run_to_time(
    model: Model,
    w0: Any,
    A: Float[np.ndarray, "m n"],
    y: Float[np.ndarray, " m"],
    settings: Settings,
    t1: float,
) -> Trajectory:
    """Flow to a time before the limit, with the program of `run_to_limit`."""
    settings = dataclasses.replace(settings, t1=t1)
    return _flow(model, w0, A, y, settings, True, settings.residual, None, None, True)


def _flow(
    model: Model,
    w0: Any,
    A: Float[np.ndarray, "m n"],
    y: Float[np.ndarray, " m"],
    settings: Settings,
    tight: bool,
    residual: float,
    max_steps: int | None,
    earlier: Trajectory | None,
    throw: bool,
) -> Trajectory:
    # To a residual of 1e-12 a method with a dense Jacobian is best: on P1 at kappa = 10
    # and alpha = 1e-3 Kvaerno5 takes 2,200 steps, where BDF, whose linear solves end at
    # the round-off of the fast directions, has not arrived after 40,000. To 1e-6, and
    # past the saddles of deep nets, BDF takes 200 to 1,200 steps of 4 gradients, and
    # Kvaerno5 up to four times as many; it passed t = 1e7 on a saddle where Kvaerno5
    # ended at t = 200 with the same number.
    solver = diffrax.Kvaerno5() if tight else BDF(num_ritz=0)
    budget = settings.max_steps if max_steps is None else max_steps
    return simulate(
        model.problem(A, y),
        GradientFlow(),
        w0,
        settings.t1,
        rtol=settings.rtol,
        atol=1e-8 * settings.rtol,
        solver=solver,
        save=Save.log(num=100, first=1e-2),
        stops=(LossBelow(loss_at(residual, y)), MaxSteps(budget)),
        resume=earlier,
        throw=throw,
        progress=False,
    )


def descend(
    model: Model,
    w0: Any,
    A: Float[np.ndarray, "m n"],
    y: Float[np.ndarray, " m"],
    settings: Settings,
) -> Trajectory:
    """Gradient descent until the data are fitted."""
    return iterate(
        model.problem(A, y),
        gradient_descent(settings.eta),
        w0,
        settings.max_descent_steps,
        save=Save.log(num=20, keep_params=False),
        stops=[LossBelow(loss_at(FITTED, y))],
        throw=False,
        progress=False,
    )


def time_of(descent: Trajectory) -> float:
    """The time at which gradient descent fitted the data; nan if it did not."""
    fitted = descent.result is Outcome.loss_reached
    return float(descent.ts[-1]) if fitted else float("nan")


def loss_at(residual: float, y: Float[np.ndarray, " m"]) -> float:
    """The loss ½‖A x - y‖² at a residual relative to ‖y‖."""
    return 0.5 * (residual * float(np.linalg.norm(y))) ** 2


def x_end(model: Model, run: Trajectory) -> Float[np.ndarray, " n"]:
    """The vector x at the end of a run."""
    return np.asarray(model.effective(run.w1))


def relative(x: Float[np.ndarray, " n"], reference: Float[np.ndarray, " n"]) -> float:
    """‖x - reference‖/‖reference‖."""
    return float(np.linalg.norm(x - reference) / np.linalg.norm(reference))
