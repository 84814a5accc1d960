"""simulate: run a flow from w0 to t1."""

import dataclasses
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from . import _trees as trees
from ._march import March
from ._position import Position
from ._stretch import Setting
from ._types import Invariants, Observables, Params, Scalar
from .flows import Clock, Flow, clocked
from .problem import Problem
from .solvers import BDF, Auto, Filippov, choose, has_symmetric_derivative
from .trajectory import (
    COMPANION_RATIO,
    Budget,
    MaxSteps,
    Measurement,
    Origin,
    ProgressLine,
    Save,
    Stop,
    Trajectory,
    Watch,
    check_kind,
    conclude,
    with_error,
    without_error,
)

_MAX_STEPS = 1_000_000
# Errors follow the tolerance down to so many units in the last place.
_FINEST = 10
_AUTO = Auto()
_NUMBER = (int, float, np.number, np.ndarray, jax.Array)


def simulate(
    problem: Problem,
    flow: Flow,
    w0: Params,
    t1: float,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    solver: diffrax.AbstractSolver[Any] | Auto = _AUTO,
    clock: Clock | None = None,
    save: Save | None = None,
    observables: Observables | None = None,
    invariants: Invariants | None = None,
    stops: Sequence[Stop] = (),
    resume: Trajectory | None = None,
    error_estimate: bool = False,
    throw: bool = True,
    progress: bool | None = None,
) -> Trajectory:
    """Integrate a continuous flow adaptively from w(0) = w0 to time t1.

    The estimated error of a step, root mean square over the parameters, is held to a
    tolerance that follows from the one wanted at the end, rtol |w| + atol. It is that
    itself for most solvers. `BDF` and `RKC`, whose errors at the end fall slower than
    the tolerance of a step, are held to less below rtol 1e-3, so that errors follow
    rtol; through kinks that are not located `Auto` holds to more, and says so.

    A step to a non-finite state, or (where the loss cannot rise) that raises the loss
    beyond round-off, is rejected whatever its error. Time and state have w0's dtype.

    **Arguments:**

    - `problem`: loss and geometry; `flow`: the law of motion.
    - `w0`: any pytree whose inexact arrays are the parameters.
    - `t1`: the end, in units of flow time.
    - `rtol`, `atol`: tolerances at the end. Changing them does not compile anew.
    - `solver`: any diffrax solver; by default `Auto` begins with Tsit5 and goes on with
        a solver for stiff flows where that is cheaper.
    - `clock`: `LogTime`, `ArcLength` or `LossTime`, to choose the steps in another
        variable than t; default none. Everything is told in t all the same.
    - `save`: default `Save.log()`, 200 log-spaced times.
    - `observables`: name -> callable `(t, w, problem) -> array`, at each saved time.
    - `invariants`: name -> callable `w -> array`, or an `Invariant`; their drift is
        reported.
    - `stops`: `Stationary`, `LossBelow`, `Target`, `Diverged`, `WallClock`,
        `MaxSteps` (default 1,000,000).
    - `resume`: a trajectory of the same problem, flow, solver, tolerances, clock and
        `save` that stopped short; `t1` and `stops` may be others. After a budget or
        Ctrl-C it gives the bits of a run that never stopped; after a stop located
        inside a step, the solver begins afresh from there.
    - `error_estimate`: estimate the global error at each saved time, by running the
        flow a second time at a third of the tolerances.
    - `throw`: raise if the end asked for was not reached.
    - `progress`: show a progress line; default: if standard error is a terminal.

    **Returns:** a `Trajectory`.

    **Raises:** `ValueError` or `TypeError` for misuse; `RunError` if the run stopped
    short and `RunInterrupted` on Ctrl-C, both with the partial `trajectory`, unless
    `throw` is false.

    **Cost:** Tsit5 takes 6 gradients and one loss for each attempted step; a saved
    point takes one gradient more. An error estimate takes 1.2 to 1.4 times the steps
    of the run once more, from its start, and is compiled anew if there are stops to
    locate.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.25 * jnp.sum(w**4))
    >>> run = gf.simulate(problem, gf.GradientFlow(), jnp.ones(1), t1=4.0)
    >>> print(run.result.name, run.w1.round(5))  # closed form: 1 / sqrt(1 + 2 t) = 1/3
    reached_end [0.33333]

    ```
    """
    params, static = _checked(problem, flow, w0, t1, rtol, atol, save)
    check_kind("clock", clock, Clock | None)
    w0, t1 = eqx.combine(params, static), float(np.asarray(t1, trees.dtype(params)))
    choice = choose(solver, problem if clock is None and flow.symmetric else None, w0)
    if not flow.symmetric:  # Auto knows no stiff solver for it: nothing to look for
        choice = dataclasses.replace(choice, next_look=None)
    _check_solver(solver, problem, flow, clock)
    save = Save.log() if save is None else save
    measurement = Measurement(observables or {}, invariants or {}).checked(w0, problem)
    law = flow if clock is None else clocked(flow, clock, problem, w0)
    setting = _setting(problem, law, params, static, choice.solver, rtol, atol, stops)
    budgets = [stop for stop in stops if isinstance(stop, Budget)]
    if not any(isinstance(b, MaxSteps) for b in budgets):
        budgets.append(MaxSteps(_MAX_STEPS))
    march = March(setting, choice, save, t1, tuple(budgets))
    options = {"rtol": rtol, "atol": atol, "solver": solver, "stops": tuple(budgets)}
    options = {**options, "clock": clock, "save": save, "t1": t1}
    origin = Origin(problem, flow, options)
    if resume is not None:
        _check_resumable(resume, origin, measurement, params)
    with ProgressLine(type(flow).__name__, t1, progress) as line:
        if resume is None:
            position = march.begin(measurement, params)
        else:
            position = march.go_on(resume, measurement)
        position = march.run(position, line)
    run = march.finish(position, origin)
    return conclude(_with_error(run) if error_estimate else run, throw)


def _check_solver(
    solver: Any, problem: Problem, flow: Flow, clock: Clock | None
) -> None:
    if isinstance(solver, BDF | Filippov) and not flow.symmetric:
        name, law = type(solver).__name__, type(flow).__name__
        raise ValueError(f"{name} is for gradient flow, not for {law}: use diffrax's")
    if isinstance(solver, BDF) and clock is not None:
        raise ValueError("BDF cannot run under a clock: leave solver out, or use RKC")
    if isinstance(solver, BDF) and not has_symmetric_derivative(problem):
        raise ValueError(
            "BDF needs a metric that does not depend on w: leave solver out, or use RKC"
        )
    if isinstance(solver, Filippov) and (clock is not None or problem.kinks is None):
        raise ValueError("Filippov needs a problem that declares its kinks, no clock")


def _with_error(run: Trajectory) -> Trajectory:
    """The run with its global error estimated, where that can be."""
    options = run.origin.options
    rtol, atol = (options[name] / COMPANION_RATIO for name in ("rtol", "atol"))
    dtype = trees.dtype(run.w0)
    if not run.result.ok:
        return without_error(run, "the run did not get to its end")
    if rtol < _FINEST * float(jnp.finfo(dtype).eps):
        return without_error(run, f"rtol is too near the resolution of {dtype}")
    if len(run.ts) < 2:
        return without_error(run, "the run has no length")
    companion = simulate(
        run.origin.problem,
        run.origin.law,
        run.w0,
        float(run.ts[-1]),
        rtol=rtol,
        atol=atol,
        solver=options["solver"],
        clock=options["clock"],
        save=Save.at(
            run.ts[1:].astype(float), keep_params=run.ws is not None, max_bytes=2**62
        ),
        stops=[MaxSteps(_MAX_STEPS + 10 * run.stats["num_steps"])],
        throw=False,
        progress=False,
    )
    return with_error(run, companion)


def _setting(
    problem: Problem,
    flow: Flow,
    params: Params,
    static: Params,
    solver: Any,
    rtol: float,
    atol: float,
    stops: Sequence[Stop],
) -> Setting:
    dtype = trees.dtype(params)
    w0 = eqx.combine(params, static)
    loss_scale, largest = _scales(problem, w0)
    return Setting(
        problem=problem,
        flow=flow,
        static=static,
        solver=solver,
        rtol=jnp.asarray(rtol, dtype),
        atol=jnp.asarray(atol, dtype),
        loss_scale=loss_scale,
        size=trees.size(params),
        largest=largest,
        watch=Watch(stops, jnp.zeros((), dtype), w0, problem),
    )


@eqx.filter_jit
def _scales(problem: Problem, w: Params) -> tuple[Scalar, Scalar]:
    """The sizes of the loss and of the largest parameter."""
    return jnp.abs(problem.loss(w)).astype(trees.dtype(w)), trees.largest(w)


def _checked(
    problem: Problem,
    flow: Flow,
    w0: Params,
    t1: float,
    rtol: float,
    atol: float,
    save: Save | None,
) -> tuple[Params, Params]:
    """The parameter and other leaves of w0, all inputs found sound."""
    check_kind("problem", problem, Problem)
    check_kind("flow", flow, Flow)
    check_kind("save", save, Save | None)
    for name, value in (("t1", t1), ("rtol", rtol), ("atol", atol)):
        if not isinstance(value, _NUMBER) or np.ndim(value) > 0:
            raise TypeError(f"{name} must be a number, not {value!r}")
        if not 0 < value <= sys.float_info.max:
            raise ValueError(f"{name} must be > 0 and finite, not {value!r}")
    params, static = problem.split(w0)
    if trees.size(params) == 0:
        raise ValueError("w0 has no parameters: its arrays are empty")
    dtype = trees.dtype(params)
    eps, *ends = (float(getattr(jnp.finfo(dtype), x)) for x in ("eps", "tiny", "max"))
    for name, value in (("t1", t1), ("atol", atol)):
        if not ends[0] <= value <= ends[1]:
            raise ValueError(f"{name} {value:g} is beyond the numbers of {dtype}")
    if rtol < eps:
        raise ValueError(f"rtol {rtol:g} is below the resolution {eps:.1g} of {dtype}")
    if rtol < _FINEST * eps:
        warnings.warn(
            f"rtol {rtol:g} is near the resolution {eps:.1g} of {dtype}: errors will "
            "not follow it. Loosen rtol, or use float64 "
            '(jax.config.update("jax_enable_x64", True) before any array is made).',
            stacklevel=3,
        )
    return params, static


def _check_resumable(
    stopped: Trajectory, origin: Origin, measurement: Measurement, params: Params
) -> None:
    if not isinstance(stopped, Trajectory) or not isinstance(
        stopped.checkpoint, Position
    ):
        raise TypeError("resume takes a trajectory that simulate made")
    asked, given = origin.options, stopped.origin.options
    if asked["t1"] < stopped.ts[-1]:
        raise ValueError(
            f"resume: t1 = {asked['t1']:g} lies before the {stopped.ts[-1]:g} reached"
        )
    differing = [n for n in ("rtol", "atol", "save") if asked[n] != given[n]]
    for name, one, other in (
        ("solver", asked["solver"], given["solver"]),
        ("clock", asked["clock"], given["clock"]),
        ("flow", origin.law, stopped.origin.law),
        ("problem", origin.problem, stopped.origin.problem),
    ):
        if not eqx.tree_equal(one, other):
            differing.append(name)
    if differing:
        raise ValueError(
            f"resume: {', '.join(differing)} differ from those of the stopped run"
        )
    if not eqx.tree_equal(eqx.filter(stopped.w0, eqx.is_inexact_array), params):
        raise ValueError("resume: w0 is not the one that the stopped run began from")
    old = stopped.checkpoint.record.measurement
    for kind in ("observables", "invariants"):
        if set(getattr(old, kind)) != set(getattr(measurement, kind)):
            raise ValueError(f"resume: pass the same {kind} as the stopped run did")
