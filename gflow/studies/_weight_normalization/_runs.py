"""Runs that the parts of the study share."""

import dataclasses
from typing import Any

import diffrax
import numpy as np
from jaxtyping import Float

from ..._simulate import simulate
from ...flows import GradientFlow
from ...models import DiagonalNet, WeightNormalized
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
    residual: float,
    throw: bool = True,
) -> Limit:
    """Flow until ‖A x - y‖ ≤ residual ‖y‖, and note when that is 1e-3.

    Entries of x off the support of the sparse solution move at rates of their own
    size, down to 1e-10, while the support moves at rates of order kappa: the flow is
    stiff, its dimension small, so the solver is implicit with a dense Jacobian. They
    are also why it stops by the residual, which tells when they are done, and not by
    the time. `atol` leaves entries of 1e-10 their own relative accuracy.
    """

    def flow(share: float, earlier: Trajectory | None) -> Trajectory:
        stops = (LossBelow(loss_at(share, y)), MaxSteps(settings.max_steps))
        return simulate(
            model.problem(A, y),
            GradientFlow(),
            w0,
            settings.t1,
            rtol=settings.rtol,
            atol=1e-8 * settings.rtol,
            solver=diffrax.Kvaerno5(),
            save=Save.log(num=100, first=1e-2),
            stops=stops,
            resume=earlier,
            throw=throw,
            progress=False,
        )

    first = flow(FITTED, None)
    if not first.result.ok:
        return Limit(first, float("nan"))
    return Limit(flow(residual, first), float(first.ts[-1]))


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
    return float(descent.ts[-1]) if descent.result.ok else float("nan")


def loss_at(residual: float, y: Float[np.ndarray, " m"]) -> float:
    """The loss ½‖A x - y‖² at a residual relative to ‖y‖."""
    return 0.5 * (residual * float(np.linalg.norm(y))) ** 2


def x_end(model: Model, run: Trajectory) -> Float[np.ndarray, " n"]:
    """The vector x at the end of a run."""
    return np.asarray(model.effective(run.w1))


def relative(x: Float[np.ndarray, " n"], reference: Float[np.ndarray, " n"]) -> float:
    """‖x - reference‖/‖reference‖."""
    return float(np.linalg.norm(x - reference) / np.linalg.norm(reference))
