"""Runs that the parts of the study share."""

from typing import Any

import diffrax
import numpy as np
from jaxtyping import Float

from ..._simulate import simulate
from ...flows import GradientFlow
from ...models import DiagonalNet, WeightNormalized
from ...trajectory import LossBelow, MaxSteps, Save, Trajectory
from ._settings import Settings

Model = DiagonalNet | WeightNormalized


def method_name(kappa: float | None) -> str:
    """How tables and legends call the plain flow and the normalized ones."""
    return "plain" if kappa is None else f"kappa = {kappa:g}"


def with_kappa(net: DiagonalNet, kappa: float | None) -> Model:
    """The net as it is, or in polar coordinates with that rate ratio."""
    return net if kappa is None else WeightNormalized(net, kappa=kappa)


def run_to_limit(
    model: Model,
    w0: Any,
    A: Float[np.ndarray, "m n"],
    y: Float[np.ndarray, " m"],
    settings: Settings,
    *,
    residual: float,
    save: Save | None = None,
    throw: bool = True,
) -> Trajectory:
    """Flow until ‖A x - y‖ ≤ residual ‖y‖.

    Entries of x off the support of the sparse solution move at rates of their own
    size, down to 1e-10, while the support moves at rates of order kappa: the flow is
    stiff, its dimension small, so the solver is implicit with a dense Jacobian. They
    are also why it stops by the residual, which tells when they are done, and not by
    the time. `atol` leaves entries of 1e-10 their own relative accuracy.
    """
    loss = 0.5 * (residual * float(np.linalg.norm(y))) ** 2
    return simulate(
        model.problem(A, y),
        GradientFlow(),
        w0,
        settings.t1,
        rtol=settings.rtol,
        atol=1e-8 * settings.rtol,
        solver=diffrax.Kvaerno5(),
        save=Save.log(num=100, first=1e-2) if save is None else save,
        stops=(LossBelow(loss), MaxSteps(settings.max_steps)),
        throw=throw,
    )


def x_end(model: Model, run: Trajectory) -> Float[np.ndarray, " n"]:
    """The vector x at the end of a run."""
    return np.asarray(model.effective(run.w1))


def relative(x: Float[np.ndarray, " n"], reference: Float[np.ndarray, " n"]) -> float:
    """‖x - reference‖/‖reference‖."""
    return float(np.linalg.norm(x - reference) / np.linalg.norm(reference))


def time_to(run: Trajectory, loss: float) -> float:
    """The time at which the loss falls to a value, log-linear between saved points.

    nan if it never does.
    """
    losses = run.observed["loss"]
    below = np.flatnonzero(losses <= loss)
    if below.size == 0:
        return float("nan")
    after = int(below[0])
    if after == 0:
        return 0.0
    before = after - 1
    high, low = np.log(losses[before]), np.log(losses[after])
    share = (high - np.log(loss)) / (high - low)
    return float(run.ts[before] + share * (run.ts[after] - run.ts[before]))
