"""iterate: run a discrete method from w0."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import _trees as trees
from .._results import Outcome
from .._types import Invariants, Observables, Params
from ..problem import Problem
from ..trajectory import (
    FIRST_BUDGET,
    Budget,
    Measurement,
    Origin,
    Plan,
    ProgressLine,
    Record,
    Save,
    Stop,
    Trajectory,
    Watch,
    assemble,
    check_kind,
    conclude,
    end_at_start,
    next_budget,
    next_window,
)
from ._loop import Iterate, Setting, advance
from ._stepper import Stepper

# Iterates that ended at a non-finite one from this far out were diverging.
_FAR = 1e6


def iterate(
    problem: Problem,
    stepper: Stepper,
    w0: Params,
    num_steps: int,
    *,
    save: Save | None = None,
    observables: Observables | None = None,
    invariants: Invariants | None = None,
    stops: Sequence[Stop] = (),
    estimate: Callable[[Params, Any], Params] | None = None,
    key: Any = None,
    throw: bool = True,
    progress: bool | None = None,
) -> Trajectory:
    """Run a discrete method for `num_steps` steps, on the flow's clock t = eta k.

    **Arguments:**

    - `problem`, `w0`: as for `simulate`.
    - `stepper`: `gradient_descent(eta)` or `from_optax(transformation, eta=...)`.
    - `save`: default `Save.log()`, about 200 log-spaced steps; times are rounded to
        the nearest step.
    - `observables`, `invariants`, `throw`, `progress`: as for `simulate`.
    - `stops`: as for `simulate`; a stop takes effect at the first step that meets it.
    - `estimate`: `(w, key) -> gradient`, an estimate that takes the place of ∇L in each
        step: the gradient of a minibatch, for SGD. What is saved and the stops are
        those of the whole problem. If it is an equinox module its arrays are data.
    - `key`: of `jax.random`, for the estimates, each step's its own; with `estimate`
        only.

    **Returns:** a `Trajectory`, as `simulate` does. Its drift has no tolerance to be
    held against: a discrete method conserves a flow's invariants only to some order in
    eta.

    **Raises:** as `simulate`.

    **Cost:** one gradient or estimate a step, and what the stops cost; one gradient a
    saved point.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * w**2)
    >>> gd = gf.iterate(problem, gf.gradient_descent(0.1), jnp.array(1.0), num_steps=10)
    >>> print(f"{float(gd.w1):.6f}")  # 0.9**10
    0.348678

    ```
    """
    check_kind("problem", problem, Problem)
    if isinstance(stepper, optax.GradientTransformation):
        raise TypeError("wrap optax: gf.from_optax(transformation, eta=...)")
    check_kind("stepper", stepper, Stepper)
    check_kind("save", save, Save | None)
    params, static = problem.split(w0)
    w0 = eqx.combine(params, static)
    if not num_steps >= 1 or num_steps != int(num_steps):
        raise ValueError(f"num_steps must be a whole number >= 1, not {num_steps!r}")
    stepper.times(int(num_steps))  # refuses a schedule that is too short
    if (estimate is None) != (key is None):
        raise ValueError("iterate takes an estimate of the gradient and a key, or none")
    measurement = Measurement(observables or {}, invariants or {}).checked(w0, problem)
    watch = Watch(stops, jnp.zeros((), trees.dtype(params)), w0, problem)
    setting = Setting(problem, stepper, static, watch, estimate, key)
    budgets = tuple(s for s in stops if isinstance(s, Budget))
    save = Save.log() if save is None else save
    loop = _Loop(setting, save, int(num_steps), budgets)
    with ProgressLine(stepper.name, loop.time(int(num_steps)), progress) as line:
        position = loop.run(loop.begin(measurement, params), line)
    origin = Origin(problem, stepper, {"num_steps": int(num_steps)})
    return conclude(loop.finish(position, origin), throw)


@dataclasses.dataclass(frozen=True)
class _Position:
    """Everything the run has so far."""

    now: Iterate
    record: Record
    # How many of the scheduled steps are saved.
    num_scheduled: int
    end: tuple[Outcome, str] | None
    budget: int
    seconds: float
    compile_seconds: float


@dataclasses.dataclass(frozen=True)
class _Loop:
    """The host's side: stretch after stretch until the run ends."""

    setting: Setting
    save: Save
    num_steps: int
    budgets: tuple[Budget, ...]

    @functools.cached_property
    def _schedule(self) -> Any:
        eta = np.asarray(self.setting.stepper.eta, dtype=float)
        return self.save.indices(self.num_steps, eta)

    @functools.cached_property
    def time(self) -> Callable[[Any], Any]:
        """Steps to flow times."""
        return self.setting.stepper.times(self.num_steps)

    def begin(self, measurement: Measurement, params: Params) -> _Position:
        """Measure w0, compile, and stand at step 0."""
        clock = time.perf_counter()
        setting, save = self.setting, self.save
        record = Record(measurement, setting.static, save.keep_params, save.max_bytes)
        record = self._added(record, np.zeros(1, int), _lead(params))
        speed = float(_speed(setting.problem, params, setting.static))
        no, state = jnp.asarray(False), setting.stepper.init(params)
        zero = jnp.zeros((), int)
        now = Iterate(zero, params, jax.tree.map(_strong, state), no, no)
        end = end_at_start(record, setting.watch, speed)
        position = _Position(now, record, 0, end, FIRST_BUDGET, 0.0, 0.0)
        if end is None:
            due = jnp.asarray(self._window(position)[0])
            jax.block_until_ready(advance(setting, now, due, zero))
        seconds = time.perf_counter() - clock
        return dataclasses.replace(position, compile_seconds=seconds)

    def run(self, position: _Position, line: ProgressLine) -> _Position:
        """Stretch after stretch until the run ends."""
        try:
            while position.end is None:
                position = self._stretch(position)
                last = position.record.blocks[-1]
                line.update(
                    float(self.time(int(position.now.k))),
                    loss=float(last["loss"][-1]),
                    grad=float(last["grad_norm"][-1]),
                )
        except KeyboardInterrupt:
            return dataclasses.replace(position, end=(Outcome.interrupted, ""))
        return position

    def _window(self, position: _Position) -> tuple[Any, int]:
        now = position.now
        num_bytes = trees.size(now.w) * trees.dtype(now.w).itemsize
        return next_window(self._schedule, position.num_scheduled, num_bytes)

    def _stretch(self, position: _Position) -> _Position:
        clock = time.perf_counter()
        k = int(position.now.k)
        used = [b for b in self.budgets if b.used_up(position.seconds, k)]
        if used:
            return dataclasses.replace(position, end=(used[0].outcome, ""))
        left = [b.steps_left(k) for b in self.budgets]
        budget = min([position.budget, *(n for n in left if n is not None)])
        window, count = self._window(position)
        k_end = min(k + budget, int(window[-1]))
        due, end = jnp.asarray(window), jnp.full_like(position.now.k, k_end)
        now, saved = advance(self.setting, position.now, due, end)
        steps = window[:count]
        steps = steps[steps <= int(now.k)]
        saved = jax.tree.map(lambda x: np.asarray(x)[: len(steps)], saved)
        record = self._added(position.record, steps, saved)
        seconds = time.perf_counter() - clock
        return dataclasses.replace(
            position,
            now=now,
            record=record,
            num_scheduled=position.num_scheduled + len(steps),
            end=self._end(now),
            budget=next_budget(position.budget, seconds),
            seconds=position.seconds + seconds,
        )

    def _end(self, now: Iterate) -> tuple[Outcome, str] | None:
        problem, watch = self.setting.problem, self.setting.watch
        w = eqx.combine(now.w, self.setting.static)
        if now.stopped:
            return watch.met(self.setting.stepper.time(now.k), w, problem)
        if now.broken:
            where = f"step {int(now.k) + 1}"
            if trees.norm(now.w) > _FAR:
                return Outcome.blow_up, where
            if not trees.all_finite(problem.grad(w)):
                return Outcome.nonfinite_grad, where
            return Outcome.nonfinite_state, where
        return (Outcome.reached_end, "") if now.k >= self.num_steps else None

    def _added(self, record: Record, steps: Any, ws: Params) -> Record:
        ts = self.time(steps).astype(trees.dtype(ws))
        return record.add(self.setting.problem, ts, ws, None)

    def finish(self, position: _Position, origin: Origin) -> Trajectory:
        """The trajectory that a position amounts to."""
        record, now = position.record, position.now
        k, stepper = int(now.k), self.setting.stepper
        # By steps: times are rounded to the parameters' type.
        scheduled = np.append(0, self._schedule)[position.num_scheduled]
        if k > scheduled:
            record = self._added(record, np.asarray([k]), _lead(now.w))
        exact = int(self.setting.estimate is None)
        stats = {
            "num_steps": k,
            "num_accepted": k,
            "num_rejected": 0,
            "num_rejected_by_guard": 0,
            "num_gradients": k * (exact + self.setting.watch.num_gradients),
            "num_estimates": k * (1 - exact),
            "num_gradients_saving": record.num_gradients,
            "num_losses": k * self.setting.watch.num_losses,
            "num_hvps": 0,
            "seconds": position.seconds,
            "compile_seconds": position.compile_seconds,
        }
        plan = Plan(stepper.name, "the caller's discrete method")
        assert position.end is not None
        return assemble(record.joined(), position.end, stats, plan, origin, None)


@eqx.filter_jit
def _speed(problem: Problem, params: Params, static: Params) -> Any:
    return trees.norm(problem.velocity(eqx.combine(params, static)))


def _lead(w: Params) -> Params:
    return jax.tree.map(lambda x: x[None], w)


def _strong(x: Any) -> Any:
    # A weakly typed leaf would compile the first stretch apart from the others.
    return jax.lax.convert_element_type(x, jnp.result_type(x))
