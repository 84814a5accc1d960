"""Part 9: heavy-ball and Nesterov flows, of quadratics and an over-parameterized net.

Near a minimum that fits the data the residual obeys the flow's own linear equation with
the tangent kernel K there. With μ its least eigenvalue the loss falls as e^(-2μt) under
gradient flow, e^(-ct) under heavy ball with a friction c < 2√μ, in a ripple, and t^(-3)
under Nesterov's flow.
"""

from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
import optax

from ..._simulate import simulate
from ...flows import Flow, GradientFlow, HeavyBall, Nesterov
from ...problem import EmpiricalRisk, Objective
from ...steppers import Comparison, compare, from_optax, iterate
from ...trajectory import LossBelow, Save, Trajectory
from .._claim import Claim
from .._statistics import order
from .._study import Figure, ReportProgress, StudyResult
from ._fine_tuning import jacobian, wide_init, wide_net
from ._settings import Settings

_SOURCE = "Su, Boyd, Candès 2016 (arXiv 1503.01243)"
_CURVATURES = np.array([1.0, 10.0, 100.0])
_STEPS = (0.04, 0.02, 0.01)
_HORIZON = 4.0


def momentum(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Closed forms, rates at the end of training, and the discrete method."""
    progress("momentum: quadratics")
    claims, evidence = _quadratics()
    rng = np.random.default_rng(seed)
    n, dim = 4, 3
    x, y = jnp.asarray(rng.standard_normal((n, dim))), rng.standard_normal(n)
    problem = EmpiricalRisk(wide_net, x, y)
    w0 = wide_init(settings.momentum_width, dim, rng)
    progress("momentum: gradient flow of a net")
    plain = _net_run(problem, GradientFlow(), w0, settings.momentum_t1)
    mu = _least(plain, x)
    friction = 0.7 * mu**0.5
    runs = {"gradient flow": plain}
    for name, flow in (
        ("heavy ball", HeavyBall(friction)),
        ("Nesterov", Nesterov()),
    ):
        progress(f"momentum: {name} flow of a net")
        runs[name] = _net_run(problem, flow, w0, settings.momentum_t1)
    claims += _rates(runs, mu, friction)
    progress("momentum: heavy ball in steps")
    comparison = _steps(problem, w0, friction)
    claims.append(_order_claim(comparison))
    evidence |= {f"net, {name}": repr(run) for name, run in runs.items()}
    return StudyResult(
        claims=tuple(claims),
        dataset=_dataset(runs, comparison),
        figures=(figure(),),
        evidence=evidence | {"heavy ball, steps": repr(comparison)},
    )


def _quadratics() -> tuple[list[Claim], dict[str, str]]:
    from scipy.special import j1

    problem = Objective(lambda w: 0.5 * jnp.sum(jnp.asarray(_CURVATURES) * w**2))
    ts, friction = np.linspace(0.1, 20.0, 200), 1.0
    z = np.sqrt(_CURVATURES) * ts[:, None]
    speed, t = np.sqrt(_CURVATURES - friction**2 / 4), ts[:, None]
    waves = np.cos(speed * t) + friction / 2 / speed * np.sin(speed * t)
    cases: tuple[tuple[str, Flow, np.ndarray, str], ...] = (
        ("nesterov", Nesterov(), 2 * j1(z) / z, "2 J1(s)/s, s = sqrt(lambda) t"),
        (
            "heavy-ball",
            HeavyBall(friction),
            np.exp(-friction * t / 2) * waves,
            "e^(-ct/2)(cos wt + c/(2w) sin wt)",
        ),
    )
    claims: list[Claim] = []
    evidence: dict[str, str] = {}
    for name, flow, exact, formula in cases:
        run = simulate(
            problem,
            flow,
            jnp.ones(3),
            20.0,
            rtol=1e-9,
            atol=1e-11,
            solver=diffrax.Tsit5(),
            save=Save.at(ts),
            progress=False,
        )
        evidence[f"quadratic, {name}"] = repr(run)
        error = float(np.max(np.abs(np.asarray(run.ws)[1:] - exact)))
        claims.append(_quadratic_claim(name, formula, error))
    return claims, evidence


def _quadratic_claim(name: str, formula: str, error: float) -> Claim:
    return Claim(
        f"momentum-{name}-quadratic",
        f"On a quadratic with curvatures 1, 10, 100 the flow is {formula}: largest "
        "error to t = 20, at rtol 1e-9 over some 30 periods.",
        _SOURCE,
        expected=0.0,
        measured=error,
        tolerance=1e-6,
        kind="at_most",
    )


def _net_run(problem: EmpiricalRisk, flow: Flow, w0: Any, t1: float) -> Trajectory:
    return simulate(
        problem,
        flow,
        w0,
        t1,
        rtol=1e-9,
        atol=1e-12,
        solver=diffrax.Tsit5(),
        stops=(LossBelow(1e-14),),
        save=Save.at(np.linspace(0.0, t1, 4001)[1:], keep_params=False),
        progress=False,
    )


def _least(run: Trajectory, x: Any) -> float:
    rows = jacobian(run.w1, x)
    return float(np.linalg.eigvalsh(rows @ rows.T)[0])


def _peaks(run: Trajectory, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of the local maxima of the loss between two values."""
    loss, ts = run.observed["loss"], run.ts
    inner = (loss[1:-1] >= loss[:-2]) & (loss[1:-1] >= loss[2:])
    inner &= (loss[1:-1] > low) & (loss[1:-1] < high)
    return ts[1:-1][inner], loss[1:-1][inner]


def _rates(runs: dict[str, Trajectory], mu: float, friction: float) -> list[Claim]:
    plain, ball, nesterov = runs.values()
    late = (plain.observed["loss"] < 1e-6) & (plain.observed["loss"] > 1e-12)
    fit = np.polyfit(plain.ts[late], np.log(plain.observed["loss"][late]), 1)
    ts, peaks = _peaks(ball, 1e-12, 1e-4)
    ball_rate = -np.polyfit(ts, np.log(peaks), 1)[0] if len(ts) > 2 else float("nan")
    ts, peaks = _peaks(nesterov, 0.0, 1e-3)
    late_half = ts > 0.2 * nesterov.ts[-1]
    power = order(ts[late_half], peaks[late_half])
    return [
        Claim(
            "momentum-rate-gradient-flow",
            "Gradient flow of an over-parameterized net ends at the rate 2 mu, mu the "
            "least eigenvalue of the tangent kernel at its limit.",
            "derived: linearized at the limit",
            expected=2 * mu,
            measured=float(-fit[0]),
            tolerance=0.01,
            kind="relative",
        ),
        Claim(
            "momentum-rate-heavy-ball",
            "Heavy ball with friction c = 0.7 sqrt(mu) ends at the rate c, fitted to "
            "the peaks. Tolerance: beats between eigenvalues.",
            "derived: linearized at the limit; Polyak 1964",
            expected=friction,
            measured=float(ball_rate),
            tolerance=0.1,
            kind="relative",
        ),
        Claim(
            "momentum-power-nesterov",
            "Nesterov's flow ends as t^-3, fitted to the peaks. Tolerance: beats "
            "between eigenvalues.",
            _SOURCE + ": J1(s)^2/s^2 on each eigenvector",
            expected=-3.0,
            measured=power,
            tolerance=0.4,
        ),
    ]


def _steps(problem: EmpiricalRisk, w0: Any, friction: float) -> Comparison:
    save = Save.at(np.linspace(0.0, _HORIZON, 5)[1:])
    flow = simulate(
        problem,
        HeavyBall(friction),
        w0,
        _HORIZON,
        rtol=1e-9,
        atol=1e-12,
        solver=diffrax.Tsit5(),
        save=save,
        progress=False,
    )
    runs = [
        iterate(
            problem,
            # √η of flow time a step, and β = 1 - c √η.
            from_optax(optax.sgd(h**2, momentum=1 - friction * h), eta=h),
            w0,
            round(_HORIZON / h),
            save=save,
            progress=False,
        )
        for h in _STEPS
    ]
    return compare(flow, runs)


def _order_claim(comparison: Comparison) -> Claim:
    return Claim(
        "momentum-steps",
        "Heavy ball with step size eta and momentum 1 - c sqrt(eta) follows its flow "
        "at sqrt(eta) a step, to first order in sqrt(eta).",
        _SOURCE + "; backward error analysis",
        expected=1.0,
        measured=float("nan") if comparison.order is None else comparison.order,
        tolerance=0.05,
    )


def _dataset(runs: dict[str, Trajectory], comparison: Comparison) -> Any:
    import xarray

    variables: dict[str, Any] = {
        "momentum_gap": ("momentum_h", [gap.params[-1] for gap in comparison.gaps])
    }
    for name, run in runs.items():
        slug = name.replace(" ", "_").lower()
        point = f"momentum_point_{slug}"
        variables[f"momentum_time_{slug}"] = (point, run.ts)
        variables[f"momentum_loss_{slug}"] = (point, run.observed["loss"])
    return xarray.Dataset(variables, coords={"momentum_h": list(_STEPS)})


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "momentum",
        "Loss of an over-parameterized net under three flows from one start (heavy "
        "ball with friction 0.7 sqrt(mu)). Left: against time, on which an "
        "exponential is straight; right: against its logarithm, on which a power is "
        "(dotted: t^-3).",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import panels

    figure, axes = panels(2)
    for ax, scale in zip(axes, ("linear", "log"), strict=True):
        for name in ("gradient flow", "heavy ball", "Nesterov"):
            slug = name.replace(" ", "_").lower()
            time = dataset[f"momentum_time_{slug}"].values[1:]
            loss = dataset[f"momentum_loss_{slug}"].values[1:]
            ax.plot(time, loss, label=name, linewidth=1.2)
        ax.set(xscale=scale, yscale="log", xlabel="time t", ylabel="loss")
        ax.set_ylim(1e-14, 10)
    left, right = axes
    t = np.geomspace(30, 1000, 20)
    right.plot(t, 100.0 * t**-3, ":", color="black")
    left.set_title("Is inertia faster than none?")
    right.set_title("Who ends exponentially, who as a power?")
    left.legend()
    return figure
