"""Part 6: one neuron learned by a ReLU net.

Data x_i with y_i = σ(vᵀ x_i), |v| = 1, all on the neuron's steep side; balanced weights
|w_j| = |a_j|, which the flow conserves. Units with a_j > 0 turn to v as they grow, and
those with a_j < 0 stay small: for an initial size α the first layer ends with singular
values in the ratio O(α), and with a squared norm of |v| + O(α²), the least of any net
that fits.
"""

from typing import Any

import numpy as np

from ..._simulate import simulate
from ...flows import GradientFlow
from ...invariants import relu_invariants
from ...models import TwoLayerReLU
from ...problem import Problem
from ...trajectory import LossBelow, Save, Trajectory
from .._claim import Claim
from .._statistics import order, worst
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings
from ._shared import draw_powers

_SOURCE = "Chistikov, Englert, Lazić 2023 (arXiv 2306.06479), theorem 4"
_LOSS = 1e-18


def one_neuron(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Square loss on one neuron's outputs, from ever smaller balanced weights."""
    rng = np.random.default_rng(seed)
    dim, width = settings.neuron_dim, settings.neuron_width
    teacher = np.eye(dim)[0]
    x = 0.3 * rng.standard_normal((dim, dim))
    x[:, 0] = 1.0
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    net = TwoLayerReLU(dim, width)
    problem = net.problem(x, np.maximum(x @ teacher, 0.0))
    directions = rng.standard_normal((width, dim)) / dim**0.5
    signs = np.where(np.arange(width) % 2 == 0, 1.0, -1.0)
    evidence: dict[str, str] = {}
    found = np.zeros((len(settings.neuron_scales), 5))
    for k, scale in enumerate(settings.neuron_scales):
        progress(f"one neuron: initial scale {scale:g}")
        hidden = scale * directions
        w0 = {"w": hidden, "a": signs * np.linalg.norm(hidden, axis=1)}
        run = _flow(net, problem, w0, scale)
        evidence[f"one neuron, scale {scale:g}"] = repr(run)
        found[k] = _measured(run, teacher)
    return StudyResult(
        claims=_claims(settings, found, np.linalg.svd(x, compute_uv=False)[-1]),
        dataset=_dataset(settings, found),
        figures=(figure(settings),),
        evidence=evidence,
    )


def _flow(net: TwoLayerReLU, problem: Problem, w0: Any, scale: float) -> Trajectory:
    return simulate(
        problem,
        GradientFlow(),
        w0,
        1e6,
        rtol=1e-8,
        atol=1e-11 * scale,
        save=Save.log(num=60, first=0.1),
        stops=(LossBelow(_LOSS),),
        invariants=relu_invariants(net),
        throw=False,
        progress=False,
    )


def _measured(run: Trajectory, teacher: np.ndarray) -> tuple[float, ...]:
    """Second singular value, squared norm less 1, error, what may be left, drift."""
    if not run.result.ok:
        return (float("nan"),) * 5
    w, a = np.asarray(run.w1["w"]), np.asarray(run.w1["a"])
    values = np.linalg.svd(w, compute_uv=False)
    # Once learned, the units with a > 0 are active on all data. Of the others some stay
    # active, as small as they were at the start or smaller.
    neuron = a[a > 0] @ w[a > 0]
    others = np.asarray(run.w0["a"])[a < 0]
    return (
        float(values[1] / values[0]),
        float(np.sum(w**2) - 1),
        float(np.linalg.norm(neuron - teacher)),
        # Balanced: |w_j| = |a_j|.
        float(np.sum(others**2)),
        worst([drift.relative for drift in run.drift.values()]),
    )


def _claims(settings: Settings, found: np.ndarray, least: float) -> tuple[Claim, ...]:
    scales, (rank, excess, error, left, drift) = settings.neuron_scales, found.T
    return (
        *_small_claims(order(scales, rank), order(scales, np.abs(excess))),
        Claim(
            "neuron-learnt",
            "The units with a > 0 add up to the teacher, but for what those with a < 0 "
            "leave, which only shrink: largest distance, over the sum of |a_j w_j| of "
            f"these at the start (and 2 sqrt(2 L)/s at the loss L = {_LOSS:g} of the "
            "end, s the least singular value of the data).",
            _SOURCE + "; the remainder derived",
            expected=1.0,
            measured=float(np.max(error / (left + 2 * (2 * _LOSS) ** 0.5 / least))),
            kind="at_most",
        ),
        Claim(
            "neuron-balance",
            "a_j^2 - |w_j|^2 is conserved through all kinks: largest relative drift.",
            "Du, Hu, Lee 2018 (arXiv 1806.00900), theorem 2.1",
            expected=0.0,
            measured=float(np.max(drift)),
            tolerance=1e-6,
            kind="at_most",
        ),
    )


def _small_claims(rank: float, excess: float) -> tuple[Claim, Claim]:
    return (
        Claim(
            "neuron-rank",
            "The net has rank one at the end, for small initial weights: the second "
            "singular value over the first falls in proportion to them, fitted power.",
            _SOURCE,
            expected=1.0,
            measured=rank,
            tolerance=0.1,
        ),
        Claim(
            "neuron-norm",
            "Its squared norm tends to the teacher's norm, 1, the least of any net "
            "that fits: the excess is of second order in the initial weights, fitted "
            "power.",
            "derived: |w_j| = |a_j| is conserved",
            expected=2.0,
            measured=excess,
            tolerance=0.2,
        ),
    )


def _dataset(settings: Settings, found: np.ndarray) -> Any:
    import xarray

    names = ("rank", "excess", "error", "left", "drift")
    columns = {
        f"neuron_{name}": ("neuron_scale", column)
        for name, column in zip(names, found.T, strict=True)
    }
    return xarray.Dataset(
        columns, coords={"neuron_scale": list(settings.neuron_scales)}
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "one-neuron",
        f"A ReLU net of {settings.neuron_width} units that has learned one neuron, "
        "against the size of its initial weights: second singular value of the first "
        "layer over the first, and excess of its squared norm over |v| = 1, the "
        "teacher's. Dotted: slopes 1 and 2.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (ax,) = panels(1)
    scales = dataset.neuron_scale.values
    label = "second singular value over first"
    draw_powers(ax, scales, dataset["neuron_rank"].values, label, COLORS[0], 1)
    excess = np.abs(dataset["neuron_excess"].values)
    draw_powers(ax, scales, excess, "squared norm less 1", COLORS[1], 2)
    ax.set(xlabel="size of the initial weights", ylabel="at the end of training")
    ax.set_title("Does a wide net learn one neuron as one?")
    ax.legend()
    return figure
