"""Part 7: nets that solve differential equations, against closed forms."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ... import _trees as trees
from ...models import (
    Box,
    Interval,
    LinearOperator,
    PenalizedRegression,
    ShallowNet,
    residual_penalty,
)
from ...trajectory import Save
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._runs import flow, over, rms
from ._settings import Settings

_SIDE = np.linspace(0.0, 1.0, 21)
_NUM_TIMES = 7


@dataclasses.dataclass(frozen=True)
class Equation:
    """N[f] = 0 on the unit cube, with values of f at some points."""

    name: str
    law: str
    operator: LinearOperator
    x: np.ndarray
    y: np.ndarray
    grid: np.ndarray
    truth: np.ndarray


def ordinary() -> list[Equation]:
    """Decay and oscillation: f'' , f', f with coefficients, one program for both."""
    grid = np.linspace(0, 1, 101)[:, None]
    terms = [(0, 2), (0, 1), (0, 0)]
    decay, swing = [0.0, 1.0, 1.0], [1.0, 0.0, np.pi**2]
    start, both = np.zeros((2, 1)), np.array([[0.0], [0.5]])
    x = grid[:, 0]
    return [
        Equation(
            "decay",
            "f' + f = 0, f(0) = 1",
            LinearOperator(terms, decay),
            start,
            np.ones(2),
            grid,
            np.exp(-x),
        ),
        Equation(
            "oscillator",
            "f'' + π² f = 0, f(0) = 1, f(½) = 0",
            LinearOperator(terms, swing),
            both,
            np.array([1.0, 0.0]),
            grid,
            np.cos(np.pi * x),
        ),
    ]


def partial_equations() -> list[Equation]:
    """Heat and advection in (t, x): ∂t, ∂x, ∂xx with coefficients, one program."""
    terms = [(0, 1), (1, 1), (1, 2)]
    zero = 0 * _SIDE
    start = np.stack([zero, _SIDE], axis=1)
    low, high = (np.stack([_SIDE, zero + at], axis=1) for at in (0.0, 1.0))
    grid = np.stack(np.meshgrid(_SIDE, _SIDE, indexing="ij"), -1).reshape(-1, 2)

    def heat(p: np.ndarray) -> np.ndarray:
        return np.exp(-0.1 * np.pi**2 * p[:, 0]) * np.sin(np.pi * p[:, 1])

    def wave(p: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * (p[:, 1] - 0.5 * p[:, 0]))

    around = np.concatenate([start, low, high])
    # The inflow twice: as many data as for heat, and none where the wave leaves.
    inflow = np.concatenate([start, low, low])
    return [
        Equation(
            "heat",
            "∂u/∂t = 0.1 ∂²u/∂x², u = 0 at both ends",
            LinearOperator(terms, [1.0, 0.0, -0.1]),
            around,
            heat(around),
            grid,
            heat(grid),
        ),
        Equation(
            "advection",
            "∂u/∂t + ½ ∂u/∂x = 0, u given at t = 0 and x = 0",
            LinearOperator(terms, [1.0, 0.5, 0.0]),
            inflow,
            wave(inflow),
            grid,
            wave(grid),
        ),
    ]


# What a picture cannot show: a thousandth of the range in one dimension, a hundredth in
# two, where the nets have as few units.
_BOUNDS = {"decay": 1e-3, "oscillator": 1e-3, "heat": 1e-2, "advection": 1e-2}


def physics(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Error and loss along the flow, for two ordinary and two partial equations."""
    equations = [*ordinary(), *partial_equations()]
    shape = (len(equations), settings.physics_seeds, _NUM_TIMES)
    errors, losses = np.full(shape, np.nan), np.full(shape, np.nan)
    evidence: dict[str, str] = {}
    times = np.geomspace(1e-3 * settings.physics_t1, settings.physics_t1, _NUM_TIMES)
    shown: dict[str, Any] = {}
    for i, equation in enumerate(equations):
        for s in range(settings.physics_seeds):
            progress(f"physics-informed: {equation.name}, start {s}")
            run, net = _solve(equation, settings, times, seed + s)
            if s == 0:
                evidence[f"physics: {equation.name}"] = repr(run)
                shown[equation.name] = np.asarray(net(run.w1, equation.grid))
            if not run.result.ok:
                continue
            losses[i, s] = run.observed["loss"][-_NUM_TIMES:]
            for j in range(_NUM_TIMES):
                w = trees.take(run.ws, j - _NUM_TIMES)
                errors[i, s, j] = rms(net(w, equation.grid), equation.truth)
    dataset = _dataset(equations, times, errors, losses, shown)
    return StudyResult(
        claims=_claims(settings, dataset, equations),
        dataset=dataset,
        figures=(figure(),),
        evidence=evidence,
    )


def _dataset(
    equations: list[Equation], times: Any, errors: Any, losses: Any, shown: Any
) -> Any:
    import xarray

    names = [equation.name for equation in equations]
    axes = ("equation", "start", "physics_time")
    line, plane = equations[0], equations[2]
    return xarray.Dataset(
        {
            "physics_error": (axes, errors),
            "physics_loss": (axes, losses),
            "physics_line": (("ode", "ode_x"), [shown[n] for n in names[:2]]),
            "physics_plane": (("pde", "pde_point"), [shown[n] for n in names[2:]]),
            "physics_plane_truth": (
                ("pde", "pde_point"),
                [e.truth for e in equations[2:]],
            ),
        },
        coords={
            "equation": names,
            "physics_time": times,
            "ode": names[:2],
            "ode_x": line.grid[:, 0],
            "pde": names[2:],
            "pde_point": np.arange(len(plane.grid)),
        },
    )


def _solve(
    equation: Equation, settings: Settings, times: np.ndarray, seed: int
) -> tuple[Any, ShallowNet]:
    dim = equation.x.shape[1]
    net = ShallowNet(dim, settings.physics_width)
    domain = Interval(0.0, 1.0) if dim == 1 else Box([0.0, 0.0], [1.0, 1.0])
    integral = residual_penalty(
        net, equation.operator, domain, num_points=32 if dim == 1 else 256
    )
    fit = PenalizedRegression(net, equation.x, equation.y, integral=integral)
    # Rates of change of order 3: those of the solutions.
    w0 = net.init(scale=3.0, key=jax.random.key(seed))
    # Residuals grow with a, and start at a rms of order 1 if Σ a² does.
    w0 = {**w0, "a": w0["a"] / jnp.sqrt(1.0 * net.width)}
    t1 = settings.physics_t1
    return flow(fit.problem, w0, t1, settings, save=Save.at(times)), net


def _claims(
    settings: Settings, dataset: Any, equations: list[Equation]
) -> tuple[Claim, ...]:
    claims: list[Claim] = []
    starts = over(settings.physics_seeds, "start", "largest")
    for equation in equations:
        at = {"equation": equation.name}
        last = dataset["physics_error"].sel(at).values[:, -1]
        claims.append(
            Claim(
                f"physics-{equation.name}",
                f"{equation.law}: rms error of the net at t = {settings.physics_t1:g} "
                f"against the closed form, {starts}.",
                "closed form; the bound is what a figure can show",
                expected=_BOUNDS[equation.name],
                measured=float(np.max(last)),
                kind="at_most",
            )
        )
    return tuple(claims)


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "physics",
        "Nets whose loss is the residual of an equation, ½ ∫ N[f]², and the "
        "mean square error at its initial and boundary values. Left: rms "
        "error against the closed form along the flow. Right: the advected "
        "wave at t = 1 and the heat there, net and closed form.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, right) = panels(2)
    for name, color in zip(dataset.equation.values, COLORS, strict=False):
        error = dataset["physics_error"].sel(equation=name)
        left.plot(
            dataset.physics_time, error.mean("start"), "o-", color=color, label=name
        )
    left.set(xscale="log", yscale="log", xlabel="flow time t", ylabel="rms error")
    left.set_title("Does the residual teach the solution?")
    left.legend()
    for name, color in zip(dataset.pde.values, COLORS[2:], strict=False):
        net, truth = (
            dataset[f"physics_plane{kind}"].sel(pde=name).values[-_SIDE.size :]
            for kind in ("", "_truth")
        )
        right.plot(_SIDE, truth, color=color, label=f"{name}, closed form")
        right.plot(_SIDE, net, "o", color=color, mfc="white", label=f"{name}, net")
    right.set(xlabel="x", ylabel="u(1, x)", title="Where does it end at t = 1?")
    right.legend()
    return figure
