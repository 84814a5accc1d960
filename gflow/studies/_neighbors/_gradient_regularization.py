"""Part 1: implicit gradient regularization.

Gradient descent of step η follows the flow of its modified equation: to order 0 that of
L, to order 1 that of L + (η/4)‖∇L‖², and the flow of order r it leaves as η^(r+1).
"""

from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np

from ... import _trees as trees
from ..._simulate import simulate
from ...flows import Flow, GradientFlow, ModifiedFlow
from ...problem import Objective, Problem
from ...steppers import gradient_descent, iterate
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._statistics import order
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings
from ._shared import draw_powers

_ORDERS = (0, 1, 2)
# |GD - flow| at t = 1 for each order, computed once with another integrator.
_ERRORS = {
    0.04: (3.614e-3, 2.512e-4, 2.757e-5),
    0.02: (1.780e-3, 6.335e-5, 3.507e-6),
    0.01: (8.835e-4, 1.593e-5, 4.424e-7),
    0.005: (4.402e-4, 3.997e-6, 5.557e-8),
}
_SOURCE = "Barrett, Dherin 2021 (arXiv 2009.11162), theorem 3.1; backward error"


def _loss(w: Any) -> Any:
    return 0.5 * (w["x"] ** 2 * w["y"] - 1) ** 2 + (w["x"] - w["y"]) ** 4 / 10


def gradient_regularization(
    settings: Settings, progress: ReportProgress
) -> StudyResult:
    """How far gradient descent ends from flows that model it to orders 0, 1, 2."""
    problem = Objective(_loss)
    w0 = {"x": jnp.array(1.3), "y": jnp.array(0.4)}
    errors = np.zeros((len(_ORDERS), len(settings.igr_etas)))
    evidence: dict[str, str] = {}
    for k, eta in enumerate(settings.igr_etas):
        progress(f"gradient regularization: eta = {eta:g}")
        descent = iterate(
            problem, gradient_descent(eta), w0, round(1 / eta), progress=False
        )
        for r in _ORDERS:
            flow = _flow(problem, ModifiedFlow(eta, order=r), w0)
            errors[r, k] = _distance(flow, descent)
            evidence[f"modified flow, order {r}, eta {eta:g}"] = repr(flow)
    progress("gradient regularization: flow of L + eta/4 |grad L|^2")
    eta = settings.igr_etas[0]
    penalized = _flow(_penalized(problem, eta), GradientFlow(), w0)
    same = _distance(penalized, _flow(problem, ModifiedFlow(eta, order=1), w0))
    evidence["gradient flow of the regularized loss"] = repr(penalized)
    return StudyResult(
        claims=(*_claims(settings, errors), _same(eta, same)),
        dataset=_dataset(settings, errors),
        figures=(figure(),),
        evidence=evidence,
    )


def _flow(problem: Problem, law: Flow, w0: Any) -> Trajectory:
    # Far below the smallest of the differences, 5e-8.
    return simulate(
        problem,
        law,
        w0,
        1.0,
        rtol=1e-11,
        atol=1e-13,
        solver=diffrax.Dopri8(),
        save=Save.at([1.0]),
        progress=False,
    )


def _penalized(problem: Objective, eta: float) -> Objective:
    def loss(w: Any) -> Any:
        grad = problem.grad(w)
        return problem.loss(w) + eta / 4 * trees.inner(grad, grad)

    return Objective(loss)


def _distance(a: Trajectory, b: Trajectory) -> float:
    return float(np.hypot(a.w1["x"] - b.w1["x"], a.w1["y"] - b.w1["y"]))


def _same(eta: float, distance: float) -> Claim:
    return Claim(
        "igr-penalty",
        "The modified equation of first order is gradient flow on "
        f"L + (eta/4)|grad L|^2: distance at t = 1, eta = {eta:g}.",
        _SOURCE,
        expected=0.0,
        measured=distance,
        tolerance=1e-9,
        kind="at_most",
    )


def _claims(settings: Settings, errors: np.ndarray) -> tuple[Claim, ...]:
    claims = [
        Claim(
            f"igr-{r}-eta-{eta:g}",
            f"Distance of gradient descent, eta = {eta:g}, from the flow of order {r}, "
            "at t = 1 from (1.3, 0.4). Tolerance: half a unit of the fourth digit.",
            "computed once with another integrator",
            expected=_ERRORS[eta][r],
            measured=errors[r, k],
            tolerance=5e-4,
            kind="relative",
        )
        for r in _ORDERS
        for k, eta in enumerate(settings.igr_etas)
        if eta in _ERRORS
    ]
    claims += [
        Claim(
            f"igr-order-{r}",
            f"Gradient descent departs from the flow of order {r} as eta^{r + 1}. "
            "Tolerance: the next term of the series, at these eta.",
            _SOURCE,
            expected=r + 1.0,
            measured=order(settings.igr_etas, errors[r]),
            tolerance=0.05,
        )
        for r in _ORDERS
    ]
    return tuple(claims)


def _dataset(settings: Settings, errors: np.ndarray) -> Any:
    import xarray

    return xarray.Dataset(
        {"igr_error": (("igr_order", "igr_eta"), errors)},
        coords={"igr_order": list(_ORDERS), "igr_eta": list(settings.igr_etas)},
    )


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "igr",
        "Distance at t = 1 between gradient descent and the flow of each order of its "
        "modified equation, against the step size eta; two parameters. Order 1 is "
        "gradient flow on L + (eta/4)|grad L|^2. The dotted lines have slopes 1, 2, 3.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (ax,) = panels(1)
    for r in dataset.igr_order.values.tolist():
        error = dataset["igr_error"].sel(igr_order=r)
        label = f"order {r}" + (": gradient flow" if r == 0 else "")
        draw_powers(ax, dataset.igr_eta, error, label, COLORS[r], r + 1)
    ax.set(xlabel="step size η", ylabel="distance at t = 1")
    ax.set_title("Which flow does gradient descent follow?")
    ax.legend()
    return figure
