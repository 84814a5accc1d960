"""Part 10: weight decay and balancedness.

W_3 W_2 W_1 a linear net, D_l = W_{l+1}ᵀ W_{l+1} - W_l W_lᵀ. The gradient of any loss of
the product keeps D_l; decay (λ/2)‖W‖² adds -λ W_l to each velocity and -2λ D_l to
dD_l/dt. So D_l(t) = e^(-2λt) D_l(0), whatever the loss does.
"""

import itertools
from typing import Any

import diffrax
import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._simulate import simulate
from ...flows import GradientFlow
from ...problem import EmpiricalRisk
from ...steppers import gradient_descent, iterate
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._statistics import order, worst
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings
from ._shared import draw_powers

_SOURCE = "derived; Du, Hu, Lee 2018 (arXiv 1806.00900) without decay"
_WIDTHS = (4, 5, 5, 3)
_T1, _N = 10.0, 20
_ETAS = (0.02, 0.01, 0.005)


class _Decay(eqx.Module):
    """(λ/2)‖w‖², with λ an array: another one does not compile anew."""

    rate: Float[Array, ""]

    def __call__(self, w: Any) -> Any:
        return self.rate / 2 * sum(jnp.sum(layer**2) for layer in w)


def _net(w: Any, x: Any) -> Any:
    return x @ w[0].T @ w[1].T @ w[2].T


def _mean_square(predictions: Any, targets: Any) -> Any:
    return 0.5 * jnp.sum((predictions - targets) ** 2) / _N


def _imbalance(t: Any, w: Any, problem: Any) -> Any:
    del t, problem
    pairs = itertools.pairwise(w)
    return jnp.stack([above.T @ above - below @ below.T for below, above in pairs])


def weight_decay(
    settings: Settings, seed: int, progress: ReportProgress
) -> StudyResult:
    """Imbalance of a linear net along flows with decay, and along gradient descent."""
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((_N, _WIDTHS[0]))
    targets = inputs @ rng.standard_normal((_WIDTHS[0], _WIDTHS[-1]))
    w0 = [
        jnp.asarray(rng.standard_normal((b, a))) / a**0.5
        for a, b in itertools.pairwise(_WIDTHS)
    ]

    def problem(rate: float) -> EmpiricalRisk:
        decay = _Decay(jnp.asarray(rate))
        return EmpiricalRisk(
            _net, inputs, targets, criterion=_mean_square, penalty=decay
        )

    runs: list[Trajectory] = []
    for rate in settings.decay_rates:
        progress(f"weight decay: lambda = {rate:g}")
        runs.append(_flow(problem(rate), w0))
    rate = settings.decay_rates[0]
    gaps: list[float] = []
    for eta in _ETAS:
        progress(f"weight decay: gradient descent, eta = {eta:g}")
        gaps.append(_departure(problem(rate), w0, eta, rate))
    rates = list(zip(runs, settings.decay_rates, strict=True))
    return StudyResult(
        claims=_claims(settings, [_error(run, rate) for run, rate in rates], gaps),
        dataset=_dataset(settings, runs, gaps),
        figures=(figure(),),
        evidence={f"weight decay {rate:g}": repr(run) for run, rate in rates},
    )


def _flow(problem: EmpiricalRisk, w0: Any) -> Trajectory:
    return simulate(
        problem,
        GradientFlow(),
        w0,
        _T1,
        rtol=1e-10,
        atol=1e-13,
        solver=diffrax.Tsit5(),
        save=Save.at(np.linspace(0.0, _T1, 41)[1:]),
        observables={"imbalance": _imbalance},
        progress=False,
    )


def _departure(problem: EmpiricalRisk, w0: Any, eta: float, rate: float) -> float:
    steps = iterate(
        problem,
        gradient_descent(eta),
        w0,
        round(_T1 / eta),
        save=Save.at([_T1]),
        observables={"imbalance": _imbalance},
        progress=False,
    )
    found = steps.observed["imbalance"]
    gap = found[-1] - found[0] * np.exp(-2 * rate * _T1)
    return float(np.linalg.norm(gap) / np.linalg.norm(found[0]))


def _error(run: Trajectory, rate: float) -> float:
    """Largest relative distance of D(t) e^(2λt) from D(0)."""
    found = run.observed["imbalance"] * np.exp(2 * rate * run.ts)[:, None, None, None]
    gap = np.sqrt(np.sum((found - found[0]) ** 2, axis=(1, 2, 3)))
    return float(np.max(gap) / np.linalg.norm(found[0]))


def _claims(
    settings: Settings, errors: list[float], gaps: list[float]
) -> tuple[Claim, ...]:
    return (
        Claim(
            "decay-exact",
            "Under weight decay lambda the imbalance of the layers is e^(-2 lambda t) "
            f"times the initial one: largest relative error of D e^(2 lambda t), for "
            f"lambda = {', '.join(f'{rate:g}' for rate in settings.decay_rates)}, at "
            "rtol 1e-10.",
            _SOURCE,
            expected=0.0,
            measured=worst(errors),
            tolerance=1e-5,
            kind="at_most",
        ),
        Claim(
            "decay-descent",
            "Gradient descent departs from that law at first order in eta.",
            "derived: dD = eta^2 times squares of gradients, a step",
            expected=1.0,
            measured=order(_ETAS, np.array(gaps)),
            tolerance=0.1,
        ),
    )


def _dataset(settings: Settings, runs: list[Trajectory], gaps: list[float]) -> Any:
    import xarray

    sizes = [
        np.sqrt(np.sum(run.observed["imbalance"] ** 2, axis=(1, 2, 3))) for run in runs
    ]
    return xarray.Dataset(
        {
            "decay_imbalance": (
                ("decay_rate", "decay_time"),
                np.array([size / size[0] for size in sizes]),
            ),
            "decay_gap": ("decay_eta", gaps),
        },
        coords={
            "decay_rate": list(settings.decay_rates),
            "decay_time": runs[0].ts,
            "decay_eta": list(_ETAS),
        },
    )


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "weight-decay",
        "Left: imbalance of the layers of a linear net, over the initial one, along "
        "the flow with weight decay; dotted: e^(-2 lambda t). Right: how far gradient "
        f"descent departs from that at t = {_T1:g}, at the first lambda; dotted: slope "
        "1.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, right) = panels(2)
    t = dataset.decay_time.values
    for rate, color in zip(dataset.decay_rate.values, COLORS, strict=False):
        size = dataset["decay_imbalance"].sel(decay_rate=rate)
        left.plot(t, size, color=color, label=f"λ = {rate:g}")
        left.plot(t, np.exp(-2 * rate * t), ":", color="black", linewidth=1.0)
    left.set(yscale="log", xlabel="time t", ylabel="imbalance over initial")
    left.set_title("Does weight decay balance the layers?")
    left.legend()
    draw_powers(right, dataset.decay_eta, dataset["decay_gap"], "descent", COLORS[0], 1)
    right.set(xlabel="step size η", ylabel="departure over initial imbalance")
    right.set_title("Does gradient descent do so too?")
    return figure
