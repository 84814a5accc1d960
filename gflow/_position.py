"""Where a flow stands, and how it ended."""

import dataclasses
from typing import Any

import diffrax
import equinox as eqx
import numpy as np

from . import _trees as trees
from ._results import Outcome
from ._stretch import Checkpoint, Setting, is_crowded
from ._types import Params
from .solvers import Choice, Evaluations
from .trajectory import Record

# Time that grows by less than this factor over so many attempts will not get there.
_STALL_ATTEMPTS, _STALL_GROWTH = 10_000, 1e-8
# At a blow-up the state would grow by its own size in this share of the time passed,
# in units of the resolution of time.
_BLOW_UP_ULPS = 4096
# Or it is beyond this power of the largest number: the loss takes powers of it.
_HUGE = 0.4

End = tuple[Outcome, str]


@dataclasses.dataclass(frozen=True)
class Position:
    """Everything a run has so far; each stretch makes a new one."""

    checkpoint: Checkpoint
    record: Record
    # The solver that goes on from here.
    choice: Choice
    # What earlier solvers took, looks included; attempts, gradients and products that
    # had been told of when the present one was chosen.
    earlier: Evaluations
    since: tuple[int, int, int]
    # How many of the scheduled times are saved.
    num_scheduled: int
    # How the run ended, or None while it goes on.
    end: End | None
    # Attempts and time where the look-out for a stall began.
    mark: tuple[int, float]
    budget: int
    # Whether it ended inside a step, at a stop found there.
    located: bool
    seconds: float
    # Of these, seconds spent by earlier calls that this one resumed.
    seconds_before: float
    compile_seconds: float

    @property
    def t(self) -> float:
        """Flow time reached."""
        return float(self.checkpoint.t)

    @property
    def is_rough(self) -> bool:
        """Whether kinks are passed unlocated, at a tolerance fit for that."""
        return self.choice.least_rtol > 0

    @property
    def num_attempts(self) -> int:
        """Steps tried."""
        guard = self.checkpoint.controller_state
        return int(guard.num_accepted) + int(guard.num_rejected)


def judged(
    setting: Setting, t1: float, position: Position, result: Any, *, fired: bool
) -> Position:
    """The position with its end, if diffrax's result or its look is one."""
    end: End | None = None
    if fired:
        at, w = position.checkpoint, _full(setting, position.checkpoint)
        end = setting.watch.met(at.t, w, setting.problem)
    elif position.t >= t1:
        end = (Outcome.reached_end, "")
    elif result == diffrax.RESULTS.dt_min_reached:
        end = _cause_of_underflow(setting, position)
    elif not (
        result == diffrax.RESULTS.successful
        or result == diffrax.RESULTS.max_steps_reached
    ):
        end = (Outcome.step_underflow, str(diffrax.RESULTS[result]))
    elif _climbs(position):
        guard = position.checkpoint.controller_state
        cause = Outcome.unbalanced if guard.was_off_balance else Outcome.ascent
        end = (cause, f"no loss dropped in {position.num_attempts} steps")
    elif position.num_attempts - position.mark[0] >= _STALL_ATTEMPTS:
        growth = position.t - position.mark[1]
        if growth <= _STALL_GROWTH * position.t:
            text = f"{_STALL_ATTEMPTS} steps moved it by {growth:.1e}"
            end = (Outcome.stalled, text)
        mark = (position.num_attempts, position.t)
        position = dataclasses.replace(position, mark=mark)
    # Under a clock the end of the run, too, is found inside a step.
    found = position.checkpoint.stride is not None and position.t >= t1
    return dataclasses.replace(position, end=end, located=fired or found)


def qualified(position: Position, report: dict[str, float]) -> End:
    """The end, with what the solver's own report has to say of it."""
    assert position.end is not None
    outcome, _ = position.end
    if outcome.ok and report.get("unresolved"):
        return Outcome.unresolved, f"{report['unresolved']:g} times"
    if outcome is not Outcome.reached_end:
        return position.end
    if report.get("undetermined"):
        return Outcome.reached_undetermined, f"{report['undetermined']:g} times"
    if position.is_rough:
        return Outcome.reached_roughly, _errors(position)
    return position.end


def reservations(
    setting: Setting, position: Position, outcome: Outcome, report: dict[str, float]
) -> tuple[str, ...]:
    """What holds of a run besides how it ended, where its outcome does not say it."""
    notes: list[str] = []
    times = report.get("undetermined")
    if times and outcome is not Outcome.reached_undetermined:
        notes.append(
            f"the flow is not unique: {times:g} times a kink repelled to both sides, "
            "and one way was taken"
        )
    if position.is_rough:
        used = setting.using(position.choice)
        text = f"solved at rtol {float(used.rtol):.1e}, atol {float(used.atol):.1e}"
        if outcome is not Outcome.reached_roughly:
            text += (
                "; kinks were passed that were not located, with errors of first order "
                f"in the step; {_errors(position)}"
            )
        if setting.problem.kinks is None:
            text += "; declare the kinks (problem.KinkedObjective) to have them located"
        notes.append(text)
    if report.get("most_held"):
        notes.append(
            "where values are held on their kinks grad_norm is that of one side: it "
            "need not vanish where the flow rests, and Stationary may not see it"
        )
    return tuple(notes)


def _errors(position: Position) -> str:
    total = float(position.checkpoint.controller_state.error_sum)
    return f"local errors add up to {total:.1e}, rms over the parameters"


def _climbs(position: Position) -> bool:
    """Whether the guard refuses and refuses, and no loss has dropped since w0.

    Each rise within round-off passes the guard, so that near t = 0, where time is
    fine, a flow against the gradient creeps on and its step never underflows.
    """
    guard = position.checkpoint.controller_state
    return (
        position.num_attempts >= _STALL_ATTEMPTS
        and int(guard.num_refused) > position.num_attempts // 100
        and float(guard.loss) >= float(position.record.blocks[0]["loss"][0])
    )


def _full(setting: Setting, checkpoint: Checkpoint) -> Params:
    return eqx.combine(setting.flow.params(checkpoint.state), setting.static)


def _cause_of_underflow(setting: Setting, position: Position) -> End:
    """Why no step is short enough: tell the seven causes apart."""
    checkpoint = position.checkpoint
    params = setting.flow.params(checkpoint.state)
    velocity = setting.velocity(checkpoint.t, checkpoint.state)
    speed, size = float(trees.norm(velocity)), float(trees.norm(params))
    # A state that falls into a singularity is as fast, but does not grow.
    grows = float(trees.inner(params, velocity)) > 0
    info = np.finfo(setting.rtol.dtype)
    share = _BLOW_UP_ULPS * float(info.eps)
    detail = f"step {float(checkpoint.controller_state.dt):.1e}"
    if checkpoint.stride is not None:
        # A rate without bound says that nothing is left for the clock to measure.
        detail += f" of a clock with dt/ds = {float(checkpoint.stride.pace):.1e}"
    if not np.isfinite(speed):
        return Outcome.nonfinite_grad, detail
    if is_crowded(setting, checkpoint):
        room = checkpoint.solver_state.place.mode.pairs.shape[0]
        return Outcome.crowded, f"for {room}"
    sudden = size < share * speed * max(position.t, 1e-300)
    if grows and (sudden or size > float(info.max) ** _HUGE):
        return Outcome.blow_up, f"norm {size:.1e}, speed {speed:.1e}"
    if not checkpoint.controller_state.was_finite:
        return Outcome.nonfinite_state, detail
    if checkpoint.controller_state.was_off_balance:
        return Outcome.unbalanced, detail
    if checkpoint.controller_state.was_refused:
        return Outcome.ascent, detail
    return Outcome.step_underflow, detail
