"""Part 7: how fast the loss falls on separable data.

H degree of homogeneity, here the depth; m = -log L. With exponential loss the plain
flow has L = Θ(1/(t log^(2-2/H) t)), the polar flow too, and exponential weight
normalization Θ(1/(t log² t)): its radius moves r² times as fast, and r^H grows like m.
"""

from typing import Any, Literal

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ..._simulate import simulate
from ...diagnostics import MarginRate, margin_rate
from ...flows import GradientFlow, LogTime
from ...models import DiagonalNet, WeightNormalized, separable_gaussian
from ...problem import exponential_loss
from ...trajectory import MaxSteps, Save, Trajectory
from .._claim import Claim
from .._statistics import worst
from .._study import Figure, ReportProgress, StudyResult
from ._runs import Model
from ._settings import Settings

_SOURCE = (
    "Morwani, Ramaswamy 2022 (arXiv 2010.12909): Θ(1/(t log^2 t)) for exponential "
    "weight normalization; Lyu, Li 2020: Θ(1/(t log^(2-2/H) t)) without"
)
_SINCE, _LATE = 1e6, 1e12
_Kind = Literal["plain", "polar", "exponential"]


def separable(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Loss rates over depth and kind, and one dimension against its closed form."""
    runs: dict[tuple[int, _Kind], Trajectory] = {}
    kinds: tuple[_Kind, ...] = ("plain", "exponential")
    if settings.every_kind:
        kinds = ("plain", "polar", "exponential")
    for depth in settings.separable_depths:
        for kind in kinds:
            progress(f"separable data: depth {depth}, {kind}")
            runs[depth, kind] = _run(settings, seed, depth, kind)
    progress("exponential normalization in one dimension")
    alone, closed_form = _one_dimension(settings)
    rates = {key: margin_rate(run, since=_SINCE) for key, run in runs.items()}
    return StudyResult(
        claims=(*_rate_claims(rates), _theta(runs), closed_form),
        dataset=_dataset(runs, rates),
        figures=(figure(settings),),
        evidence={
            f"separable, depth {depth}, {kind}": f"{run!r}\n{rates[depth, kind]!r}"
            for (depth, kind), run in runs.items()
        }
        | {"separable, one dimension": repr(alone)},
    )


def _run(settings: Settings, seed: int, depth: int, kind: _Kind) -> Trajectory:
    data = separable_gaussian(
        settings.separable_samples,
        settings.separable_dim,
        margin=settings.separable_margin,
        seed=seed,
    )
    net = DiagonalNet(settings.separable_dim, depth, signed=depth > 1)
    model: Model = net if kind == "plain" else WeightNormalized(net, kind)
    # Of the polar flow the direction is attracted at a rate that grows like r^2.
    solver = diffrax.Kvaerno5() if kind == "polar" else diffrax.Tsit5()
    problem = model.problem(data.A, data.y, criterion=exponential_loss)
    return _flow(problem, model.init(0.3), settings, solver)


def _flow(problem: Any, w0: Any, settings: Settings, solver: Any) -> Trajectory:
    return simulate(
        problem,
        GradientFlow(),
        w0,
        settings.separable_t1,
        rtol=1e3 * settings.law_rtol,
        atol=settings.law_rtol,
        solver=solver,
        clock=LogTime(),
        save=Save.log(num=120, first=1e-2),
        stops=[MaxSteps(settings.max_steps)],
        progress=False,
    )


def _one_dimension(settings: Settings) -> tuple[Trajectory, Claim]:
    """L = e^(-w), w' = w² e^(-w): t = F(w) - F(w0), F(w) = Ei(w) - e^w/w.

    F' = e^w/w². At t = 1e30, w is 77, and F(w) is inverted by Newton's method on log F.
    """
    model = WeightNormalized(DiagonalNet(1, depth=1), "exponential")
    one = np.ones((1, 1))
    problem = model.problem(one, one[0], criterion=exponential_loss)
    run = _flow(problem, model.init(1.0), settings, diffrax.Tsit5())
    ts = run.ts[run.ts > 1]
    w = _inverted(ts)
    measured = np.exp(np.asarray(run.ws["log_radius"]))[run.ts > 1]
    return run, Claim(
        "separable-closed-form",
        "In one dimension exponential normalization follows t = F(w) - F(w0), F(w) = "
        f"Ei(w) - e^w/w, to t = {settings.separable_t1:g}: largest relative error of "
        "w.",
        "derived: w' = w^2 e^(-w)",
        expected=0.0,
        measured=float(np.max(np.abs(measured / w - 1))),
        tolerance=1e-6,
        kind="at_most",
    )


def _inverted(ts: np.ndarray) -> np.ndarray:
    """The w with F(w) = t + F(1)."""

    def antiderivative(w: Any) -> Any:
        return jax.scipy.special.expi(w) - jnp.exp(w) / w

    goal = jnp.log(ts + antiderivative(jnp.asarray(1.0)) - antiderivative(0.5))
    w = jnp.log(ts) + 2 * jnp.log1p(jnp.log1p(ts))
    for _ in range(50):
        gained = antiderivative(w) - antiderivative(0.5)
        slope = jnp.exp(w) / w**2 / gained
        w = jnp.maximum(w - (jnp.log(gained) - goal) / slope, 0.6)
    return np.asarray(w)


def _rate_claims(rates: dict[tuple[int, _Kind], MarginRate]) -> list[Claim]:
    claims: list[Claim] = []
    for (depth, kind), found in rates.items():
        power = 2.0 if kind == "exponential" else 2 - 2 / depth
        claims.append(
            Claim(
                f"separable-power-{kind}-depth-{depth}",
                f"Power p of the logarithm in the loss Θ(1/(t log^p t)): {kind}, depth "
                f"{depth}, fitted to dL/dt over t = {found.window[0]:.0e} to "
                f"{found.window[1]:.0e}.",
                _SOURCE,
                expected=power,
                measured=found.log_power,
                # The margin is 1/log t from its limit, log t is 14 to 69.
                tolerance=0.15,
            )
        )
    return claims


def _theta(runs: dict[tuple[int, _Kind], Trajectory]) -> Claim:
    spreads: list[float] = []
    for (_, kind), run in runs.items():
        if kind == "exponential":
            late = run.ts >= _LATE
            ts = run.ts[late]
            height = ts * run.observed["loss"][late] * np.log(ts) ** 2
            spreads.append(float(height.max() / height.min()))
    return Claim(
        "separable-theta",
        "Under exponential normalization t L log^2 t stays within constants: largest "
        f"over smallest value from t = {_LATE:.0e} on.",
        _SOURCE,
        expected=1.0,
        measured=worst(spreads),
        # log^2 t alone grows 6.3-fold from 1e12 to 1e30, so that t L falls as much; and
        # -log L is ahead of log t by 2 log log t, a quarter at 1e12, an eighth at 1e30.
        tolerance=1.5,
        kind="factor",
    )


def _dataset(
    runs: dict[tuple[int, _Kind], Trajectory],
    rates: dict[tuple[int, _Kind], MarginRate],
) -> Any:
    import xarray

    depths = list(dict.fromkeys(depth for depth, _ in runs))
    kinds: list[_Kind] = list(dict.fromkeys(kind for _, kind in runs))
    first = next(iter(runs.values()))
    loss = [[runs[d, k].observed["loss"] for k in kinds] for d in depths]
    power = [[rates[d, k].log_power for k in kinds] for d in depths]
    axes = ("separable_depth", "separable_kind")
    return xarray.Dataset(
        {
            "separable_loss": ((*axes, "separable_time"), np.array(loss)),
            "separable_log_power": (axes, np.array(power)),
        },
        coords={
            "separable_depth": depths,
            "separable_kind": kinds,
            "separable_time": first.ts,
        },
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "separable",
        f"Exponential loss of {settings.separable_samples} separable examples in "
        f"{settings.separable_dim} dimensions, classified by diagonal nets, times "
        "time, against log t: a loss of Θ(1/(t log^p t)) is a line of slope -p. "
        "Dotted: the slopes that theory gives, 2 - 2/depth without and 2 with "
        "exponential normalization.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, label_ticks, panels

    figure, (ax,) = panels(1)
    figure.set_size_inches(7.4, 4.2)
    shown = dataset.separable_time.values > _SINCE
    ts = dataset.separable_time.values[shown]
    looks = {"plain": "-", "polar": "--", "exponential": "-"}
    for depth, marker in zip(dataset.separable_depth.values, "os^Dv", strict=False):
        for kind, color in zip(dataset.separable_kind.values, COLORS, strict=False):
            at = {"separable_depth": depth, "separable_kind": kind}
            height = ts * dataset["separable_loss"].sel(at).values[shown]
            power = float(dataset["separable_log_power"].sel(at))
            name = "linear" if depth == 1 else f"depth {depth}"
            label = f"{name}, {kind}: p = {power:.2f}"
            (curve,) = ax.plot(np.log(ts), height, looks[str(kind)], label=label)
            curve.set(color=color, marker=marker, markevery=12)
            theory = 2.0 if kind == "exponential" else 2 - 2 / depth
            line = height[-1] * (np.log(ts) / np.log(ts[-1])) ** -theory
            ax.plot(np.log(ts), line, ":", color="gray", zorder=1)
    ax.plot([], [], ":", color="gray", label="slope of theory")
    ax.set(xscale="log", yscale="log", xlabel="log t", ylabel="t L")
    label_ticks(ax, (15, 20, 30, 40, 60))
    ax.set_title("Which power of log t does the loss gain over 1/t?")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
