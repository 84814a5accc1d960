"""Part 2: signed vectors and deeper nets on P1's matrix."""

from typing import Any

import diffrax
import numpy as np

from ..._simulate import simulate
from ...flows import GradientFlow
from ...models import DiagonalNet, WeightNormalized, diagonal_limit, sparse_p1
from ...solvers import BDF
from ...trajectory import MaxSteps, Save, Trajectory
from .._claim import Claim
from .._study import ReportProgress, StudyResult
from ._runs import method_name, relative, run_to_limit, run_to_time, with_kappa, x_end
from ._settings import Settings

_SOURCE = "derived: dual of the potential that the flow minimizes"
_DEEP_SOURCE = _SOURCE + ", at t = infinity"
# The table's values of depth 3 are those of flows stopped here.
_DEEP_T1 = 2000.0
_STIFF_T1 = 1e4


def signed_limits(settings: Settings, progress: ReportProgress) -> StudyResult:
    """The signed instance, x = u^2 - v^2 from u = v = 0.1."""
    data = sparse_p1()
    assert data.x_true is not None
    x_true = data.x_true.copy()
    x_true[17] *= -1
    y = data.A @ x_true
    net = DiagonalNet(x_true.size, signed=True)
    claims: list[Claim] = []
    evidence: dict[str, str] = {}
    for kappa, l1_norm in ((None, 2.9370450), (5.0, 2.2427124)):
        name = method_name(kappa)
        progress(f"signed P1 to its limit: {name}")
        model = with_kappa(net, kappa)
        w0 = model.init(0.1)
        run = run_to_limit(model, w0, data.A, y, settings).run
        evidence[f"signed P1, {name}"] = repr(run)
        x = x_end(model, run)
        claims.append(
            Claim(
                f"signed-l1-{name.replace(' = ', '-')}",
                f"l1 norm of the limit on the signed instance, {name}.",
                _SOURCE,
                expected=l1_norm,
                measured=float(np.sum(np.abs(x))),
                tolerance=1e-6,
            )
        )
        if isinstance(model, WeightNormalized):
            claims += _effective_claims(model, w0, run)
    return StudyResult(claims=tuple(claims), evidence=evidence)


def explicit_steps(settings: Settings, progress: ReportProgress) -> StudyResult:
    """What the stiffness of the polar flow costs an explicit method, at full scale."""
    if not settings.every_kind:
        return StudyResult()
    data = sparse_p1()
    size = data.A.shape[1]
    model = WeightNormalized(DiagonalNet(size, depth=4), kappa=10.0)
    w0 = model.init(0.2 * np.linspace(0.5, 1.5, size))
    runs: dict[str, Trajectory] = {}
    for name, solver in (("Tsit5", diffrax.Tsit5()), ("BDF", BDF(num_ritz=0))):
        progress(f"depth 4, kappa = 10, to t = {_STIFF_T1:g}: {name}")
        runs[name] = simulate(
            model.problem(data.A, data.y),
            GradientFlow(),
            w0,
            _STIFF_T1,
            rtol=1e-10,
            atol=1e-13,
            solver=solver,
            save=Save.log(num=20, first=1.0),
            stops=[MaxSteps(5_000_000)],
            progress=False,
        )
    steps = {name: run.stats["num_steps"] for name, run in runs.items()}
    claim = Claim(
        "explicit-steps",
        "The polar flow is stiff: steps that an explicit Runge-Kutta method of order "
        "5(4) takes at depth 4, kappa = 10, rtol 1e-10, from weights 0.1 to 0.3 evenly "
        f"spaced to t = {_STIFF_T1:g}, chosen here: "
        f"{steps['Tsit5'] / _STIFF_T1:.3g} per unit of time (BDF: "
        f"{steps['BDF'] / _STIFF_T1:.3g}).",
        "gflow: a size, ten steps per unit of time; an independent script reported "
        "1.2e6 without start and horizon",
        expected=1e5,
        measured=steps["Tsit5"],
        kind="at_least",
    )
    evidence = {f"depth 4, kappa = 10, {name}": repr(run) for name, run in runs.items()}
    return StudyResult(claims=(claim,), evidence=evidence)


def _effective_claims(model: WeightNormalized, w0: Any, run: Trajectory) -> list[Claim]:
    radius = float(np.asarray(model.radius(run.w1)))
    effective = model.effective_init(w0, radius)
    return [
        Claim(
            "signed-radius",
            "Squared norm of the weights at the signed limit, kappa = 5.",
            _SOURCE,
            expected=2.2428572,
            measured=radius**2,
            tolerance=1e-6,
        ),
        Claim(
            "signed-effective-scale",
            "Square of the effective initial weight, kappa = 5, alpha = 0.1.",
            "derived: law of effective initialization",
            expected=2.063417e-5,
            measured=float(effective["u"][0]) ** 2,
            tolerance=1e-4,
            kind="relative",
        ),
    ]


def deep_limits(settings: Settings, progress: ReportProgress) -> StudyResult:
    """Depth 3 from uneven weights, and the law of effective initialization.

    The limit is reached late: under kappa = 10 the error is 8.7e-5 at t = 1e3, 7.3e-5
    at 2e3, 4.4e-5 at 1e4, 8e-6 at 1e6 and 2.9e-6 in the end. The values 0.0483 and
    7.3e-5 that are known for this instance are those of t = 2e3; both are claimed.
    """
    data = sparse_p1()
    assert data.x_true is not None
    net = DiagonalNet(data.x_true.size, depth=3)
    alpha = 0.2 * np.linspace(0.5, 1.5, data.x_true.size)
    claims: list[Claim] = []
    evidence: dict[str, str] = {}
    # kappa, error at t = 2000 and half its last digit, error of the limit
    table = ((None, 0.0483, 5e-5, 0.0476199), (10.0, 7.3e-5, 5e-7, 2.90662e-6))
    for kappa, early, digit, expected in table:
        name = method_name(kappa)
        progress(f"depth 3 to its limit: {name}")
        model = with_kappa(net, kappa)
        w0 = model.init(alpha)
        run = run_to_limit(model, w0, data.A, data.y, settings).run
        evidence[f"depth 3, {name}"] = repr(run)
        x = x_end(model, run)
        limit = diagonal_limit(model, data.A, data.y, w0)
        before = run_to_time(model, w0, data.A, data.y, settings, _DEEP_T1)
        evidence[f"depth 3 to t = {_DEEP_T1:g}, {name}"] = repr(before)
        claims.append(
            Claim(
                f"depth3-{name.replace(' = ', '-')}-early",
                f"The depth-3 flow on P1 from uneven weights, {name}, at t = "
                f"{_DEEP_T1:g}, before its limit: relative error to the sparse vector.",
                "reference computation; its time is inferred from its errors",
                expected=early,
                measured=relative(x_end(model, before), data.x_true),
                tolerance=digit,
            )
        )
        error, off = relative(x, data.x_true), relative(x, np.asarray(limit.x))
        claims += _deep_claims(name, expected, error, off)
    return StudyResult(claims=tuple(claims), evidence=evidence)


def _deep_claims(name: str, expected: float, error: float, off: float) -> list[Claim]:
    slug = name.replace(" = ", "-")
    return [
        Claim(
            f"depth3-{slug}",
            f"Limit of the depth-3 flow on P1 from uneven weights, {name}: relative "
            "error to the sparse vector.",
            _DEEP_SOURCE,
            expected=expected,
            measured=error,
            tolerance=0.02,
            kind="relative",
        ),
        Claim(
            f"depth3-{slug}-oracle",
            "The depth-3 flow ends where the invariants say: relative distance.",
            _SOURCE,
            expected=0.0,
            measured=off,
            tolerance=1e-8,
            kind="at_most",
        ),
    ]
