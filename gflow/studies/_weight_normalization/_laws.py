"""Part 3: what the flows conserve, and which of them are the same flow."""

from typing import Any

import diffrax
import numpy as np

from ... import _trees as trees
from ..._simulate import simulate
from ...flows import GradientFlow
from ...invariants import diagonal_invariants
from ...models import DiagonalNet, WeightNormalized, sparse_p1
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._statistics import worst
from .._study import Figure, ReportProgress, StudyResult
from ._runs import Model, relative, run_to_limit, x_end
from ._settings import Settings

_T1 = 50.0
_SEPARATE = "polar, signed, separate norms"
_SOURCE = "Chou, Rauhut, Ward 2023; derived for the normalized kinds"


def invariants(settings: Settings, progress: ReportProgress) -> StudyResult:
    """Drift of every invariant of every kind of net, and one equivalence."""
    runs: dict[str, Trajectory] = {}
    models = _models(settings)
    for name, (model, w0) in models.items():
        progress(f"invariants: {name}")
        runs[name] = _run(model, w0, settings)
    claims = [
        Claim(
            f"invariants-{name.replace(', ', '-').replace(' ', '-')}",
            f"Largest relative drift of {', '.join(run.drift)} to t = {_T1:g}: {name}.",
            _SOURCE,
            expected=0.0,
            measured=worst([drift.relative for drift in run.drift.values()]),
            tolerance=1e-9,
            kind="at_most",
        )
        for name, run in runs.items()
    ]
    claims.append(_equivalence(models, runs))
    if settings.every_kind:
        claims.append(_separate_norms(models, runs))
    return StudyResult(
        claims=tuple(claims),
        dataset=_dataset(runs),
        figures=(figure(settings),),
        evidence={f"invariants, {name}": repr(run) for name, run in runs.items()},
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "invariants",
        f"Largest relative drift of what is conserved, at rtol "
        f"{settings.law_rtol:g}, for each kind of net, against time t. The "
        "dotted line is 1e-9, which the claims demand.",
        _draw,
    )


def _models(settings: Settings) -> dict[str, tuple[Model, Any]]:
    size, kappa = 40, settings.kappa
    layers = 0.1 * np.array([[1.0], [0.6]])
    nets: dict[str, tuple[Model, dict[str, Any]]] = {
        "plain, signed": (DiagonalNet(size, signed=True), {"alpha": 0.1}),
        "plain, depth 3": (DiagonalNet(size, 3), {"alpha": 0.2}),
        "polar": (WeightNormalized(DiagonalNet(size), kappa=4.0), {"alpha": 0.1}),
        "polar, signed": (
            WeightNormalized(DiagonalNet(size, signed=True), kappa=kappa),
            {"alpha": 0.1, "alpha_v": 0.08},
        ),
        "polar, depth 3": (
            WeightNormalized(DiagonalNet(size, 3), kappa=kappa),
            {"alpha": 0.2},
        ),
        "standard": (
            WeightNormalized(DiagonalNet(size), "standard"),
            {"alpha": 0.1, "norm": 0.5},
        ),
    }
    if settings.every_kind:
        nets |= {
            "plain, layerwise": (DiagonalNet(size, layerwise=True), {"alpha": layers}),
            _SEPARATE: (
                WeightNormalized(
                    DiagonalNet(size, signed=True), kappa=kappa, separate=True
                ),
                {"alpha": 0.1},
            ),
            "polar, layerwise": (
                WeightNormalized(DiagonalNet(size, layerwise=True), kappa=kappa),
                {"alpha": layers},
            ),
            "exponential": (
                WeightNormalized(DiagonalNet(size), "exponential"),
                {"alpha": 0.1},
            ),
        }
    return {n: (model, model.init(**given)) for n, (model, given) in nets.items()}


def _run(model: Model, w0: Any, settings: Settings) -> Trajectory:
    data = sparse_p1()
    return simulate(
        model.problem(data.A, data.y),
        GradientFlow(),
        w0,
        _T1,
        solver=diffrax.Tsit5(),
        rtol=settings.law_rtol,
        atol=1e-5 * settings.law_rtol,
        save=Save.log(num=60, first=1e-2),
        invariants=diagonal_invariants(model, data.A, w0),
        progress=False,
    )


def _equivalence(
    models: dict[str, tuple[Model, Any]], runs: dict[str, Trajectory]
) -> Claim:
    """Standard normalization with ‖V‖ = ½ is the polar flow with kappa = 4."""
    curves: list[Any] = []
    for name in ("polar", "standard"):
        model, ws = models[name][0], runs[name].ws
        points = range(len(runs[name].ts))
        curves.append([model.effective(trees.take(ws, k)) for k in points])
    difference = np.asarray(curves[0]) - np.asarray(curves[1])
    size = np.linalg.norm(np.asarray(curves[0]), axis=1)
    return Claim(
        "standard-is-polar",
        "Standard weight normalization with ‖V‖ = 1/2 and the polar flow with kappa = "
        f"1/‖V‖^2 = 4 have one trajectory: relative distance to t = {_T1:g}.",
        "derived: the gradient in V is orthogonal to V",
        expected=0.0,
        measured=float(np.max(np.linalg.norm(difference, axis=1) / size)),
        tolerance=1e-8,
        kind="at_most",
    )


def _separate_norms(
    models: dict[str, tuple[Model, Any]], runs: dict[str, Trajectory]
) -> Claim:
    """That no factor common to all entries, of whatever radii, saves u v."""

    def spread(name: str) -> float:
        (model, _), run = models[name], runs[name]
        assert isinstance(model, WeightNormalized)
        halves = [model.weights(trees.take(run.ws, k)) for k in range(len(run.ts))]
        product = np.array([half["u"] * half["v"] for half in halves])
        return float(np.max(np.ptp(np.log(product / product[0]), axis=1)))

    return Claim(
        "separate-norms",
        "If u and v have each a norm of their own, no function of the norms times u v "
        "is conserved: the entries of log(u v) move apart, to "
        f"t = {_T1:g} by at least a tenth (by {spread('polar, signed'):.1g} "
        "under one norm).",
        "derived: log u_i and log v_i run at the rates of their own norms; the tenth "
        "is gflow's",
        expected=0.1,
        measured=spread(_SEPARATE),
        kind="at_least",
    )


def effective_init(settings: Settings, progress: ReportProgress) -> StudyResult:
    """Two flows, one limit: normalized from w0, and plain from the effective w0."""
    data = sparse_p1()
    claims: list[Claim] = []
    evidence: dict[str, str] = {}
    alpha = settings.alpha

    def limit(name: str, model: Model, w0: Any) -> tuple[Any, Trajectory]:
        run = run_to_limit(model, w0, data.A, data.y, settings).run
        evidence[name] = repr(run)
        return x_end(model, run), run

    for depth in (2, 3):
        progress(f"effective initialization: depth {depth}")
        net = DiagonalNet(data.A.shape[1], depth)
        model = WeightNormalized(net, kappa=settings.kappa)
        w0 = model.init(alpha)
        x_normalized, run = limit(f"effective init, depth {depth}, polar", model, w0)
        start = model.effective_init(w0, np.asarray(model.radius(run.w1)))
        x_plain, _ = limit(f"effective init, depth {depth}, plain", net, start)
        off = relative(x_plain, x_normalized)
        claims.append(_effective_claim(depth, settings.kappa, off))
    if settings.every_kind:
        progress("exponential normalization to its limit")
        net = DiagonalNet(data.A.shape[1])
        other = WeightNormalized(net, "exponential")
        x_exponential, _ = limit("exponential", other, other.init(alpha))
        x_plain, _ = limit("plain", net, net.init(alpha))
        claims.append(_same_limit(x_exponential, x_plain))
    return StudyResult(claims=tuple(claims), evidence=evidence)


def _same_limit(x_exponential: Any, x_plain: Any) -> Claim:
    return Claim(
        "exponential-is-plain",
        "Exponential normalization (kappa = 1) is plain flow with another time: "
        "relative distance of the limits.",
        "derived: w' = -‖w‖^2 g",
        expected=0.0,
        measured=relative(x_exponential, x_plain),
        tolerance=1e-6,
        kind="at_most",
    )


def _effective_claim(depth: int, kappa: float, off: float) -> Claim:
    return Claim(
        f"effective-init-depth-{depth}",
        f"The normalized flow (kappa = {kappa:g}) and the plain flow from the "
        "effective initialization have one limit: relative distance.",
        "derived: w0_eff = w0 (r/r0) exp(-kappa (r^2 - r0^2)/2)",
        expected=0.0,
        measured=off,
        tolerance=1e-6,
        kind="at_most",
    )


def _dataset(runs: dict[str, Trajectory]) -> Any:
    import xarray

    first = next(iter(runs.values()))
    rows: list[np.ndarray] = []
    for run in runs.values():
        drifts: list[np.ndarray] = []
        for name, values in run.invariants.items():
            flat = values.reshape(len(values), -1)
            moved = np.linalg.norm(flat - flat[0], axis=1)
            drifts.append(moved / run.drift[name].scale)
        rows.append(np.max(drifts, axis=0))
    return xarray.Dataset(
        {"drift": (("net", "law_time"), np.array(rows))},
        coords={"net": list(runs), "law_time": first.ts},
    )


def _draw(dataset: Any) -> Any:
    from ...plots import panels

    figure, (ax,) = panels(1)
    figure.set_size_inches(7.2, 4.2)
    for k, net in enumerate(dataset.net.values):
        drift = np.maximum(dataset["drift"].sel(net=net).values[1:], 1e-17)
        # Two of them move alike: dashes over a full line show both.
        line = "--" if k % 2 else "-"
        ax.plot(dataset.law_time.values[1:], drift, line, label=str(net))
    ax.axhline(1e-9, color="gray", linestyle=":", label="bound of the claims")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="time t",
        ylabel="largest relative drift",
        title="Is everything conserved that should be?",
    )
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
