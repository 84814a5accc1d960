"""Part 4: the rate at the end, and gradient descent beside the flow."""

from typing import Any

import diffrax
import numpy as np

from ..._simulate import simulate
from ...diagnostics import Lojasiewicz, Rate, lojasiewicz, rate
from ...flows import GradientFlow
from ...models import DiagonalNet, WeightNormalized, sparse_p1
from ...steppers import Comparison, compare, gradient_descent, iterate
from ...trajectory import LossBelow, MaxSteps, Save, Trajectory
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._runs import Model
from ._settings import Settings

_T1 = 5.0
_NUM_STEPS = (500, 1000, 2000, 4000)


def convergence(settings: Settings, progress: ReportProgress) -> StudyResult:
    """Łojasiewicz exponent and rate of the plain flow at depth 2."""
    progress("Łojasiewicz exponent on P1")
    data = sparse_p1()
    model = DiagonalNet(data.A.shape[1])
    # Explicit and tight: near the minimum the gradient must be above its own error.
    run = simulate(
        model.problem(data.A, data.y),
        GradientFlow(),
        model.init(0.2),
        settings.t1,
        solver=diffrax.Tsit5(),
        rtol=settings.law_rtol,
        atol=1e-5 * settings.law_rtol,
        save=Save.steps(),
        stops=(LossBelow(1e-14), MaxSteps(settings.max_steps)),
        progress=False,
    )
    found, speed = lojasiewicz(run), rate(run)
    slowest = _least_curvature(data.A, np.asarray(model.effective(run.w1)))
    return StudyResult(
        claims=_rate_claims(found, speed, slowest),
        dataset=_tail_dataset(run, found),
        figures=(figure(),),
        evidence={
            "rate": repr(run),
            "Łojasiewicz": f"{found!r}\n{speed!r}",
        },
    )


def figure() -> Figure:
    """What is drawn of the tail."""
    return Figure(
        "rate",
        "Plain flow on P1 from alpha = 0.2. Left: loss against time, whose "
        "straight end is exponential decay. Right: gradient norm against loss; "
        "the dashed line has the fitted exponent.",
        _draw_rate,
    )


def _least_curvature(A: np.ndarray, x: np.ndarray) -> float:
    """Least nonzero eigenvalue of the Hessian at a limit x = w².

    The residual vanishes there, so that the Hessian is JᵀJ with J = 2 A diag(w); J Jᵀ
    has the same eigenvalues but for zeros.
    """
    return float(np.linalg.eigvalsh(4 * (A * x) @ A.T)[0])


def _rate_claims(found: Lojasiewicz, speed: Rate, slowest: float) -> tuple[Claim, ...]:
    return (
        Claim(
            "rate-exponent",
            "At depth 2 the Łojasiewicz exponent at the limit is 1/2.",
            "Chou, Rauhut, Ward 2023: exponential decay of the loss for L = 2",
            expected=0.5,
            measured=found.theta,
            tolerance=0.01,
        ),
        Claim(
            "rate-exponential",
            "The loss falls exponentially at the end, and at twice the least nonzero "
            "eigenvalue of the Hessian there.",
            "Chou, Rauhut, Ward 2023; linear flow at the limit, r' = -J J^T r",
            expected=2 * slowest,
            measured=speed.rate if speed.kind == "exponential" else float("nan"),
            tolerance=0.05,
            kind="relative",
        ),
    )


def _tail_dataset(run: Trajectory, found: Lojasiewicz) -> Any:
    import xarray

    return xarray.Dataset(
        {
            "rate_loss": ("rate_time", run.observed["loss"]),
            "rate_grad_norm": ("rate_time", run.observed["grad_norm"]),
            "rate_theta": ((), found.theta),
            "rate_c": ((), found.c),
        },
        coords={"rate_time": run.ts},
    )


def _draw_rate(dataset: Any) -> Any:
    from ...plots import panels

    figure, (left, right) = panels(2)
    loss, grad = dataset["rate_loss"].values, dataset["rate_grad_norm"].values
    left.plot(dataset.rate_time, loss)
    left.set(yscale="log", xlabel="time t", ylabel="loss L")
    left.set_title("Does the loss decay exponentially?")
    right.plot(loss, grad, ".", label="flow")
    theta, c = float(dataset["rate_theta"]), float(dataset["rate_c"])
    ends = np.array([loss.min(), loss.max()])
    right.plot(ends, c * ends**theta, "--", label=f"θ = {theta:.3f}")
    right.set(xscale="log", yscale="log", xlabel="loss L", ylabel="gradient norm")
    right.set_title("Which Łojasiewicz exponent?")
    right.legend()
    return figure


def descent(settings: Settings, progress: ReportProgress) -> StudyResult:
    """Order of the gap between gradient descent and flow, plain and normalized."""
    net = DiagonalNet(sparse_p1().A.shape[1])
    models: dict[str, Model] = {
        "plain": net,
        f"kappa = {settings.kappa:g}": WeightNormalized(net, kappa=settings.kappa),
    }
    found: dict[str, Comparison] = {}
    evidence: dict[str, str] = {}
    for name, model in models.items():
        progress(f"gradient descent beside the flow: {name}")
        found[name], evidence[f"flow for gradient descent, {name}"] = _compare(
            model, settings
        )
    claims = tuple(
        Claim(
            f"descent-order-{name.replace(' = ', '-')}",
            f"Gradient descent departs from the flow at first order in eta: {name}.",
            "backward error analysis",
            expected=1.0,
            measured=float("nan") if comparison.order is None else comparison.order,
            tolerance=0.05,
        )
        for name, comparison in found.items()
    )
    return StudyResult(
        claims=claims,
        dataset=_gap_dataset(found),
        figures=(gap_figure(settings),),
        evidence=evidence | {f"gap, {n}": repr(c) for n, c in found.items()},
    )


def gap_figure(settings: Settings) -> Figure:
    """How far gradient descent is from the flow."""
    return Figure(
        "descent",
        f"Distance between gradient descent and flow in parameters at t = "
        f"{_T1:g}, against the step size; alpha = {settings.alpha:g}. The "
        "dotted lines have slope 1.",
        _draw_gap,
    )


def _compare(model: Model, settings: Settings) -> tuple[Comparison, str]:
    data = sparse_p1()
    problem, w0 = model.problem(data.A, data.y), model.init(settings.alpha)
    save = Save.at(np.linspace(0, _T1, 11)[1:])
    rtol = settings.law_rtol
    flow = simulate(
        problem,
        GradientFlow(),
        w0,
        _T1,
        rtol=rtol,
        solver=diffrax.Tsit5(),
        save=save,
        progress=False,
    )
    runs = [
        iterate(problem, gradient_descent(_T1 / n), w0, n, save=save, progress=False)
        for n in _NUM_STEPS
    ]
    return compare(flow, runs), repr(flow)


def _gap_dataset(found: dict[str, Comparison]) -> Any:
    import xarray

    etas = [gap.eta for gap in next(iter(found.values())).gaps]
    gaps = [[gap.params[-1] for gap in c.gaps] for c in found.values()]
    return xarray.Dataset(
        {"descent_gap": (("descent_method", "eta"), np.array(gaps))},
        coords={"descent_method": list(found), "eta": etas},
    )


def _draw_gap(dataset: Any) -> Any:
    from ...plots import panels, plot_comparison

    figure, (ax,) = panels(1)
    for method in dataset.descent_method.values:
        gaps = dataset["descent_gap"].sel(descent_method=method).values
        plot_comparison(dataset.eta.values, gaps, ax, label=str(method), order=1.0)
    ax.set_title("How far are the steps from the flow?")
    return figure
