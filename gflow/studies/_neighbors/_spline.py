"""Part 7: one-dimensional ReLU nets with a random first layer are smoothing splines.

Weight decay (μ/2)‖a‖² on ½ Σ (f(x_i) - y_i)², output weights a and a line trained: for
infinitely many units the end is the least Σ (f - y)² + μ ∫ f''², a cubic smoothing
spline, and m random ones leave it by m^(-1/2).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..._simulate import simulate
from ...flows import GradientFlow
from ...models import RandomReLU1D, smoothing_spline
from ...problem import EmpiricalRisk
from ...solvers import BDF
from ...trajectory import Save, Stationary, Trajectory
from .._claim import Claim
from .._statistics import worst
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings
from ._shared import draw_powers, width_claim

_SOURCE = "Heiss, Teichmann, Wutte 2019 (arXiv 1911.02903), part I"
_NOISE, _NUM_SAMPLES = 0.2, 12


def spline(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Output weights trained with weight decay, against the smoothing spline."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-0.9, 0.9, _NUM_SAMPLES)
    y = np.sin(4 * x) + _NOISE * rng.standard_normal(x.size)
    at, data = np.linspace(-1.0, 1.0, 201), (jnp.asarray(x), jnp.asarray(y))
    mu = settings.spline_decay
    smooth = smoothing_spline(x, y, mu / x.size)(at)
    keys = jax.random.split(jax.random.key(seed), settings.spline_seeds)
    errors = np.zeros((len(settings.spline_widths), len(keys)))
    for k, width in enumerate(settings.spline_widths):
        progress(f"spline: nets of width {width}")
        for i, key in enumerate(keys):
            net = RandomReLU1D(width, key=key)
            gap = np.asarray(net(net.ridge(*data, mu), jnp.asarray(at))) - smooth
            errors[k, i] = np.sqrt(np.mean(gap**2))
    evidence: dict[str, str] = {}
    off: list[float] = []
    curves: list[np.ndarray] = []
    for width in settings.spline_flow_widths:
        progress(f"spline: flow of width {width}")
        net = RandomReLU1D(width, key=keys[0])
        run = _train(net, x, y, mu)
        evidence[f"spline, width {width}"] = repr(run)
        curves.append(np.asarray(net(run.w1, jnp.asarray(at))))
        exact = np.asarray(net(net.ridge(*data, mu), jnp.asarray(at)))
        off.append(float(np.max(np.abs(curves[-1] - exact))))
    return StudyResult(
        claims=_claims(settings, errors, worst(off)),
        dataset=_dataset(settings, errors, (x, y), at, smooth, curves),
        figures=(figure(settings),),
        evidence=evidence,
    )


def _train(net: RandomReLU1D, x: np.ndarray, y: np.ndarray, mu: float) -> Trajectory:
    def decay(w: Any) -> Any:
        return 0.5 * mu * jnp.sum(w["a"] ** 2)

    return simulate(
        EmpiricalRisk(net, x, y, penalty=decay),
        GradientFlow(),
        net.init(),
        1e3 / mu,
        rtol=1e-8,
        atol=1e-10,
        solver=BDF(),
        stops=(Stationary(1e-9),),
        save=Save.log(num=20),
        progress=False,
    )


def _claims(settings: Settings, errors: np.ndarray, off: float) -> tuple[Claim, ...]:
    return (
        Claim(
            "spline-flow",
            "The flow with weight decay ends at the solution of the normal equations: "
            "largest distance of the functions. Tolerance: what gradients of 1e-9 of "
            "the first one leave.",
            "linear in the weights trained",
            expected=0.0,
            measured=off,
            tolerance=1e-5,
            kind="at_most",
        ),
        width_claim(
            "spline-width",
            "A random first layer makes it the cubic smoothing spline as the width m "
            "grows, at the rate m^(-1/2) of a mean of m",
            _SOURCE,
            settings.spline_widths,
            errors,
        ),
    )


def _dataset(
    settings: Settings, errors: Any, data: Any, at: Any, smooth: Any, curves: Any
) -> Any:
    import xarray

    return xarray.Dataset(
        {
            "spline_error": (("spline_width", "spline_draw"), errors),
            "spline_y": ("spline_x", data[1]),
            "spline_smooth": ("spline_at", smooth),
            "spline_flow": (("spline_flow_width", "spline_at"), np.array(curves)),
        },
        coords={
            "spline_width": list(settings.spline_widths),
            "spline_flow_width": list(settings.spline_flow_widths),
            "spline_x": data[0],
            "spline_at": at,
        },
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "spline",
        f"Left: the function that gradient flow with weight decay "
        f"{settings.spline_decay:g} on the output weights ends at, and the cubic "
        "smoothing spline of that parameter. Right: root mean square distance of the "
        "spline and the flow's end, by the normal equations, on [-1, 1], mean over "
        "draws of the first layer; dotted: slope -1/2.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, right) = panels(2)
    at = dataset.spline_at
    left.plot(dataset.spline_x, dataset["spline_y"], "o", color="black", label="data")
    for width, color in zip(dataset.spline_flow_width.values, COLORS[1:], strict=False):
        flow = dataset["spline_flow"].sel(spline_flow_width=width)
        left.plot(at, flow, color=color, label=f"flow, {width} units")
    left.plot(at, dataset["spline_smooth"], "--", label="smoothing spline")
    left.set(xlabel="input x", ylabel="output f(x)", title="Which function is learned?")
    # Room above the curves for the legend.
    low, high = left.get_ylim()
    left.set_ylim(low, high + 0.5 * (high - low))
    left.legend()
    error = dataset["spline_error"].mean("spline_draw")
    draw_powers(right, dataset.spline_width, error, "mean distance", COLORS[0], -0.5)
    right.set(xlabel="units m", ylabel="distance to the smoothing spline")
    right.set_title("How wide must the net be?")
    return figure
