"""Part 5: rank two of leaky-ReLU nets on nearly orthogonal data.

f(x) = Σ_j a_j σ(w_jᵀ x), slopes g and 1, a_j = ±1/√m frozen, logistic loss. Once every
unit with a_j > 0 is on its steep side at the data with y = 1 only, and the others at
those with y = -1 only, all of a sign move alike: W tends to log t times

    w_± = ±(1/√m) Σ_i λ_i y_i s_i± x_i,    s_i± = 1 if y_i = ±1 else g              (1)

of rank two, with λ such that each margin y_i f(x_i) grows as log t: n linear equations.
That is the point at which all margins are 1 and W is stationary for the max-margin
problem.
"""

from typing import Any

import numpy as np
from jaxtyping import Float

from ..._simulate import simulate
from ...diagnostics import rank_stable
from ...flows import GradientFlow
from ...models import TwoLayerReLU
from ...problem import EmpiricalRisk, logistic_loss
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings

_SOURCE = "Frei, Vardi, Bartlett, Srebro, Hu 2023 (arXiv 2210.07082), theorem 3.2"
_T1 = 1e8


def leaky_relu(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """A leaky-ReLU net trained on nearly orthogonal data from a small start."""
    rng = np.random.default_rng(seed)
    n, width, slope = settings.leaky_samples, settings.leaky_width, settings.leaky_slope
    dim = 2 * n
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    # Of different lengths, and with inner products that the theorem allows.
    lengths = np.linspace(1.0, 1.5, n)[:, None]
    share = 0.015 * slope**2 / n
    x = lengths * (np.eye(n, dim) + share * rng.standard_normal((n, dim)))
    net = TwoLayerReLU(dim, width, slopes=(slope, 1.0))
    a = np.where(np.arange(width) < width // 2, 1.0, -1.0) / width**0.5
    w0 = {"w": settings.leaky_scale * rng.standard_normal((width, dim)), "a": a}
    progress("leaky ReLU: flow")
    run = _flow(net, x, y, w0, settings.leaky_scale)
    limit = max_margin(x, y, a, slope)
    ws = np.asarray(run.ws["w"])
    values = np.linalg.svd(ws, compute_uv=False)
    late = 3 * len(ws) // 4
    grown = (ws[-1] - ws[late]) / np.log(run.ts[-1] / run.ts[late])
    off = float(np.linalg.norm(grown - limit) / np.linalg.norm(limit))
    return StudyResult(
        claims=(
            _data_claim(x, slope),
            *_rank_claims(settings, values[-1], float(rank_stable(ws[-1]))),
            _limit_claim(off),
        ),
        dataset=_dataset(run, ws, values, limit),
        figures=(figure(settings),),
        evidence={"leaky ReLU": repr(run)},
    )


def _flow(
    net: TwoLayerReLU, x: np.ndarray, y: np.ndarray, w0: Any, scale: float
) -> Trajectory:
    return simulate(
        EmpiricalRisk(net, x, y, criterion=logistic_loss, rates={"w": 1.0, "a": 0.0}),
        GradientFlow(),
        w0,
        _T1,
        rtol=1e-8,
        atol=1e-3 * scale * 1e-6,
        save=Save.log(num=60, first=1e-3),
        observables={"margins": lambda t, w, p: p.targets * net(w, p.inputs)},
        progress=False,
    )


def max_margin(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    a: Float[np.ndarray, " m"],
    slope: float,
) -> Float[np.ndarray, "m d"]:
    """The weights of (1), with all margins 1."""
    plus, minus = np.where(y > 0, 1.0, slope), np.where(y > 0, slope, 1.0)
    units = len(a) / 2 * np.mean(a**2)
    gram = (x @ x.T) * np.outer(y, y) * (np.outer(plus, plus) + np.outer(minus, minus))
    weights = np.linalg.solve(units * gram, np.ones(len(y)))
    signs = np.where(a[:, None] > 0, plus, minus)
    return a[:, None] * ((signs * weights * y) @ x)


def _orthogonality(x: np.ndarray, slope: float) -> float:
    """The least |x_i|² over what the theorem asks of it; ≥ 1 if it applies."""
    gram, n = x @ x.T, len(x)
    squares = np.diag(gram)
    off = np.max(np.abs(gram - np.diag(squares)))
    ratio = np.max(squares) / np.min(squares)
    return float(np.min(squares) / (5 / slope**2 * ratio * n * off))


def _data_claim(x: np.ndarray, slope: float) -> Claim:
    return Claim(
        "leaky-data",
        "The data are nearly orthogonal in the sense of the theorem: least |x|^2 over "
        "5 n max|<x, x'>| R^2/g^2, R^2 the ratio of the largest |x|^2 to the least.",
        _SOURCE,
        expected=1.0,
        measured=_orthogonality(x, slope),
        kind="at_least",
    )


def _rank_claims(
    settings: Settings, values: np.ndarray, stable: float
) -> tuple[Claim, Claim]:
    return (
        Claim(
            "leaky-rank",
            "The first layer has rank two in the end: third singular value over the "
            "largest. Tolerance: what is left of the initial weights, which only grow "
            "by what all units of a sign share.",
            _SOURCE,
            expected=0.0,
            measured=float(values[2] / values[0]),
            tolerance=10 * settings.leaky_scale,
            kind="at_most",
        ),
        Claim(
            "leaky-stable-rank",
            "Its stable rank is at most two.",
            _SOURCE,
            expected=2.0,
            measured=stable,
            kind="at_most",
        ),
    )


def _limit_claim(off: float) -> Claim:
    return Claim(
        "leaky-limit",
        "Over log t, the weights grow by the max-margin weights: relative distance, "
        f"over the last quarter of the times, to {_T1:g}. Tolerance: the margins "
        "differ from log t by a constant up to O(1/t).",
        _SOURCE + "; weights derived from its stationarity",
        expected=0.0,
        measured=off,
        tolerance=1e-3,
        kind="at_most",
    )


def _dataset(run: Any, ws: Any, values: Any, limit: Any) -> Any:
    import xarray

    def unit(w: np.ndarray) -> np.ndarray:
        return w / np.linalg.norm(w, axis=(-2, -1), keepdims=True)

    distance = np.linalg.norm(unit(ws) - unit(limit), axis=(-2, -1))
    return xarray.Dataset(
        {
            "leaky_values": (("leaky_time", "leaky_index"), values[1:]),
            "leaky_distance": ("leaky_time", distance[1:]),
            "leaky_margins": (
                ("leaky_time", "leaky_datum"),
                run.observed["margins"][1:],
            ),
        },
        coords={"leaky_time": run.ts[1:]},
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "leaky-relu",
        "Left: the four largest singular values of the first layer, over the largest, "
        f"along the flow from weights of size {settings.leaky_scale:g}. Right: "
        "distance between the direction of the weights and the rank-two limit; dotted: "
        "1/log t.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import label_ticks, panels

    figure, (left, right) = panels(2)
    values = dataset["leaky_values"].values[:, :4]
    for k, name in enumerate(("first", "second", "third", "fourth")):
        left.plot(dataset.leaky_time, values[:, k] / values[:, 0], label=name)
    left.set(xscale="log", yscale="log", xlabel="time t")
    left.set_ylabel("singular value over the first")
    left.set_title("How many dimensions stay?")
    left.legend()
    late = dataset.leaky_time.values > 10
    log_t = np.log(dataset.leaky_time.values[late])
    distance = dataset["leaky_distance"].values[late]
    right.plot(log_t, distance)
    right.plot(log_t, distance[-1] * log_t[-1] / log_t, ":", color="black")
    right.set(xscale="log", yscale="log", xlabel="log t", ylabel="distance to limit")
    label_ticks(right, (3, 5, 10, 18))
    right.set_title("Is the limit the max-margin one?")
    return figure
