"""Part 7: how singular values move, one after the other."""

import dataclasses
from typing import Any

import diffrax
import equinox as eqx
import jax
import numpy as np
from jaxtyping import ArrayLike, Float

from ..._simulate import simulate
from ...diagnostics import singular_dynamics
from ...flows import GradientFlow
from ...invariants import deep_linear_invariants
from ...models import DeepLinear, mode_strength
from ...trajectory import MaxSteps, Save, Trajectory
from .._claim import Claim
from .._statistics import worst
from .._study import Figure, ReportProgress, StudyResult
from ._runs import drift
from ._settings import Settings

_STRENGTHS = np.array([4.0, 2.0, 1.0, 0.5])
_SIZE = 8
_NUM_TIMES = 120
# Five times at each of them, this far apart, tell a derivative in time to fourth order,
# 1e-7 of the fastest mode's speed; errors of the flow's output are divided by it.
_APART = 3e-3
_LAW = "Arora, Cohen, Hu, Luo 2019, theorem 3"


@dataclasses.dataclass(frozen=True)
class _Modes:
    """A run from balanced factors on the target's singular vectors."""

    run: Trajectory
    # Times over the slowest predicted half time, and σ there.
    values: Float[np.ndarray, "k s"]
    law_gap: float
    # Largest |t - t(σ)|, in units of each mode's half time, over points of the curves;
    # NaN, as are the other gaps, of a run that stopped short of its end.
    time_gap: float
    half_times: Float[np.ndarray, " s"]


def modes(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Singular values against their closed form and their law, over depth."""
    target = _target(seed)
    found: dict[int, _Modes] = {}
    for depth in settings.mode_depths:
        progress(f"modes: balanced factors at depth {depth}")
        found[depth] = _balanced(settings, target, depth)
    depth = max(settings.mode_depths)
    progress(f"modes: factors out of balance at depth {depth}")
    net = DeepLinear([_SIZE] * (depth + 1))
    start = net.init(key=jax.random.key(seed), gain=0.5)
    loose = _simulate(settings, net, target, start, 5.0)
    return StudyResult(
        claims=_claims(settings, found, _law_gap(loose)),
        dataset=_dataset(found),
        figures=(figure(settings),),
        evidence={f"modes, depth {d}": repr(m.run) for d, m in found.items()}
        | {f"modes out of balance, depth {depth}": repr(loose)},
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "modes",
        "Singular values of the end-to-end map under gradient flow from "
        f"balanced factors of scale {settings.mode_start:g} on the target's "
        "singular vectors (strengths 4, 2, 1, 0.5), against time in units of "
        "the slowest mode's predicted half time. Dashed at depth 2: the closed "
        "form. Dotted: predicted half times. The deeper, the more abruptly "
        "each is learned.",
        _draw,
    )


def _target(seed: int) -> Float[np.ndarray, "n n"]:
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((_SIZE, _SIZE)))[0] for _ in "uv")
    return (left[:, : len(_STRENGTHS)] * _STRENGTHS) @ right[: len(_STRENGTHS)]


def time_to(
    level: ArrayLike, strength: float, start: float, depth: int
) -> Float[np.ndarray, "..."]:
    """When a mode of a' = L a^{2-2/L}(s - a) has grown from `start` to a level.

    The integral of da/a' in log a, by Gauss-Legendre: 200 points are exact to rounding
    from any start above 1e-12 to 0.99 s.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    low, high = np.log(start), np.log(np.asarray(level))[..., None]
    a = np.exp(0.5 * (high - low) * nodes + 0.5 * (high + low))
    speed = depth * a ** (2 - 2 / depth) * (strength - a)
    return np.asarray(np.sum(0.5 * (high - low) * weights * a / speed, axis=-1))


def _balanced(
    settings: Settings, target: Float[np.ndarray, "n n"], depth: int
) -> _Modes:
    net = DeepLinear([_SIZE] * (depth + 1))
    start = net.init_spectral(target, settings.mode_start)
    half_times = np.array(
        [float(time_to(s / 2, s, settings.mode_start, depth)) for s in _STRENGTHS]
    )
    run = _simulate(settings, net, target, start, 1.5 * float(half_times.max()))
    values = run.observed["values"][:, : len(_STRENGTHS)]
    gaps: list[float] = []
    for strength, half, curve in zip(_STRENGTHS, half_times, values.T, strict=True):
        # Near its ends a curve is flat, and tells no time.
        steep = (curve > 2 * settings.mode_start) & (curve < 0.95 * strength)
        told = time_to(curve[steep], strength, settings.mode_start, depth)
        gaps.append(worst(np.abs(run.ts[steep] - told)) / half)
    time_gap = worst(gaps) if run.result.ok else float("nan")
    return _Modes(run, values, _law_gap(run), time_gap, half_times)


def _simulate(
    settings: Settings, net: DeepLinear, target: Any, w0: Any, t1: float
) -> Trajectory:
    centers = np.linspace(0, t1, _NUM_TIMES)[1:-1]
    ts = (centers[:, None] + _APART * np.arange(-2, 3)).ravel()
    return simulate(
        net.problem(np.eye(_SIZE), target.T),
        GradientFlow(),
        w0,
        t1,
        rtol=settings.law_rtol,
        atol=1e-4 * settings.law_rtol,
        solver=diffrax.Dopri8(),
        save=Save.at(np.append(ts, t1), keep_params=False),
        observables={name: eqx.Partial(_observe, name) for name in _OBSERVED},
        invariants=deep_linear_invariants(net),
        stops=(MaxSteps(settings.max_steps),),
        throw=False,
        progress=False,
    )


_OBSERVED = ("values", "balanced")


def _observe(name: str, t: Any, w: Any, problem: Any) -> Any:
    del t
    return getattr(singular_dynamics(problem, w), name)


def _law_gap(run: Trajectory) -> float:
    """Largest difference of dσ/dt, from σ at five times, and law; over the largest.

    NaN of a run that stopped short.
    """
    if not run.result.ok:
        return float("nan")
    num = (len(run.ts) - 1) // 5
    values, law = (
        run.observed[name][1 : 1 + 5 * num].reshape(num, 5, -1) for name in _OBSERVED
    )
    speeds = np.tensordot(values, [1, -8, 0, 8, -1], (1, 0)) / (12 * _APART)
    return float(np.max(np.abs(speeds - law[:, 2])) / np.max(np.abs(speeds)))


def _claims(
    settings: Settings, found: dict[int, _Modes], loose_gap: float
) -> tuple[Claim, ...]:
    claims: list[Claim] = []
    if 2 in found:
        claims.append(
            Claim(
                "modes-closed-form",
                "At depth 2 singular values follow the closed form of Saxe et al.: "
                "largest difference over the target's largest.",
                "Saxe, McClelland, Ganguli 2014",
                expected=0.0,
                measured=_closed_form_gap(settings, found[2]),
                tolerance=100 * settings.law_rtol,
                kind="at_most",
            )
        )
    return (
        *claims,
        *_law_claims(settings, found, loose_gap),
        Claim(
            "modes-balance",
            "Balanced factors stay balanced: largest drift over the products.",
            "Arora, Cohen, Hazan 2018, theorem 1",
            expected=0.0,
            measured=worst([drift(m.run) for m in found.values()]),
            tolerance=100 * settings.law_rtol,
            kind="at_most",
        ),
    )


def _law_claims(
    settings: Settings, found: dict[int, _Modes], loose_gap: float
) -> list[Claim]:
    return [
        Claim(
            "modes-times",
            "Each mode has each strength when s' = L s^(2-2/L) (s_target - s) says, at "
            "every depth: largest difference in time over the mode's half time.",
            f"{_LAW}; integrated by quadrature",
            expected=0.0,
            measured=worst([m.time_gap for m in found.values()]),
            tolerance=1e3 * settings.law_rtol,
            kind="at_most",
        ),
        Claim(
            "modes-law",
            "Along the flow of balanced factors every singular value moves at speed "
            "-L s^(2-2/L) u^T G v: largest difference to finite differences in time of "
            "the run's singular values, over the largest speed.",
            _LAW,
            expected=0.0,
            measured=worst([m.law_gap for m in found.values()]),
            tolerance=1e4 * settings.law_rtol,
            kind="at_most",
        ),
        Claim(
            "modes-law-needs-balance",
            "Of factors out of balance (Gaussian) the law says nothing: the same "
            "difference.",
            _LAW,
            # A hundred times what is allowed in balance.
            expected=1e6 * settings.law_rtol,
            measured=loose_gap,
            kind="at_least",
        ),
    ]


def _closed_form_gap(settings: Settings, found: _Modes) -> float:
    if not found.run.result.ok:
        return float("nan")
    exact = np.asarray(
        mode_strength(found.run.ts[:, None], _STRENGTHS, settings.mode_start)
    )
    return worst(np.abs(found.values - exact)) / _STRENGTHS[0]


def _dataset(found: dict[int, _Modes]) -> Any:
    import xarray

    axes = ("mode_depth", "mode")
    return xarray.Dataset(
        {
            "mode_value": (
                ("mode_depth", "mode_point", "mode"),
                np.stack([_padded(m.values[::5]) for m in found.values()]),
            ),
            "mode_time": (
                ("mode_depth", "mode_point"),
                np.stack([_padded(m.run.ts[::5, None])[:, 0] for m in found.values()]),
            ),
            "mode_half_time": (axes, np.stack([m.half_times for m in found.values()])),
        },
        coords={"mode_depth": list(found), "mode": _STRENGTHS},
        attrs={"mode_start": float(next(iter(found.values())).values[0, 0])},
    )


def _padded(values: Float[np.ndarray, "k s"]) -> Float[np.ndarray, "n s"]:
    """Rows of NaN after the last point of a run that stopped short."""
    full = np.full((_NUM_TIMES, values.shape[1]), np.nan)
    full[: len(values)] = values[:_NUM_TIMES]
    return full


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    depths = dataset["mode_depth"].values
    figure, axes = panels(len(depths), columns=3, sharey=True)
    for ax, depth in zip(axes, depths, strict=True):
        at = dataset.sel(mode_depth=depth)
        unit = float(at["mode_half_time"].max())
        time = at["mode_time"].values
        for strength, color in zip(dataset["mode"].values, COLORS, strict=False):
            mode = at.sel(mode=strength)
            label = f"strength {strength:g}"
            ax.plot(time / unit, mode["mode_value"], color=color, label=label)
            half = float(mode["mode_half_time"])
            ax.axvline(half / unit, color=color, ls=":", lw=1)
            if depth == 2:
                exact = mode_strength(time, strength, dataset.attrs["mode_start"])
                ax.plot(time / unit, exact, "--", color="black", lw=1)
        ax.set(
            xlabel="time t / slowest half time", title=f"One after another? L = {depth}"
        )
    axes[0].set_ylabel("singular value σ")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure
