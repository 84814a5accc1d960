"""Part 3: which l1 minimizer a diagonal net selects where there are many.

From w0 = α the flow of depth L ends at the interpolator of least potential; for x ≥ 0
that is Σ x log(x/α²) - x at L = 2 and Σ α^(2-L) x - (L/2) x^(2/L) at L ≥ 3. For α → 0
the first term is Σ x: an l1 minimizer. Among these the rest selects

    L = 2: the most Σ -x log x      L ≥ 3: the most Σ x^(2/L)                      (1)

On the instance below the minimizers are a segment x = p + c q; the derivative of (1)
along q vanishes at one c. The fourth column lies strictly inside: its x is
α^2 e^(log(1/α²)/2) = α at L = 2, and 2^(L/(L-2)) α^L at L ≥ 3, and tells the distance.

The second term is α^(L-2) of the first: errors of the flow in the weights, and rounding
in the minimizer of the potential, move x along the segment by α^(2-L) times as much.
"""

from typing import Any

import diffrax
import numpy as np
from jaxtyping import Float

from ..._simulate import simulate
from ...flows import GradientFlow
from ...models import DiagonalNet, diagonal_limit
from ...trajectory import LossBelow, Save, Trajectory
from .._claim import Claim
from .._statistics import order
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings
from ._shared import draw_powers

_A = np.array([[1.0, 1.0, 1.0, 0.5], [0.0, 1.0, 5.0, 1.0]])
_Y = np.array([1.0, 1.2])
_RTOL = 1e-8
# What errors of the flow may come to, and rounding of the potential's minimizer.
_MOST_MOVED, _ROUNDING = 1e-5, float(np.finfo(float).eps)
_SOURCE = "Wind, Antun, Hansen 2023 (arXiv 2307.07410); derived here"


def selected(depth: int) -> Float[np.ndarray, " 4"]:
    """The solution of (1) on the instance, by bisection."""
    p, q = np.array([-0.2, 1.2, 0.0]), np.array([4.0, -5.0, 1.0])

    def slope(c: float) -> float:
        x = p + c * q
        return float(-q @ (np.log(x) if depth == 2 else -(x ** (2 / depth - 1))))

    low, high = 0.05, 0.24
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return np.append(p + (low + high) / 2 * q, 0.0)


def sharp_limits(settings: Settings, progress: ReportProgress) -> StudyResult:
    """Limits at ever smaller alpha against the selected minimizer, and one flow.

    Those count that rounding lets differ from the minimizer, and the flow starts from
    the least alpha that its tolerance allows, or from the largest there is.
    """
    depths, alphas = settings.sharp_depths, settings.sharp_alphas
    chosen = np.array([selected(depth) for depth in depths])
    errors = np.zeros((len(depths), len(alphas)))
    ends = np.zeros((len(depths), 4))
    claims: list[Claim] = []
    evidence: dict[str, str] = {}
    for i, depth in enumerate(depths):
        progress(f"sharp limits: depth {depth}")
        net = DiagonalNet(4, depth, signed=True)
        limits = [
            np.asarray(diagonal_limit(net, _A, _Y, net.init(alpha)).x)
            for alpha in alphas
        ]
        errors[i] = [np.linalg.norm(x - chosen[i]) for x in limits]
        moved = np.array([alpha ** (2.0 - depth) for alpha in alphas])
        least = max(int(np.sum(_RTOL * moved <= _MOST_MOVED)) - 1, 0)
        run = _flow(net, alphas[least])
        evidence[f"sharp limits, depth {depth}"] = repr(run)
        ends[i] = np.asarray(net.effective(run.w1))
        off = float(np.linalg.norm(ends[i] - limits[least]))
        counted = errors[i] > _ROUNDING * moved
        slope = order(np.asarray(alphas)[counted], errors[i, counted])
        claims += _claims(depth, slope, off, alphas[least])
    return StudyResult(
        claims=(*claims, _own(ends, chosen)),
        dataset=_dataset(settings, errors, ends, chosen),
        figures=(figure(),),
        evidence=evidence,
    )


def _flow(net: DiagonalNet, alpha: float) -> Trajectory:
    return simulate(
        net.problem(_A, _Y),
        GradientFlow(),
        net.init(alpha),
        1e8,
        rtol=_RTOL,
        atol=1e-14,
        solver=diffrax.Kvaerno5(),
        stops=(LossBelow(1e-22),),
        save=Save.log(num=40),
        progress=False,
    )


def _claims(depth: int, slope: float, off: float, alpha: float) -> list[Claim]:
    exponent = 1 if depth == 2 else depth
    return [
        Claim(
            f"sharp-order-{depth}",
            f"Depth {depth}: the limit tends to the selected l1 minimizer as "
            f"alpha^{exponent}. Tolerance: the next term at the largest alpha.",
            _SOURCE,
            expected=exponent,
            measured=slope,
            tolerance=0.05,
            kind="relative",
        ),
        Claim(
            f"sharp-flow-{depth}",
            f"Depth {depth}: the flow from alpha = {alpha:g} ends at the limit that "
            "its invariants predict: distance, at loss 1e-22. Tolerance: ten times the "
            f"flow's, {_RTOL:g}, as the segment magnifies it, alpha^(2-L).",
            "derived: dual of the potential that the flow minimizes",
            expected=0.0,
            measured=off,
            tolerance=10 * _RTOL * alpha ** (2.0 - depth),
            kind="at_most",
        ),
    ]


def _own(ends: np.ndarray, chosen: np.ndarray) -> Claim:
    between = np.linalg.norm(ends[:, None] - chosen[None], axis=-1)
    return Claim(
        "sharp-own",
        "Each of these flows ends nearest to the minimizer that its own depth selects: "
        "depths for which it does.",
        _SOURCE,
        expected=len(ends),
        measured=float(np.sum(np.argmin(between, axis=1) == np.arange(len(ends)))),
    )


def _dataset(settings: Settings, errors: Any, ends: Any, chosen: Any) -> Any:
    import xarray

    return xarray.Dataset(
        {
            "sharp_error": (("sharp_depth", "sharp_alpha"), errors),
            "sharp_end": (("sharp_depth", "sharp_entry"), ends),
            "sharp_selected": (("sharp_depth", "sharp_entry"), chosen),
        },
        coords={
            "sharp_depth": list(settings.sharp_depths),
            "sharp_alpha": list(settings.sharp_alphas),
        },
    )


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "sharp",
        "Four unknowns, two equations, a segment of l1 minimizers. Left: distance of "
        "the flow's limit to the minimizer that theory selects, against the initial "
        "scale; dotted: slope 1 at depth 2, L at depth L; a point far above its line "
        "is rounding's. Right: third entry of the minimizer selected (line), and at "
        "the end of a flow (points), against depth.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, right) = panels(2)
    depths = dataset.sharp_depth.values
    for depth, color in zip(depths, COLORS, strict=False):
        error = dataset["sharp_error"].sel(sharp_depth=depth)
        exponent = 1 if depth == 2 else int(depth)
        draw_powers(left, dataset.sharp_alpha, error, f"depth {depth}", color, exponent)
    left.set(xlabel="initial scale α", ylabel="distance to the selected minimizer")
    left.set_title("How soon is the choice made?")
    left.legend()
    every = np.arange(2, 13)
    third = [selected(int(depth))[2] for depth in every]
    right.plot(every, third, color="black", label="theory, α → 0")
    end = dataset["sharp_end"].isel(sharp_entry=2)
    right.plot(depths, end, "o", label="end of the flow")
    right.set(xlabel="depth L", ylabel="third entry of x")
    right.set_title("Which minimizer does each depth select?")
    right.legend()
    return figure
