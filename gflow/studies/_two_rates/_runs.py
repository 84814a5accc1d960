"""Runs that the parts of the study share, and what is measured on each."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ... import _trees as trees
from ..._results import Outcome
from ..._simulate import simulate
from ...diagnostics import activation_flips, frozen_residual, tangent_kernel
from ...flows import GradientFlow
from ...invariants import relu_invariants
from ...models import TwoLayerInstance, TwoLayerReLU
from ...solvers import Filippov
from ...trajectory import LossBelow, MaxSteps, Save, Trajectory
from .._statistics import worst
from ._settings import Settings

# Room for values held at zero at one time: for each example, and at most. With both
# layers trained up to 1.4 an example were seen, with the first alone more than 2. More
# room costs, as each gradient factors a matrix of that size. A run that used all of it,
# and so may have stalled, is made again with the room that the solver takes by itself.
_HELD_PER_EXAMPLE, _MOST_HELD = 3, 160


def rates_of(ratio: float) -> tuple[float, float]:
    """(η₁, η₂) of a ratio η₂/η₁, infinity for a frozen first layer."""
    return (0.0, 1.0) if np.isinf(ratio) else (1.0, ratio)


def flow(
    data: TwoLayerInstance,
    rates: tuple[float, float],
    t1: float,
    *,
    rtol: float,
    save: Save,
    zero: float,
    max_steps: int,
) -> Trajectory:
    """One flow through its kinks, until the loss is ≤ zero ‖y‖²/2.

    `zero` is data of the program, as are the rates: nets of one shape are compiled
    once.
    """
    n, d = data.X.shape
    net = TwoLayerReLU(d, len(data.w0["a"]))

    def attempt(solver: Filippov) -> Trajectory:
        return simulate(
            net.problem(data.X, data.y, rates=rates),
            GradientFlow(),
            data.w0,
            t1,
            rtol=rtol,
            atol=1e-3 * rtol,
            solver=solver,
            save=save,
            invariants=relu_invariants(net, rates) if min(rates) > 0 else None,
            stops=(
                LossBelow(zero * 0.5 * float(data.y @ data.y)),
                MaxSteps(max_steps),
            ),
            throw=False,
            progress=False,
        )

    # d - 1 kinks hold a unit; more would stop it.
    most = net.width * max(d - 1, 1)
    room = min(most, _HELD_PER_EXAMPLE * n, _MOST_HELD)
    run = attempt(Filippov(max_held=room))
    if room == most or run.stats["solver"]["most_held"] < room:
        return run
    return attempt(Filippov())


@dataclasses.dataclass(frozen=True)
class Cell:
    """What one flow did, as numbers; NaN where it cannot be told.

    - `converged`: whether the loss came to zero; `time`: when.
    - `loss`: L at the end.
    - `drift`: ‖K(T) - K(0)‖_F/‖K(0)‖_F at the end; `flips`: share of activations.
    - `is_lazy`: whether the kernel stayed within λ_min(K(0)) of K(0) in the spectral
        norm at all saved times, which by itself proves convergence.
    - `frozen`: loss at the horizon if the kernel stood still, relative to ‖y‖²/2;
        `frozen_time`: when it would have come to zero, infinite if not by then.
    - `growth`: λ_min(K(T))/λ_min(K(0)), of the rate at which the loss ends; NaN for a
        singular K(0). Where values are held on their kinks K is that of one side.
    - `invariant`: relative drift of the invariants.
    - `undetermined`: kinks at which the flow could go on in more than one way.
    """

    outcome: str
    converged: float
    time: float
    loss: float
    drift: float
    flips: float
    is_lazy: float
    frozen: float
    frozen_time: float
    growth: float
    invariant: float
    undetermined: float
    evidence: str


def run_cell(data: TwoLayerInstance, ratio: float, settings: Settings) -> Cell:
    """Follow one instance to zero loss, or to the end of its budget."""
    problem = TwoLayerReLU(data.X.shape[1], len(data.w0["a"])).problem(
        data.X, data.y, rates=rates_of(ratio)
    )
    first = np.asarray(tangent_kernel(problem, data.w0))
    predictions = problem.predict(data.w0)
    assert predictions is not None
    r0 = np.asarray(predictions) - data.y
    size = float(data.y @ data.y)
    ahead = np.asarray(frozen_residual(first, r0, jnp.array([settings.t1])))[0]
    frozen = float(ahead @ ahead) / size
    never = frozen > settings.zero
    frozen_time = float("inf") if never else _time_to_zero(first, r0, size, settings)
    if np.isinf(ratio):
        return _linear(first, size, frozen, frozen_time, settings)
    run = flow(
        data,
        rates_of(ratio),
        settings.t1,
        rtol=settings.rtol,
        save=Save.log(num=settings.num_saved, first=1e-2),
        zero=settings.zero,
        max_steps=settings.max_steps,
    )
    return _measured(run, first, frozen, frozen_time)


def _measured(run: Trajectory, first: Any, frozen: float, frozen_time: float) -> Cell:
    problem = run.origin.problem
    points = [trees.take(run.ws, k) for k in range(1, len(run.ts))]
    # Of the last and of all points: a kernel that strays may come back.
    moves = [np.asarray(tangent_kernel(problem, w)) - first for w in points]
    far = worst([np.linalg.norm(move, 2) for move in moves])
    least, end = (np.linalg.eigvalsh(k)[0] for k in (first, first + moves[-1]))
    reached = run.result is Outcome.loss_reached
    drifts = [drift.relative for drift in run.drift.values()]
    return Cell(
        outcome=run.result.name,
        converged=float(reached),
        time=float(run.ts[-1]) if reached else float("nan"),
        loss=float(run.observed["loss"][-1]),
        drift=float(np.linalg.norm(moves[-1]) / np.linalg.norm(first)),
        flips=float(activation_flips(problem, run.w0, run.w1)),
        is_lazy=float(far < least),
        frozen=frozen,
        frozen_time=frozen_time,
        growth=float(end / least) if _is_definite(first) else float("nan"),
        invariant=worst(drifts),
        undetermined=float(run.stats["solver"]["undetermined"]),
        evidence=repr(run),
    )


def _linear(
    kernel: Any,
    size: float,
    frozen: float,
    frozen_time: float,
    settings: Settings,
) -> Cell:
    """With the first layer frozen the model is linear: its flow is exp(-K t) r₀."""
    reached = frozen <= settings.zero
    return Cell(
        outcome="closed form",
        converged=float(reached),
        time=frozen_time if reached else float("nan"),
        loss=0.5 * size * frozen,
        drift=0.0,
        flips=0.0,
        # It moves by nothing: what counts is whether its least eigenvalue is positive.
        is_lazy=float(_is_definite(kernel)),
        frozen=frozen,
        frozen_time=frozen_time,
        growth=1.0 if _is_definite(kernel) else float("nan"),
        invariant=float("nan"),
        undetermined=0.0,
        evidence=f"exp(-K t) r0: loss {frozen:.6g} of |y|^2/2 at t = {settings.t1:g}",
    )


def _is_definite(kernel: Any) -> bool:
    """Whether no eigenvalue is zero, to rounding."""
    return bool(np.linalg.matrix_rank(kernel, hermitian=True) == len(kernel))


def _time_to_zero(kernel: Any, r0: Any, size: float, settings: Settings) -> float:
    """By bisection in log t: the loss falls."""
    early, late = np.log(1e-6), np.log(settings.t1)
    for _ in range(40):
        middle = (early + late) / 2
        r = np.asarray(frozen_residual(kernel, r0, jnp.exp(jnp.array([middle]))))[0]
        is_zero = r @ r <= settings.zero * size
        early, late = (early, middle) if is_zero else (middle, late)
    return float(np.exp(late))


def table(
    prefix: str, axes: Sequence[str], shape: Sequence[int], cells: Sequence[Cell]
) -> dict[str, Any]:
    """Every number of the cells, as variables of a dataset."""
    names = [f.name for f in dataclasses.fields(Cell) if f.type is not str]
    found: dict[str, Any] = {}
    for name in names:
        values = [getattr(cell, name) for cell in cells]
        found[f"{prefix}_{name}"] = (tuple(axes), np.reshape(values, tuple(shape)))
    outcomes = np.array([cell.outcome for cell in cells])
    found[f"{prefix}_outcome"] = (tuple(axes), outcomes.reshape(tuple(shape)))
    return found
