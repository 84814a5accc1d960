"""Part 1: losses along reference flows, their invariants, and the scaling symmetry."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from ... import _trees as trees
from ...diagnostics import tangent_kernel
from ...models import (
    TwoLayerInstance,
    TwoLayerReLU,
    relu_init,
    relu_kernel_mean,
    two_layer_instance,
)
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._runs import flow
from ._settings import Settings

# n and d of the reference numbers.
_N, _D = 50, 10
_LOSSES = {
    8: {0.1: 17.6495, 0.5: 9.8215, 2.0: 0.7864, 10.0: 3.413e-4},
    16: {0.1: 17.6347, 0.5: 5.4446, 2.0: 0.02212},
}
# The numbers have four digits or more, and two methods agreed to about 2e-5.
_TOLERANCE = 2e-4
_SOURCE = (
    "computed for this project: active-set integration at rtol 1e-9, and the limit of "
    "fixed-step Euler"
)
_SCALES = (0.5, 2.0)


def reference(settings: Settings, progress: ReportProgress) -> StudyResult:
    """Losses at given times at two widths, and what the flows conserve."""
    claims: list[Claim] = []
    evidence: dict[str, str] = {}
    variables: dict[str, Any] = {}
    for width, losses in _LOSSES.items():
        progress(f"reference flow: width {width}")
        times = np.array(sorted(losses))
        data = two_layer_instance(_N, _D, width, seed=0)
        run = _follow(data, (1.0, 1.0), times, settings)
        evidence[f"reference, width {width}"] = repr(run)
        claims += _loss_claims(width, losses, run)
        claims.append(_drift_claim(width, run, settings))
        variables |= _curves(width, run)
        if width == 8:
            claims += _scaling(data, run, settings, progress)
    claims.append(_balance())
    return StudyResult(
        claims=tuple(claims),
        dataset=_dataset(variables, settings),
        figures=(figure(settings),),
        evidence=evidence,
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "reference",
        f"Two-layer ReLU nets on n = {_N} Gaussian data in d = {_D} "
        "dimensions, labels N(0, 1), both layers at rate 1, seed 0. Left: loss "
        "against time; crosses: values computed independently. Right: largest "
        "change of the invariants a_j² - ‖w_j‖², relative to their size, at "
        f"rtol {settings.law_rtol:g}.",
        _draw,
    )


def _follow(
    data: TwoLayerInstance, rates: tuple[float, float], times: Any, settings: Settings
) -> Trajectory:
    # Saved between the times too, for the curve.
    between = np.geomspace(0.01, times[-1], 40)
    save = Save.at(np.unique(np.concatenate([times, between[:-1]])))
    return flow(
        data,
        rates,
        float(times[-1]),
        rtol=settings.law_rtol,
        save=save,
        zero=0.0,
        max_steps=100_000,
    )


def _loss_claims(
    width: int, losses: dict[float, float], run: Trajectory
) -> list[Claim]:
    return [
        Claim(
            f"reference-m{width}-t{t:g}",
            f"Loss at t = {t:g}: n = {_N}, d = {_D}, width {width}, seed 0, both rates "
            "1.",
            _SOURCE,
            expected=expected,
            measured=_loss_at(run, t),
            tolerance=_TOLERANCE,
            kind="relative",
        )
        for t, expected in losses.items()
    ]


def _loss_at(run: Trajectory, t: float) -> float:
    """The saved loss at a time; NaN for a run that ended before it."""
    here = np.isclose(run.ts, t, rtol=1e-9)
    return float(run.observed["loss"][here][0]) if here.any() else float("nan")


def _drift_claim(width: int, run: Trajectory, settings: Settings) -> Claim:
    return Claim(
        f"invariant-m{width}",
        f"a_j^2/eta_2 - |w_j|^2/eta_1 of each neuron, through {width * _N} kinks: "
        f"relative drift to t = {run.ts[-1]:g}, below the tolerance.",
        "Razborov 2022; Du, Hu, Lee 2018",
        expected=0.0,
        measured=run.drift["neurons"].relative,
        tolerance=settings.law_rtol,
        kind="at_most",
    )


def _scaling(
    data: TwoLayerInstance, run: Trajectory, settings: Settings, progress: Any
) -> list[Claim]:
    """(W, a, η₁, η₂) -> (cW, a/c, c²η₁, η₂/c²): one trajectory of the function."""
    times, claims = np.array([0.1, 0.5, 2.0]), list[Claim]()
    outputs = _outputs(data, run, times)
    for c in _SCALES:
        progress(f"scaling symmetry: c = {c:g}")
        w0 = {"w": c * data.w0["w"], "a": data.w0["a"] / c}
        scaled = TwoLayerInstance(data.X, data.y, w0)
        other = _follow(scaled, (c**2, 1 / c**2), times, settings)
        gap = np.linalg.norm(_outputs(scaled, other, times) - outputs, axis=1)
        claims.append(
            Claim(
                f"scaling-c{c:g}",
                f"Scaling by c = {c:g}, (W, a, eta_1, eta_2) to (cW, a/c, c^2 eta_1, "
                "eta_2/c^2), leaves the trajectory of the predictions: largest "
                "distance over |y| to t = 2.",
                "Razborov 2022; derived",
                expected=0.0,
                measured=float(np.max(gap) / np.linalg.norm(data.y)),
                # Errors of two runs, grown along the flow.
                tolerance=100 * settings.law_rtol,
                kind="at_most",
            )
        )
    return claims


def _outputs(data: TwoLayerInstance, run: Trajectory, times: Any) -> Any:
    net = TwoLayerReLU(data.X.shape[1], len(data.w0["a"]))
    picks = [int(np.argmin(np.abs(run.ts - t))) for t in times]
    return np.array([net(trees.take(run.ws, k), jnp.asarray(data.X)) for k in picks])


def _balance() -> Claim:
    """E K₂ = (m/d) times a kernel of the size of E K₁."""
    width, num = 16, 200
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((_N, _D)), np.zeros(_N)
    problem = TwoLayerReLU(_D, width).problem(X, y, rates=(0.0, 1.0))
    traces: list[float] = []
    for _ in range(num):
        w = relu_init("lecun", X, y, width, rng=rng)
        traces.append(float(jnp.trace(tangent_kernel(problem, w))))
    expected = float(np.trace(relu_kernel_mean(X, width, rates=(0.0, 1.0))))
    # tr K₂ = Σ_j ‖σ(X w_j)‖², and E = (m/d) Σ‖x_i‖²/2.
    error = float(np.std(traces) / np.sqrt(num))
    mean = float(np.mean(traces))
    return Claim(
        "kernel-balance",
        f"The second layer's kernel grows like m/d: mean trace of K_2 over {num} LeCun "
        f"initializations, over (m/d) sum |x_i|^2/2, within three standard errors.",
        "derived: E relu(z)^2 = E z^2/2",
        expected=1.0,
        measured=mean / expected,
        tolerance=3 * error / expected,
        interval=((mean - 1.96 * error) / expected, (mean + 1.96 * error) / expected),
    )


def _curves(width: int, run: Trajectory) -> dict[str, Any]:
    values = run.invariants["neurons"]
    moved = np.linalg.norm(values - values[0], axis=1) / run.drift["neurons"].scale
    time = f"reference_time_{width}"
    return {
        f"reference_loss_{width}": (time, run.observed["loss"]),
        f"reference_drift_{width}": (time, moved),
        time: (time, run.ts),
    }


def _dataset(variables: dict[str, Any], settings: Settings) -> Any:
    import xarray

    coords = {k: v for k, v in variables.items() if k.startswith("reference_time")}
    rest = {k: v for k, v in variables.items() if k not in coords}
    return xarray.Dataset(rest, coords, {"law_rtol": settings.law_rtol})


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, right) = panels(2)
    for (width, losses), color in zip(_LOSSES.items(), COLORS, strict=False):
        t = dataset[f"reference_time_{width}"].values
        label, style = f"width {width}", {"color": color}
        left.plot(t[1:], dataset[f"reference_loss_{width}"][1:], label=label, **style)
        left.plot(list(losses), list(losses.values()), "x", color="black", zorder=3)
        drift = np.maximum(dataset[f"reference_drift_{width}"].values[1:], 1e-17)
        right.plot(t[1:], drift, label=label, **style)
    bound = dataset.attrs["law_rtol"]
    right.axhline(bound, color="gray", linestyle=":", label="bound of the claims")
    for ax in (left, right):
        ax.set(xscale="log", yscale="log", xlabel="time t")
        ax.legend()
    right.set_ylim(1e-5 * bound, 100 * bound)
    left.set(title="Is the flow through kinks the right one?", ylabel="loss L")
    right.set_title("Is each neuron's invariant kept?")
    right.set_ylabel("relative drift")
    return figure
