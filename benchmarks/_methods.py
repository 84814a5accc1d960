"""Ways to integrate gradient flow to a fixed time, each with one knob."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import jax
import numpy as np
from _counting import Count, Counted
from _host import HostField, TooSlow
from _problems import Case
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

import gflow as gf
from gflow._results import Outcome
from gflow.models import DiagonalNet, WeightNormalized, sparse_p1

# The ratio of absolute to relative tolerance that gflow defaults to, for everybody.
ATOL_SHARE = 1e-3


@dataclasses.dataclass(frozen=True)
class Solved:
    """Where a method ended, and the gradients that it says it took.

    None where it does not tell; then `steps` orders the settings. `products` are exact
    products with the Jacobian. `status` is "ok" if it says that it reached the end,
    "qualified" if it says so without vouching for its tolerance (kinks passed
    unlocated, a flow that is not unique); `seconds` is without compiling.
    """

    w: np.ndarray
    gradients: int | None
    steps: int
    products: int = 0
    status: str = "ok"
    seconds: float | None = None
    compile_seconds: float | None = None


# What a run that gave up its clock is called in records, as with the other solvers.
_STATUS = {Outcome.reached_end: "ok", Outcome.wall_clock: "too slow"}

# Knob (a relative tolerance, or a number of steps) -> where it ends.
Method = Callable[[float], Solved]


def cases(t1: float) -> list[Case]:
    """P1 by the plain net and in polar coordinates at kappa = 10, both from 0.1."""
    data = sparse_p1()
    gram, moment = data.A.T @ data.A, data.A.T @ data.y

    # Both right sides once more and by hand: the reference must owe nothing to the
    # code that is measured. Parameters are in the order of the flattened tree.
    def weights_gradient(w: np.ndarray) -> np.ndarray:
        return 2 * w * (gram @ w**2 - moment)

    def plain(_: float, w: np.ndarray) -> np.ndarray:
        return -weights_gradient(w)

    def polar(_: float, y: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(y[:-1])
        v, r = y[:-1] / length, y[-1]
        g = weights_gradient(r * v)
        return np.append(-10 * r / length * (g - (g @ v) * v), -g @ v)

    net = DiagonalNet(data.A.shape[1])
    out: list[Case] = []
    for name, model, field in (
        ("plain", net, plain),
        ("polar, kappa 10", WeightNormalized(net, kappa=10.0), polar),
    ):
        w0 = model.init(0.1)
        start = np.asarray(ravel_pytree(w0)[0])
        reference, other = (
            _scipy(field, start, t1, method, 1e-13, 1e-15).y[:, -1]
            for method in ("Radau", "LSODA")
        )
        spread = np.linalg.norm(reference - other) / np.linalg.norm(reference)
        problem = model.problem(data.A, data.y)
        out.append(Case(name, problem, w0, t1, reference, float(spread)))
    return out


def flow(
    case: Case,
    solver: Any,
    limit: float | None = None,
) -> Method:
    """gflow at a relative tolerance, saving the end only, for at most `limit` seconds.

    The stats of a run leave out what happens between stretches, and that is little.
    """
    stops = () if limit is None else (gf.WallClock(limit), gf.MaxSteps(10**9))

    def solve(rtol: float) -> Solved:
        run = _simulated(case, case.problem, rtol, solver, stops)
        stats, result = run.stats, run.result
        return Solved(
            _flat(run.w1),
            stats["num_gradients"],
            stats["num_steps"],
            products=stats["num_hvps"] or 0,
            status=_STATUS.get(result, "qualified" if result.ok else result.name),
            seconds=stats["seconds"],
            compile_seconds=stats["compile_seconds"],
        )

    return solve


def flow_count(case: Case, solver: Any, rtol: float) -> Count:
    """What a flow evaluates, counted by callbacks in a run of its own."""
    count = Count()
    _simulated(case, Counted(case.problem, count), rtol, solver)
    jax.effects_barrier()
    return count


def _simulated(
    case: Case, problem: gf.Problem, rtol: float, solver: Any, stops: Any = ()
) -> Any:
    return gf.simulate(
        problem,
        gf.GradientFlow(),
        case.w0,
        case.t1,
        rtol=rtol,
        atol=rtol * ATOL_SHARE,
        solver=solver,
        save=gf.Save.at((case.t1,)),
        stops=stops,
        throw=False,
        progress=False,
    )


def descent(case: Case) -> Method:
    """Gradient descent with t1 cut into so many steps."""

    def solve(num_steps: float) -> Solved:
        num = round(num_steps)
        run = gf.iterate(
            case.problem,
            gf.gradient_descent(case.t1 / num),
            case.w0,
            num,
            save=gf.Save.at((case.t1,)),
            throw=False,
            progress=False,
        )
        return Solved(_flat(run.w1), num, num)

    return solve


def scipy_method(
    case: Case, name: str, limit: float = float("inf"), *, exact: bool = False
) -> Method:
    """scipy's `solve_ivp`, its right side a compiled jax gradient.

    Its Jacobian is dense, by differences (n gradients), or if `exact` by automatic
    differentiation (n products).
    """
    field = HostField(case, limit)
    options = {"jac": lambda t, y: field.jacobian(y)} if exact else {}

    def solve(rtol: float) -> Solved:
        field.restart()
        w, steps, status = np.full_like(field.start, np.nan), 0, "too slow"
        try:
            solution = _scipy(
                lambda t, y: field.velocity(y),
                field.start,
                case.t1,
                name,
                rtol,
                rtol * ATOL_SHARE,
                **options,
            )
            steps = len(solution.t) - 1
            status = "ok" if solution.success else str(solution.message)
            w = solution.y[:, -1] if solution.success else w
        except TooSlow:
            pass
        return Solved(
            w,
            field.count.gradients,
            steps,
            products=field.count.hvps,
            status=status,
            seconds=field.seconds,
            compile_seconds=field.compile_seconds,
        )

    return solve


def _scipy(
    field: Any,
    start: np.ndarray,
    t1: float,
    method: str,
    rtol: float,
    atol: float,
    **options: Any,
) -> Any:
    return cast(Any, solve_ivp)(
        field, (0.0, t1), start, method=method, rtol=rtol, atol=atol, **options
    )


def _flat(w: Any) -> np.ndarray:
    return np.asarray(ravel_pytree(w)[0])
