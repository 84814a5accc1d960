"""Gradient flow of a classifier as it is and with each layer a product."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._simulate import simulate
from ...flows import GradientFlow
from ...invariants import chain_invariants
from ...models import collapse, expand, images_digits
from ...problem import EmpiricalRisk
from ...solvers import BDF
from ...steppers import gradient_descent, iterate
from ...trajectory import LossBelow, Save, Trajectory
from .._claim import Claim
from .._statistics import paired
from .._study import Figure, ReportProgress, StudyResult
from ._classification_settings import ClassificationSettings
from ._nets import accuracy, cross_entropy, embedding_rank, predict

# Long past the loss at which the flows stop.
_T1 = 1e5


@dataclasses.dataclass(frozen=True)
class _End:
    run: Trajectory
    accuracy: float
    rank: float


def expansion_flow(
    settings: ClassificationSettings, seed: int, progress: ReportProgress
) -> StudyResult:
    """Flows from one and the same function to one and the same loss.

    The weights of each layer are split into balanced factors, so that the net computes
    at t = 0 what the plain one does: all that differs is the parameterization. The
    loss at the end is the same too, unlike in training for a number of steps.
    """
    images = images_digits(seed=seed)
    flat = [x.reshape(len(x), -1) for x in (images.x, images.x_test)]
    depths = (1, *settings.flow_depths)
    ends: dict[tuple[int, int], _End] = {}
    for place in range(settings.flow_seeds):
        problem, net = _start(settings, flat[0], images.y, seed + place)
        for depth in depths:
            count = f"{place + 1} of {settings.flow_seeds}"
            progress(f"flow on digits, depth {depth}: seed {count}")
            run = _flow(problem, _expanded(net, depth), settings)
            ends[depth, place] = _end(run, flat[1], images.y_test)
    progress("gradient descent beside the flow")
    problem, _ = _start(settings, flat[0], images.y, seed)
    deep = ends[depths[-1], 0].run
    return StudyResult(
        claims=(
            *_difference_claims(settings, ends, depths[-1]),
            *_law_claims(settings, ends, depths),
            _descent_claim(_descent_order(problem, deep)),
        ),
        dataset=_dataset(settings, depths, ends),
        figures=(_figure(),),
        evidence={
            f"flow on digits, depth {depth}, seed {place}": repr(end.run)
            for (depth, place), end in ends.items()
        },
    )


def _start(
    settings: ClassificationSettings, x: Any, y: Any, seed: int
) -> tuple[EmpiricalRisk, eqx.nn.Sequential]:
    """A draw of digits, and a tanh net: smooth, so that the flow is too."""
    index = np.random.default_rng(seed).permutation(len(y))[: settings.flow_train]
    keys = jax.random.split(jax.random.key(seed), 3)
    hidden = settings.flow_hidden
    net = eqx.nn.Sequential(
        [
            eqx.nn.Linear(x.shape[1], hidden, key=keys[0]),
            eqx.nn.Lambda(jnp.tanh),
            eqx.nn.Linear(hidden, int(y.max()) + 1, key=keys[1]),
        ]
    )
    problem = EmpiricalRisk(predict, x[index], y[index], criterion=cross_entropy)
    return problem, collapse(expand(net, 1, key=keys[2]))


def _expanded(net: eqx.nn.Sequential, depth: int) -> eqx.nn.Sequential:
    # Balanced factors are not random: any key will do.
    if depth == 1:
        return net
    return expand(net, depth, key=jax.random.key(0), init="balanced")


def _flow(
    problem: EmpiricalRisk, w0: eqx.nn.Sequential, settings: ClassificationSettings
) -> Trajectory:
    return simulate(
        problem,
        GradientFlow(),
        w0,
        _T1,
        rtol=settings.flow_rtol,
        atol=1e-3 * settings.flow_rtol,
        # Few parameters, whose invariants drift less without recycled directions.
        solver=BDF(num_ritz=0),
        stops=[LossBelow(settings.flow_loss)],
        invariants=chain_invariants(w0),
        save=Save.log(num=20),
        throw=False,
        progress=False,
    )


def _end(run: Trajectory, x: Any, y: Any) -> _End:
    if not run.result.ok:
        return _End(run, float("nan"), float("nan"))
    net = collapse(run.w1)
    x, y = jnp.asarray(x), jnp.asarray(y)
    return _End(run, float(accuracy(net, x, y)), float(embedding_rank(net, x)))


def _descent_order(problem: EmpiricalRisk, flow: Trajectory) -> float:
    """Order in eta of the distance between gradient descent and the flow's end."""
    distances: list[float] = []
    t1 = float(flow.ts[-1])
    # At 0.01 the steps are far below the stability limit, some tenths here.
    coarse = max(200, round(t1 / 0.01))
    for num_steps in (coarse, 2 * coarse):
        steps = iterate(
            problem,
            gradient_descent(t1 / num_steps),
            flow.w0,
            num_steps,
            save=Save.log(num=2, keep_params=False),
            throw=False,
            progress=False,
        )
        squares = jax.tree.map(
            lambda a, b: float(jnp.sum((a - b) ** 2)),
            *(eqx.filter(w, eqx.is_inexact_array) for w in (steps.w1, flow.w1)),
        )
        distances.append(sum(jax.tree.leaves(squares)) ** 0.5)
    return float(np.log2(distances[0] / distances[1]))


def _difference_claims(
    settings: ClassificationSettings, ends: dict[tuple[int, int], _End], depth: int
) -> list[Claim]:
    seeds = range(settings.flow_seeds)

    def more(name: str) -> np.ndarray:
        deep, plain = (
            np.array([getattr(ends[d, s], name) for s in seeds]) for d in (depth, 1)
        )
        return deep - plain

    rank, gain = paired(more("rank")), paired(100 * more("accuracy"))
    worse = gain.low < 0
    return [
        Claim(
            "expansion-flow-rank",
            f"Under gradient flow, from one function to one loss, {depth} factors a "
            "layer end at an embedding of lower effective rank: mean difference to "
            "the plain net, 95 % interval.",
            "Huh et al. 2021 (arXiv 2103.10427), section 6",
            expected=0.0,
            measured=rank.mean,
            interval=rank.interval,
            kind="at_most",
        ),
        Claim(
            "expansion-flow-accuracy",
            f"So do they classify test digits better: mean gain of {depth} factors in "
            "percentage points, 95 % interval.",
            "Huh et al. 2021 (arXiv 2103.10427), section 6",
            expected=0.0,
            measured=gain.mean,
            interval=gain.interval,
            kind="at_least",
            note=_accuracy_note(rank.mean, gain.high) if worse else "",
        ),
    ]


def _accuracy_note(rank: float, high: float) -> str:
    found = "The gain is negative" if high < 0 else "The interval holds 0"
    return (
        f"{found}, while the rank changes by {rank:+.2f}: on these images and at "
        "this loss, lower rank does not go with better test accuracy."
        if rank < 0
        else f"{found}, and the rank is no lower."
    )


def _law_claims(
    settings: ClassificationSettings,
    ends: dict[tuple[int, int], _End],
    depths: tuple[int, ...],
) -> list[Claim]:
    drifts = [
        drift.relative
        for (depth, _), end in ends.items()
        if depth > 1
        for drift in end.run.drift.values()
    ]
    times = np.array(
        [[ends[d, s].run.ts[-1] for d in depths] for s in range(settings.flow_seeds)]
    )
    return [
        Claim(
            "expansion-flow-balanced",
            "The factors stay balanced along the flow: largest drift of "
            "W_{l+1}^T W_{l+1} - W_l W_l^T - b_l b_l^T relative to its terms.",
            "Arora, Cohen, Hazan 2018 (arXiv 1802.06509), theorem 1",
            expected=0.0,
            measured=max(drifts),
            # Errors of the steps add up, mostly with either sign.
            tolerance=10 * settings.flow_rtol,
            kind="at_most",
        ),
        Claim(
            "expansion-flow-time",
            f"In flow time {depths[-1]} factors are faster: largest ratio over seeds "
            "of the times at which the loss is reached.",
            "Arora, Cohen, Hazan 2018 (arXiv 1802.06509): acceleration by depth",
            expected=1.0,
            measured=float(np.max(times[:, -1] / times[:, 0])),
            kind="at_most",
        ),
    ]


def _descent_claim(order: float) -> Claim:
    return Claim(
        "expansion-flow-descent",
        "Gradient descent on the factors follows their flow at first order in the "
        "step size: order of the distance at the flow's end.",
        "derived: Euler's method",
        expected=1.0,
        measured=order,
        tolerance=0.15,
    )


def _figure() -> Figure:
    return Figure(
        "expansion-flow",
        "Gradient flow on digits from the same function to the same training loss, for "
        "a net as it is and with balanced factors in each layer. Points are seeds, "
        "lines their means.",
        _draw,
    )


def _dataset(
    settings: ClassificationSettings,
    depths: tuple[int, ...],
    ends: dict[tuple[int, int], _End],
) -> Any:
    import xarray

    def table(value: Any) -> Any:
        seeds = range(settings.flow_seeds)
        rows = [[value(ends[depth, s]) for s in seeds] for depth in depths]
        return (("expansion_flow_depth", "expansion_flow_seed"), np.array(rows))

    return xarray.Dataset(
        {
            "expansion_flow_accuracy": table(lambda end: end.accuracy),
            "expansion_flow_rank": table(lambda end: end.rank),
            "expansion_flow_time": table(lambda end: float(end.run.ts[-1])),
        },
        coords={"expansion_flow_depth": list(depths)},
    )


def _draw(dataset: Any) -> Any:
    from ...plots import label_ticks, panels

    figure, axes = panels(3, columns=3)
    depths = dataset.expansion_flow_depth.values
    shown = (
        ("rank", 1, "Is the embedding's rank lower?", "effective rank [nats]"),
        ("accuracy", 100, "Does it classify better?", "test accuracy [%]"),
        ("time", 1, "Does it learn faster?", "flow time to the loss"),
    )
    for ax, (name, factor, title, label) in zip(axes, shown, strict=True):
        rows = factor * dataset[f"expansion_flow_{name}"].values
        ax.plot(depths, rows, ".", color="gray")
        ax.plot(depths, rows.mean(axis=1), "o-")
        ax.set(xscale="log", xlabel="factors a layer", ylabel=label, title=title)
        label_ticks(ax, depths)
    axes[2].set_ylim(bottom=0)
    return figure
