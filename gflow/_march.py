"""The host's side of a flow: stretch after stretch, until it ends."""

import dataclasses
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from . import _trees as trees
from ._clocked_stretch import advance_clocked, looked_at_again, saved_in_part
from ._position import End, Position, judged, qualified, reservations
from ._results import Outcome
from ._revision import resumed, revised, taken
from ._stretch import Checkpoint, Setting, advance, start
from ._types import Params
from .flows import Clocked
from .solvers import Choice, CountingSolver, Evaluations
from .trajectory import (
    FIRST_BUDGET,
    Budget,
    Measurement,
    Origin,
    ProgressLine,
    Record,
    Save,
    Trajectory,
    assemble,
    end_at_start,
    next_budget,
    next_window,
)

_STEPS_PER_STRETCH, _STEPS_BYTES = 1024, 2**26


@dataclasses.dataclass(frozen=True)
class March:
    """How to bring a position forward: setting, schedule and budgets.

    The setting's solver is the first; a position knows the present one.
    """

    setting: Setting
    choice: Choice
    save: Save
    t1: float
    budgets: tuple[Budget, ...]

    @property
    def _dtype(self) -> Any:
        return self.setting.rtol.dtype

    def _schedule(self) -> Any:
        # Times that differ by less than the dtype resolves are one.
        return np.unique(self.save.schedule(0.0, self.t1).astype(self._dtype))

    def begin(self, measurement: Measurement, params: Params) -> Position:
        """Measure w0, compile, and stand at t = 0."""
        clock = time.perf_counter()
        setting, save = self.setting.using(self.choice), self.save
        record = Record(measurement, setting.static, save.keep_params, save.max_bytes)
        zero = jnp.zeros((), self._dtype)
        state = setting.flow.init(params)
        checkpoint, speed = start(setting, zero, zero + self.t1, state)
        record = self._added(record, zero[None], _lead(state))
        position = Position(
            checkpoint=checkpoint,
            record=record,
            choice=self.choice,
            earlier=Evaluations(),
            since=(0, 0, 0),
            num_scheduled=0,
            end=end_at_start(record, setting.watch, float(speed)),
            mark=(0, 0.0),
            budget=FIRST_BUDGET,
            located=False,
            seconds=0.0,
            seconds_before=0.0,
            compile_seconds=0.0,
        )
        if position.end is None:
            self._compile(position)
        seconds = time.perf_counter() - clock
        return dataclasses.replace(position, compile_seconds=seconds)

    def go_on(self, stopped: Trajectory, measurement: Measurement) -> Position:
        """Stand where a stopped run of the same setting stood."""
        position: Position = stopped.checkpoint
        clock = time.perf_counter()
        checkpoint = position.checkpoint
        if position.located:
            # Begin a new step from there, and keep the counts.
            checkpoint = resumed(self._setting(position), checkpoint, self.t1)
        elif checkpoint.stride is not None:
            checkpoint = looked_at_again(self._setting(position), checkpoint)
        num = int(np.searchsorted(self._schedule(), position.t, side="right"))
        return dataclasses.replace(
            position,
            checkpoint=checkpoint,
            num_scheduled=num,
            record=dataclasses.replace(position.record, measurement=measurement),
            end=self._end_of_resumed(position),
            located=False,
            seconds_before=position.seconds,
            mark=(position.num_attempts, position.t),
            budget=FIRST_BUDGET,
            compile_seconds=position.compile_seconds + time.perf_counter() - clock,
        )

    def _end_of_resumed(self, position: Position) -> End | None:
        if position.t >= self.t1:
            return Outcome.reached_end, ""
        if saved_in_part(self.setting, position.checkpoint):
            return None
        watch, t = self.setting.watch, position.checkpoint.t
        params = self.setting.flow.params(position.checkpoint.state)
        w = eqx.combine(params, self.setting.static)
        if watch.stops and jnp.min(watch.margins(t, w, self.setting.problem)) <= 0:
            return watch.met(t, w, self.setting.problem)
        return None

    def run(self, position: Position, line: ProgressLine) -> Position:
        """Stretch after stretch until the run ends."""
        try:
            while position.end is None:
                position = self._stretch(position)
                last = position.record.blocks[-1]
                guard = position.checkpoint.controller_state
                line.update(
                    position.t,
                    loss=float(guard.loss),
                    grad=float(last["grad_norm"][-1]),
                    step=float(guard.dt),
                    rejected=int(guard.num_rejected) / max(position.num_attempts, 1),
                )
        except KeyboardInterrupt:
            return dataclasses.replace(position, end=(Outcome.interrupted, ""))
        return position

    def _setting(self, position: Position) -> Setting:
        return self.setting.using(position.choice)

    def _stretch(self, position: Position) -> Position:
        position = self._revised(position)
        clock = time.perf_counter()
        used = [
            b.outcome
            for b in self.budgets
            if b.used_up(
                position.seconds - position.seconds_before, position.num_attempts
            )
        ]
        if used:
            return dataclasses.replace(position, end=(used[0], ""))
        left = [b.steps_left(position.num_attempts) for b in self.budgets]
        if position.choice.next_look is not None:
            left.append(position.choice.next_look - position.num_attempts)
        budget = min([position.budget, *(n for n in left if n is not None)])
        window, num_due, stretch_end = self._window(position)
        reached, ts, states, result, fired = self._advance(
            position,
            position.num_attempts + budget,
            stretch_end,
            window,
            num_due,
        )
        ts = np.asarray(ts)
        if window is None:
            fresh = _fresh(ts, position.t)
        else:
            fresh = (ts <= float(reached.t)) & (np.arange(len(ts)) < num_due)
        states = jax.tree.map(lambda x: np.asarray(x)[fresh], states)
        record = self._added(position.record, ts[fresh], states)
        seconds = time.perf_counter() - clock
        moved = dataclasses.replace(
            position,
            checkpoint=reached,
            record=record,
            num_scheduled=position.num_scheduled + int(fresh.sum()),
            budget=next_budget(position.budget, seconds),
            seconds=position.seconds + seconds,
        )
        return judged(self.setting, self.t1, moved, result, fired=bool(fired))

    def _compile(self, position: Position) -> None:
        """A stretch of no length compiles the program without running it."""
        window, _, _ = self._window(position)
        nowhere = None if window is None else 0 * window + position.t
        jax.block_until_ready(self._advance(position, 0, position.t, nowhere, 0))

    def _revised(self, position: Position) -> Position:
        next_look = position.choice.next_look
        if next_look is None or position.num_attempts < next_look:
            return position
        # A look takes a dozen gradients, and seconds to compile.
        clock = time.perf_counter()
        again = revised(self._setting(position), self.t1, position)
        if again.choice.solver is not position.choice.solver:
            self._compile(again)
        seconds = again.compile_seconds + time.perf_counter() - clock
        return dataclasses.replace(again, compile_seconds=seconds)

    def _window(self, position: Position) -> tuple[Any, int, Any]:
        """Times to save at in the next stretch, how many, and where it must end."""
        schedule = self._schedule()
        if self.save.kind == "steps":
            return None, 0, schedule[-1]
        num_bytes = self._num_bytes(position.checkpoint)
        window, count = next_window(schedule, position.num_scheduled, num_bytes)
        return window, count, window[-1]

    def _num_bytes(self, checkpoint: Checkpoint) -> int:
        return trees.size(checkpoint.state) * self._dtype.itemsize

    def _advance(
        self, position: Position, attempts: int, end: Any, window: Any, num_due: int
    ) -> Any:
        setting, checkpoint = self._setting(position), position.checkpoint
        num_steps = _STEPS_BYTES // self._num_bytes(checkpoint)
        num_steps = int(np.clip(num_steps, 1, _STEPS_PER_STRETCH))
        saves_steps = self.save.kind == "steps"
        times = None if saves_steps else jnp.asarray(window, self._dtype)
        most = num_steps if saves_steps else None
        budget = jnp.asarray(attempts)
        if isinstance(self.setting.flow, Clocked):
            # No step is clipped to a window's end: the run's end is the one end.
            t1, due = jnp.asarray(self.t1, self._dtype), jnp.asarray(num_due)
            return advance_clocked(
                setting, checkpoint, t1, times, due, budget, max_saved_steps=most
            )
        t1 = jnp.asarray(end, self._dtype)
        return advance(setting, checkpoint, t1, times, budget, max_saved_steps=most)

    def _added(self, record: Record, ts: Any, states: Any) -> Record:
        flow = self.setting.flow
        energies = flow.energy(states)
        return record.add(self.setting.problem, ts, flow.params(states), energies)

    def finish(self, position: Position, origin: Origin) -> Trajectory:
        """The trajectory that a position amounts to."""
        record, checkpoint = position.record, position.checkpoint
        num_points = record.num_points
        if position.t > record.blocks[-1]["ts"][-1]:
            record = self._added(record, checkpoint.t[None], _lead(checkpoint.state))
        guard = checkpoint.controller_state
        attempts = position.num_attempts
        looks = self.setting.watch.num_gradients
        solver, choice = position.choice.solver, position.choice
        work = position.earlier + taken(solver, position)
        own, report = work.gradients, _report(solver, checkpoint)
        stats = {
            "num_steps": attempts,
            "num_accepted": int(guard.num_accepted),
            "num_rejected": int(guard.num_rejected),
            "num_rejected_by_guard": int(guard.num_refused),
            "num_gradients": None if own is None else own + looks * attempts,
            "num_gradients_saving": record.num_gradients,
            "num_losses": 1 + (1 + self.setting.watch.num_losses) * attempts,
            "num_hvps": work.products,
            "solver": report,
            "seconds": position.seconds,
            "compile_seconds": position.compile_seconds,
        }
        # The checkpoint shares its points with the trajectory, but for the last where
        # a run ended between two points of its schedule.
        record = record.joined()
        shared = record.first_points(num_points)
        kept = dataclasses.replace(position, record=shared)
        end = qualified(position, report)
        used = self.setting.using(choice)
        parts = record, end, stats, choice.plan, origin, kept
        return assemble(
            *parts,
            tolerances=(float(used.rtol), float(used.atol)),
            is_rough=position.is_rough,
            notes=reservations(self.setting, position, end[0], report),
        )


def _report(solver: Any, checkpoint: Checkpoint) -> dict[str, float]:
    """What the solver has to say of its steps."""
    if not isinstance(solver, CountingSolver):
        return {}
    report = solver.report(checkpoint.solver_state)
    return {name: np.asarray(value).item() for name, value in report.items()}


def _lead(state: Any) -> Any:
    """A state as a stack of one."""
    return jax.tree.map(lambda x: x[None], state)


def _fresh(ts: Any, after: float) -> Any:
    """Which saved steps are new: diffrax pads with inf and may repeat the last one."""
    return np.isfinite(ts) & (ts > np.concatenate([[after], ts[:-1]]))
