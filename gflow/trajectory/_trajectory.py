"""What a run leaves behind."""

import dataclasses
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Shaped

from .._results import ADVICE, Outcome, RunError, RunInterrupted
from .._types import InvariantFn, Params
from .._versions import versions
from ._error import ErrorEstimate
from ._evidence import (
    balanced,
    energy_defect,
    flow_notes,
    relative_tolerance,
    rise_note,
)
from ._record import Record


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which solver made the steps, and why."""

    solver: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Drift:
    """How far an invariant moved from its initial value.

    `absolute` is max over t of ‖h(w(t)) - h(w0)‖ (Euclidean, over all entries);
    `relative` is that over `scale`, the invariant's (see `Invariant`), inf if that is
    zero. `claimed` says whether the invariant is declared for the run's law of
    motion; None if it makes no statement.
    """

    absolute: float
    relative: float
    scale: float
    claimed: bool | None


@dataclasses.dataclass(frozen=True)
class Origin:
    """What the run was asked to do: enough to do it again."""

    problem: Any
    law: Any
    options: dict[str, Any]

    @property
    def law_name(self) -> str:
        """The class name of the flow or stepper."""
        return getattr(self.law, "name", type(self.law).__name__)


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """A run of a flow or of a discrete method, with the evidence of its accuracy.

    Time leads every saved array; nothing is padded.

    **Fields:**

    - `ts`: the K saved times, in units of flow time (η k for gradient descent).
    - `ws`: the parameters at those times, or None if they were not kept.
    - `w0`, `w1`: the first and the last state.
    - `observed`: name -> (K, ...); always "loss" and "grad_norm" (where values are held
        on declared kinks, that of one side), and for flows "energy", ∫ ‖∇L‖²_{G^-1} dt.
    - `invariants`: name -> (K, ...), the declared invariants' values.
    - `drift`: name -> `Drift`.
    - `energy_defect`: max over saved times of |L(w0) - L(w(t)) - energy(t)|, over the
        total loss dropped; None for discrete methods, nan if no loss was dropped.
    - `result`: the `Outcome`; `result.ok` says whether the end asked for was reached.
    - `stats`: num_steps, num_accepted, num_rejected, num_rejected_by_guard; of the
        steps and of the stops' look at each, num_gradients and num_hvps (None if the
        solver does not tell) and num_losses; of `iterate` also num_estimates, of the
        gradient; solver, what it reports itself; num_gradients_saving, spent on saved
        values; seconds, compile_seconds. Locating a stop, some 50 looks once a run, is
        not counted. With an error estimate also num_steps_error, num_gradients_error
        and seconds_error, what the estimate took.
    - `plan`: the solver and the reason for it.
    - `notes`: whatever else the reader should know.
    - `versions`: of gflow and the libraries beneath it.
    - `origin`: problem, law and options; `checkpoint`: where `resume=` goes on.
    - `error`: the `ErrorEstimate`, None if not asked for.
    """

    ts: Float[np.ndarray, " k"]
    ws: Params
    w0: Params
    w1: Params
    observed: dict[str, Shaped[np.ndarray, "k ..."]]
    invariants: dict[str, Shaped[np.ndarray, "k ..."]]
    drift: dict[str, Drift]
    energy_defect: float | None
    result: Outcome
    detail: str
    stats: dict[str, Any]
    plan: Plan
    notes: tuple[str, ...]
    versions: dict[str, str]
    origin: Origin
    checkpoint: Any = dataclasses.field(repr=False)
    error: ErrorEstimate | None = None

    @property
    def verdict(self) -> str:
        """The outcome in a sentence: cause, time, loss, and what to try."""
        text = f"{self.result.name}: {self.result.message}"
        text += f" at t = {self.ts[-1]:.6g}, loss {self.observed['loss'][-1]:.6g}"
        if self.detail:
            text += f" ({self.detail})"
        advice = ADVICE.get(self.result)
        return text if advice is None else f"{text}. To try: {advice}"

    def __repr__(self) -> str:
        """All evidence, a line each."""
        ts, loss, grad = self.ts, self.observed["loss"], self.observed["grad_norm"]
        lines = [
            f"{self.origin.law_name}: {self.verdict}",
            f"  plan      {self.plan.solver}: {self.plan.reason}",
            f"  saved     {len(ts)} points, t = {ts[0]:.4g} to {ts[-1]:.6g}",
            f"  loss      {loss[0]:.6g} -> {loss[-1]:.6g}, "
            f"gradient norm {grad[0]:.4g} -> {grad[-1]:.4g}",
            f"  cost      {_cost(self.stats)}",
        ]
        if self.stats.get("solver"):
            told = [
                f"{name} {value:.4g}" for name, value in self.stats["solver"].items()
            ]
            lines.append(f"  solver    {', '.join(told)}")
        if self.energy_defect is not None:
            defect = f"{self.energy_defect:.2e} of the loss dropped"
            lines.append(f"  energy    balance defect {defect}")
        if self.error is not None:
            steps = self.stats.get("num_steps_error", 0)
            lines.append(f"  error     {self.error} ({steps} steps for the estimate)")
        lines += [f"  invariant {name}: {_drift(d)}" for name, d in self.drift.items()]
        lines += [f"  note      {note}" for note in self.notes]
        versions = ", ".join(f"{k} {v}" for k, v in self.versions.items())
        lines.append(f"  versions  {versions}")
        return "\n".join(lines)


def _cost(stats: dict[str, Any]) -> str:
    parts = [f"{stats['num_accepted']} steps"]
    if stats["num_rejected"]:
        guard = stats["num_rejected_by_guard"]
        parts.append(f"{stats['num_rejected']} rejected ({guard} by the guard)")
    gradients = stats["num_gradients"]
    counted = "not counted by this solver" if gradients is None else gradients
    if stats.get("num_estimates"):
        parts.append(f"estimates of the gradient {stats['num_estimates']}")
    parts.append(f"gradients {counted}")
    if stats["num_hvps"] is not None:
        parts.append(f"Hessian-vector products {stats['num_hvps']}")
    took, compiling = stats["seconds"], stats["compile_seconds"]
    return ", ".join(parts) + f"; {took:.3g} s + {compiling:.3g} s compiling"


def _drift(drift: Drift) -> str:
    text = f"drift {drift.relative:.2e} relative, {drift.absolute:.2e} absolute"
    return text if drift.claimed is not False else f"{text} (not claimed for this law)"


def assemble(
    record: Record,
    end: tuple[Outcome, str],
    stats: dict[str, Any],
    plan: Plan,
    origin: Origin,
    checkpoint: Any,
    *,
    tolerances: tuple[float, float] = (0.0, 0.0),
    is_rough: bool = False,
    notes: tuple[str, ...] = (),
) -> Trajectory:
    """The trajectory that a record amounts to, its evidence computed.

    Of a flow: `tolerances` are the loosest that it was solved at, relative and
    absolute; `is_rough` says that kinks were passed unlocated; `notes` what else holds.
    """
    data = record.gathered()
    observed = {k: data[k] for k in ("loss", "grad_norm", "energy") if k in data}
    observed |= data["observed"]
    defect, notes = None, (*notes, *record.notes, *rise_note(data["loss"]))
    end = _finite(end, observed, data["invariants"], data["ts"])
    if "energy" in data:
        defect = energy_defect(data["loss"], data["energy"])
        params = eqx.filter(record.first, eqx.is_inexact_array)
        tolerance = relative_tolerance(params, *tolerances)
        losses, energies = data["loss"], data["energy"]
        end = balanced(end, losses, energies, tolerance, is_rough=is_rough)
        notes += flow_notes(losses, params, tolerances[1], is_rough=is_rough)
    result, detail = end
    return Trajectory(
        ts=data["ts"],
        ws=data["ws"],
        w0=record.first,
        w1=record.last,
        observed=observed,
        invariants=data["invariants"],
        drift={
            name: measure_drift(
                h, data["invariants"][name], data["scales"][name], origin.law_name
            )
            for name, h in record.measurement.invariants.items()
        },
        energy_defect=defect,
        result=result,
        detail=detail,
        stats=stats,
        plan=plan,
        notes=notes,
        versions=versions(),
        origin=origin,
        checkpoint=checkpoint,
    )


def _finite(
    end: tuple[Outcome, str],
    observed: dict[str, Any],
    invariants: dict[str, Any],
    ts: Any,
) -> tuple[Outcome, str]:
    """The end, or the non-finite saved number that forbids to call it a success."""
    if not end[0].ok:
        return end
    for name, values in {**invariants, **observed}.items():
        finite = np.isfinite(values).reshape(len(ts), -1).all(axis=1)
        if not finite.all():
            first = ts[np.argmin(finite)]
            detail = f"{name!r} first at t = {first:.6g}"
            own = {"loss": Outcome.nonfinite_loss, "grad_norm": Outcome.nonfinite_grad}
            return own.get(name, Outcome.nonfinite_observable), detail
    return end


def measure_drift(
    function: InvariantFn,
    values: Shaped[np.ndarray, "k ..."],
    scales: Float[np.ndarray, " k"],
    law_name: str,
) -> Drift:
    """The drift of an invariant from its values along a run.

    `scales` holds ‖scale(w)‖ at each point, or ‖h(w)‖ if the invariant has no scale.
    """
    flat = values.reshape(len(values), -1)
    absolute = float(np.max(np.linalg.norm(flat - flat[0], axis=1)))
    own = getattr(function, "scale", None) is None
    scale = float(scales[0] if own else np.max(scales))
    relative = absolute / scale if scale > 0 else float("inf" if absolute else 0)
    conserved_by = getattr(function, "conserved_by", None)
    claimed = None if conserved_by is None else law_name in conserved_by
    return Drift(absolute, relative, scale, claimed)


def conclude(trajectory: Trajectory, throw: bool) -> Trajectory:
    """Return a finished run, or raise if it stopped short and `throw` is true."""
    if throw and not trajectory.result.ok:
        if trajectory.result is Outcome.interrupted:
            raise RunInterrupted(trajectory)
        raise RunError(trajectory)
    return trajectory
