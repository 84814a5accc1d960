"""search: minimize without gradients, by nevergrad's algorithms."""

import dataclasses
import time
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from .. import _trees as trees
from .._results import Outcome
from .._types import Observables, Params
from ..problem import Problem
from ..trajectory import (
    Measurement,
    Origin,
    Plan,
    Record,
    Save,
    Trajectory,
    assemble,
    check_kind,
    conclude,
)

Method = Literal["cma_es", "cma_es_diagonal", "random"]

_NEVERGRAD = {
    "cma_es": "CMA",
    "cma_es_diagonal": "DiagonalCMA",
    "random": "RandomSearch",
}


@dataclasses.dataclass(frozen=True)
class Search:
    """Which algorithm looked for a minimum."""

    method: Method
    spread: float

    @property
    def name(self) -> str:
        """For tables and reports."""
        return f"{self.method.replace('_', ' ')}, spread {self.spread:g}"


def search(
    problem: Problem,
    w0: Params,
    num_evaluations: int,
    *,
    method: Method = "cma_es",
    spread: float,
    seed: int,
    loss_below: float | None = None,
    save: Save | None = None,
    observables: Observables | None = None,
    throw: bool = True,
) -> Trajectory:
    """Minimize the loss without gradients, starting around w0.

    Its clock counts evaluations of the loss; saved is the best sample so far, after w0,
    which is the first point saved but no sample.

    **Arguments:**

    - `problem`, `w0`: as for `simulate`. w0 is the center of the first samples.
    - `num_evaluations`: how often the loss may be evaluated.
    - `method`: "cma_es", with a full covariance (n² memory and n³ time now and then: up
        to some hundreds of parameters); "cma_es_diagonal", with variances only;
        "random", independent samples N(w0, spread²).
    - `spread`: standard deviation of the first samples, in units of the parameters.
    - `seed`: of nevergrad's generator.
    - `loss_below`: end when the best loss is below; None for never.
    - `save`: default `Save.log(num=50)`, in evaluations. `observables`, `throw`: as for
        `simulate`.

    **Returns:** a `Trajectory` whose `w1` is the best point found.

    **Raises:** `ImportError` without nevergrad; `ValueError` for misuse.

    **Cost:** one loss an evaluation, and some milliseconds of nevergrad's own.

    **References:** Hansen, Ostermeier 2001 for CMA-ES; Ros, Hansen 2008 for the
    diagonal one.

    ```python
    >>> import jax.numpy as jnp, gflow as gf
    >>> problem = gf.Objective(lambda w: jnp.sum((w - 1.0) ** 2))
    >>> run = gf.steppers.search(problem, jnp.zeros(2), 300, spread=1.0, seed=0)
    >>> print(run.w1.round(2))
    [1. 1.]

    ```
    """
    _check(problem, num_evaluations, method, spread, save)
    params, static = problem.split(w0)
    measurement = Measurement(observables or {}, {})
    measurement = measurement.checked(eqx.combine(params, static), problem)
    save = Save.log(num=50) if save is None else save
    record = Record(measurement, static, save.keep_params, save.max_bytes)
    record = record.add(problem, np.zeros(1), _lead(params), None)
    best = _Best(float("inf"), ravel_pytree(params)[0], 0)
    clock = time.perf_counter()
    optimizer = _optimizer(method, params, spread, seed, num_evaluations)
    due = save.indices(num_evaluations, 1.0)
    record, best, end = _explore(
        _Hunt(problem, optimizer, params, static, loss_below), record, best, due
    )
    stats = _stats(record, best.num, time.perf_counter() - clock)
    law, plan = Search(method, spread), Plan(_NEVERGRAD[method], "nevergrad")
    options = {"num_evaluations": num_evaluations, "seed": seed}
    origin = Origin(problem, law, options)
    run = assemble(record.joined(), end, stats, plan, origin, None)
    return conclude(run, throw)


def _check(
    problem: Any, num_evaluations: int, method: str, spread: float, save: Any
) -> None:
    """Raise for misuse that is known before the run."""
    check_kind("problem", problem, Problem)
    check_kind("save", save, Save | None)
    if method not in get_args(Method):
        known = ", ".join(get_args(Method))
        raise ValueError(f"method must be one of {known}, not {method!r}")
    if not num_evaluations >= 1 or not 0 < spread < np.inf:
        raise ValueError(
            "expected num_evaluations >= 1 and a finite spread > 0, not "
            f"{num_evaluations}, {spread}"
        )


@dataclasses.dataclass(frozen=True)
class _Hunt:
    problem: Problem
    optimizer: Any
    params: Params
    static: Params
    loss_below: float | None


@dataclasses.dataclass(frozen=True)
class _Best:
    """The best point so far, and how many were looked at."""

    loss: float
    point: Any
    num: int


def _explore(
    hunt: _Hunt, record: Record, best: _Best, due: Any
) -> tuple[Record, _Best, tuple[Outcome, str]]:
    unravel = ravel_pytree(hunt.params)[1]
    end = (Outcome.reached_end, "")
    for num in range(1, int(due[-1]) + 1):
        candidate = hunt.optimizer.ask()
        point = jnp.asarray(candidate.value, trees.dtype(hunt.params))
        loss = float(_loss_at(hunt.problem, hunt.static, unravel, point))
        # What is not finite is worse than anything: nevergrad refuses NaN, and clips
        # what is above 5e20.
        hunt.optimizer.tell(candidate, loss if np.isfinite(loss) else 1e20)
        better = loss < best.loss
        best = _Best(loss, point, num) if better else dataclasses.replace(best, num=num)
        goal = hunt.loss_below
        reached = goal is not None and best.loss < goal
        if reached or num in due:
            w = _lead(unravel(best.point))
            record = record.add(hunt.problem, np.array([float(num)]), w, None)
        if reached:
            end = (Outcome.loss_reached, "")
            break
    return record, best, end


@eqx.filter_jit
def _loss_at(problem: Problem, static: Params, unravel: Any, point: Any) -> Any:
    return problem.loss(eqx.combine(unravel(point), static))


def _optimizer(
    method: Method, params: Params, spread: float, seed: int, budget: int
) -> Any:
    try:
        import nevergrad
    except ImportError as error:
        raise ImportError(
            "search needs nevergrad: pip install 'gflow-ode[search]'"
        ) from error
    center = np.asarray(ravel_pytree(params)[0], dtype=float)
    space: Any = nevergrad.p.Array(init=center).set_mutation(sigma=spread)
    space.random_state.seed(seed)
    registry: Any = nevergrad.optimizers.registry
    return registry[_NEVERGRAD[method]](parametrization=space, budget=budget)


def _stats(record: Record, num: int, seconds: float) -> dict[str, Any]:
    return {
        "num_steps": num,
        "num_accepted": num,
        "num_rejected": 0,
        "num_rejected_by_guard": 0,
        "num_gradients": 0,
        "num_gradients_saving": record.num_gradients,
        "num_losses": num,
        "num_hvps": 0,
        "seconds": seconds,
        "compile_seconds": 0.0,
    }


def _lead(w: Params) -> Params:
    return jax.tree.map(lambda x: x[None], w)
