"""compare: the gap between a flow and discrete methods at the same time."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .. import _trees as trees
from .._simulate import simulate
from .._types import Params
from ..problem import Problem
from ..trajectory import Save, Trajectory


@dataclasses.dataclass(frozen=True)
class Gap:
    """How far one discrete run is from the flow, at each time both have.

    - `eta`: the step size, of a schedule the largest.
    - `ts`: the K times, in units of flow time.
    - `params`: ‖w_steps - w_flow‖, Euclidean over all parameters.
    - `loss`: L(w_steps) - L(w_flow).
    - `predictions`: ‖f(w_steps) - f(w_flow)‖, or None if the problem has no model.
    """

    name: str
    eta: float
    ts: Float[np.ndarray, " k"]
    params: Float[np.ndarray, " k"]
    loss: Float[np.ndarray, " k"]
    predictions: Float[np.ndarray, " k"] | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Gaps of discrete runs to one flow, and their order in the step size.

    `order` is the slope of log ‖w_steps - w_flow‖ against log eta at the last time that
    all runs have; None for a single run, for runs of different methods, or if they
    have no time in common. Theory: 1 for gradient descent.
    """

    gaps: tuple[Gap, ...]
    order: float | None
    order_time: float | None

    def __repr__(self) -> str:
        """A line for each run, and the order."""
        head = f"{'compared with the flow':34} {'at t':>10} {'params':>10} {'max':>10}"
        lines = [head + f" {'loss':>11} {'predictions':>12}"]
        for gap in self.gaps:
            f = "-" if gap.predictions is None else f"{gap.predictions[-1]:.3e}"
            lines.append(
                f"{gap.name:34} {gap.ts[-1]:10.4g} {gap.params[-1]:10.3e} "
                f"{np.max(gap.params):10.3e} {gap.loss[-1]:+11.3e} {f:>12}"
            )
        if self.order is not None:
            lines.append(f"order in eta at t = {self.order_time:.4g}: {self.order:.3f}")
        return "\n".join(lines)


def compare(flow: Trajectory, steps: Trajectory | Sequence[Trajectory]) -> Comparison:
    """Same-time distance between a flow and one or several discrete runs of it.

    Where the flow was not saved at the discrete run's times it is simulated again,
    with the same solver and tolerances, and saved there: interpolating between saved
    points would add an error of its own.

    **Arguments:**

    - `flow`: a trajectory from `simulate`.
    - `steps`: one or several trajectories from `iterate`, of the same problem from the
        same start, with their parameters kept. Several that differ in eta give the
        order of the gap.

    **Returns:** a `Comparison`.

    **Raises:** `ValueError` if the runs do not begin at the same point, if a run kept
    no parameters, or if they share no stretch of time.

    **Cost:** at most one more flow.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: 0.5 * w**2)
    >>> w0 = jnp.array(1.0)
    >>> flow = gf.simulate(problem, gf.GradientFlow(), w0, t1=1.0)
    >>> runs = [
    ...     gf.iterate(problem, gf.gradient_descent(1 / n), w0, num_steps=n)
    ...     for n in (50, 100, 200)
    ... ]
    >>> print(f"{gf.compare(flow, runs).order:.2f}")
    1.00

    ```
    """
    runs = [steps] if isinstance(steps, Trajectory) else list(steps)
    if "rtol" not in flow.origin.options or any(
        "num_steps" not in run.origin.options for run in runs
    ):
        raise TypeError("compare takes a flow first, and then discrete runs")
    if not runs:
        raise ValueError("compare needs at least one discrete run")
    lengths = [_checked_length(flow, run) for run in runs]
    times = [run.ts[:num] for run, num in zip(runs, lengths, strict=True)]
    aligned = _aligned(flow, np.unique(np.concatenate(times)))
    gaps = tuple(
        _gap(aligned, run, len(ts)) for run, ts in zip(runs, times, strict=True)
    )
    labels = {run.origin.law.label for run in runs}
    order, at = _order(gaps) if len(labels) == 1 else (None, None)
    return Comparison(gaps, order, at)


def _checked_length(flow: Trajectory, run: Trajectory) -> int:
    """How many points of a discrete run lie within the flow's time."""
    if not eqx.tree_equal(_params(flow.w0), _params(run.w0)):
        raise ValueError("compare: the runs do not begin at the same w0")
    if not eqx.tree_equal(flow.origin.problem, run.origin.problem):
        raise ValueError("compare: the runs are of different problems, data or rates")
    if run.ws is None:
        raise ValueError("compare: the discrete run kept no parameters (Save)")
    num = int(np.searchsorted(run.ts, flow.ts[-1] * (1 + 1e-12), side="right"))
    if num < 2:
        raise ValueError("compare: the first discrete step is past the flow's end")
    return num


def _aligned(flow: Trajectory, ts: Any) -> Trajectory:
    """The flow saved at all of ts."""
    if flow.ws is not None and np.isin(ts, flow.ts).all():
        return flow
    save = Save.at(ts[1:], max_bytes=2**62)
    options: dict[str, Any] = {**flow.origin.options, "t1": float(ts[-1]), "save": save}
    return simulate(flow.origin.problem, flow.origin.law, flow.w0, **options)


def _gap(flow: Trajectory, run: Trajectory, num: int) -> Gap:
    index = np.searchsorted(flow.ts, run.ts[:num])
    w_flow = jax.tree.map(lambda x: x[index], _params(flow.ws))
    w_steps = jax.tree.map(lambda x: x[:num], _params(run.ws))
    difference = jax.tree.map(lambda a, b: (a - b).reshape(num, -1), w_steps, w_flow)
    squares = [np.sum(x**2, axis=1) for x in jax.tree.leaves(difference)]
    static = trees.split(flow.w0)[1]
    return Gap(
        name=run.origin.law_name,
        eta=float(jnp.max(run.origin.law.eta)),
        ts=run.ts[:num],
        params=np.sqrt(sum(squares)),
        loss=run.observed["loss"][:num] - flow.observed["loss"][index],
        predictions=_distance(flow.origin.problem, static, w_steps, w_flow),
    )


def _distance(problem: Problem, static: Params, a: Params, b: Params) -> Any:
    full = eqx.combine(jax.tree.map(lambda x: jnp.asarray(x[0]), a), static)
    if eqx.filter_eval_shape(problem.predict, full) is None:
        return None
    outputs = [np.asarray(_predictions(problem, static, ws)) for ws in (a, b)]
    difference = outputs[0] - outputs[1]
    return np.linalg.norm(difference.reshape(len(difference), -1), axis=1)


@eqx.filter_jit
def _predictions(problem: Problem, static: Params, ws: Params) -> Any:
    return jax.lax.map(lambda w: problem.predict(eqx.combine(w, static)), ws)


def _order(gaps: tuple[Gap, ...]) -> tuple[float | None, float | None]:
    etas = np.array([gap.eta for gap in gaps])
    if len(np.unique(etas)) < 2:
        return None, None
    last = min(gap.ts[-1] for gap in gaps)
    index = [int(np.argmin(np.abs(gap.ts - last))) for gap in gaps]
    times = np.array([gap.ts[i] for gap, i in zip(gaps, index, strict=True)])
    distances = np.array([gap.params[i] for gap, i in zip(gaps, index, strict=True)])
    if np.ptp(times) > 1e-9 * last or np.any(distances == 0):
        return None, None
    return float(np.polyfit(np.log(etas), np.log(distances), 1)[0]), float(last)


def _params(w: Params) -> Params:
    return eqx.filter(w, eqx.is_inexact_array)
