"""Part 4: gradient descent with two rates beside the flow."""

from typing import Any

import numpy as np

from ...invariants import relu_invariants
from ...models import TwoLayerInstance, TwoLayerReLU, two_layer_instance
from ...steppers import Comparison, compare, gradient_descent, iterate
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._statistics import order
from .._study import Figure, ReportProgress, StudyResult
from ._runs import flow
from ._settings import Settings

_T1, _N, _WIDTH = 0.5, 50, 8
_TIMES = np.linspace(0, _T1, 11)[1:]


def descent(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Distance to the flow and drift of the invariants, against the step size."""
    data = two_layer_instance(_N, settings.dim, _WIDTH, seed=seed)
    rates = (1.0, settings.descent_ratio)
    progress("gradient descent: the flow beside it")
    run = flow(
        data,
        rates,
        _T1,
        rtol=settings.law_rtol,
        save=Save.at(_TIMES),
        zero=0.0,
        max_steps=100_000,
    )
    runs = _steps(data, rates, settings, progress)
    comparison = compare(run, runs)
    drifts = np.array([steps.drift["neurons"].relative for steps in runs])
    return StudyResult(
        claims=_claims(settings, comparison, drifts),
        dataset=_dataset(comparison, drifts),
        figures=(figure(settings),),
        evidence={"flow for gradient descent": repr(run), "gap": repr(comparison)},
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "descent",
        f"Gradient descent with rates 1 and {settings.descent_ratio:g} on "
        f"n = {_N} Gaussian data, width {_WIDTH}, to "
        f"t = {_T1:g}. Left: distance of its parameters to those of the flow, "
        "which slides along kinks that the steps can only zigzag across. "
        "Right: drift of the invariants, which the flow keeps. Dotted lines "
        "have slope 1.",
        _draw,
    )


def _steps(
    data: TwoLayerInstance,
    rates: tuple[float, float],
    settings: Settings,
    progress: ReportProgress,
) -> list[Trajectory]:
    """Gradient descent at each step size."""
    net = TwoLayerReLU(settings.dim, _WIDTH)
    runs: list[Trajectory] = []
    for eta in settings.descent_etas:
        progress(f"gradient descent: eta = {eta:g}")
        steps = iterate(
            net.problem(data.X, data.y, rates=rates),
            gradient_descent(eta),
            data.w0,
            round(_T1 / eta),
            save=Save.at(_TIMES),
            invariants=relu_invariants(net, rates),
            throw=False,
            progress=False,
        )
        runs.append(steps)
    return runs


def _claims(
    settings: Settings, comparison: Comparison, drifts: Any
) -> tuple[Claim, ...]:
    gap_order = float("nan") if comparison.order is None else comparison.order
    return (
        Claim(
            "descent-order",
            f"Gradient descent with two rates departs from the flow, through {_N} x "
            f"{_WIDTH} kinks, at first order in eta: slope of log distance.",
            "Euler's method on a Filippov system; Dontchev, Lempio 1992",
            expected=1.0,
            measured=gap_order,
            # Where in a step a kink is crossed changes the constant from eta to eta.
            tolerance=0.25,
        ),
        Claim(
            "descent-invariant-order",
            "Gradient descent leaves the invariants at first order in eta: slope of "
            "log drift.",
            "derived: a step changes a_j^2/eta_2 - |w_j|^2/eta_1 by eta^2 terms",
            expected=1.0,
            measured=order(settings.descent_etas, drifts),
            tolerance=0.15,
        ),
    )


def _dataset(comparison: Comparison, drifts: Any) -> Any:
    import xarray

    return xarray.Dataset(
        {
            "descent_gap": ("eta", [gap.params[-1] for gap in comparison.gaps]),
            "descent_drift": ("eta", drifts),
        },
        coords={"eta": [gap.eta for gap in comparison.gaps]},
    )


def _draw(dataset: Any) -> Any:
    from ...plots import panels, plot_comparison

    figure, (left, right) = panels(2)
    etas = dataset.eta.values
    plot_comparison(etas, dataset["descent_gap"].values, left, label="steps", order=1.0)
    plot_comparison(
        etas, dataset["descent_drift"].values, right, label="steps", order=1.0
    )
    left.set_title("How far are the steps from the flow?")
    right.set(title="Do they keep the invariants?", ylabel="relative drift")
    return figure
