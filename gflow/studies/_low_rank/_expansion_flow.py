"""Gradient flow of a classifier as it is and with each layer a product."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._results import Outcome
from ..._simulate import simulate
from ...flows import GradientFlow
from ...invariants import chain_invariants
from ...models import collapse, expand, images_digits
from ...problem import EmpiricalRisk
from ...solvers import BDF
from ...steppers import gradient_descent, iterate
from ...trajectory import LossBelow, Save, Trajectory
from .._statistics import worst
from .._study import Figure, ReportProgress, StudyResult
from ._expansion_flow_claims import descent_claim, difference_claims, law_claims
from ._nets import accuracy, cross_entropy, embedding_rank, predict
from ._settings import Settings

# Long past the loss at which the flows stop.
_T1 = 1e5
_NUM_SAVED = 60


@dataclasses.dataclass(frozen=True)
class End:
    """Where a flow ends; NaN but for the run unless it reached the loss."""

    run: Trajectory
    time: float
    accuracy: float
    rank: float
    drift: float


def expansion_flow(
    settings: Settings, seed: int, progress: ReportProgress
) -> StudyResult:
    """Flows from one and the same function to one and the same loss.

    The weights of each layer are split into balanced factors, so that the net computes
    at t = 0 what the plain one does: all that differs is the parameterization. The
    loss at the end is the same too, unlike in training for a number of steps.
    """
    images = images_digits(seed=seed)
    flat = [x.reshape(len(x), -1) for x in (images.x, images.x_test)]
    depths = (1, *settings.flow_depths)
    ends: dict[tuple[int, int], End] = {}
    for place in range(settings.flow_seeds):
        problem, net = _start(settings, flat[0], images.y, seed + place)
        for depth in depths:
            count = f"{place + 1} of {settings.flow_seeds}"
            progress(f"flow on digits, depth {depth}: seed {count}")
            run = _flow(problem, _expanded(net, depth), flat[1], settings)
            ends[depth, place] = end_of(run, flat[1], images.y_test)
    progress("gradient descent beside the flow")
    problem, _ = _start(settings, flat[0], images.y, seed)
    deep = ends[depths[-1], 0].run
    return StudyResult(
        claims=(
            *difference_claims(settings, ends, depths[-1]),
            *law_claims(settings, ends, depths),
            descent_claim(_descent_order(problem, deep)),
        ),
        dataset=_dataset(settings, depths, ends),
        figures=(figure(),),
        evidence={
            f"flow on digits, depth {depth}, seed {place}": repr(end.run)
            for (depth, place), end in ends.items()
        },
    )


def _start(
    settings: Settings, x: Any, y: Any, seed: int
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
    problem: EmpiricalRisk,
    w0: eqx.nn.Sequential,
    x_test: Any,
    settings: Settings,
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
        # A Partial and no closure: the same program for every seed.
        observables={"rank": eqx.Partial(_rank, jnp.asarray(x_test))},
        save=Save.log(num=_NUM_SAVED, first=1e-2, keep_params=False),
        throw=False,
        progress=False,
    )


def _rank(x: Any, t: Any, w: eqx.nn.Sequential, problem: Any) -> Any:
    del t, problem
    return embedding_rank(collapse(w), x)


def end_of(run: Trajectory, x: Any, y: Any) -> End:
    if run.result is not Outcome.loss_reached:
        return End(run, *[float("nan")] * 4)
    right = accuracy(collapse(run.w1), jnp.asarray(x), jnp.asarray(y))
    drift = worst([d.relative for d in run.drift.values()])
    rank = float(run.observed["rank"][-1])
    return End(run, float(run.ts[-1]), float(right), rank, drift)


def _curve(run: Trajectory, name: str) -> np.ndarray:
    """What was observed at the saved times, then NaN."""
    curve = np.full(_NUM_SAVED + 2, np.nan)
    curve[: len(run.ts)] = run.observed[name]
    return curve


def _descent_order(problem: EmpiricalRisk, flow: Trajectory) -> float:
    """Order in eta of the distance between gradient descent and the flow's end."""
    if flow.result is not Outcome.loss_reached:
        return float("nan")
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


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "expansion-flow",
        "Gradient flow on digits from the same function to the same training loss, for "
        "a net as it is and with balanced factors in each layer. First panel: "
        "effective rank of the embedding of the test images along each flow, from "
        "right to left as its loss falls. The others: where the flows end; points are "
        "seeds, lines their means.",
        _draw,
    )


def _dataset(
    settings: Settings,
    depths: tuple[int, ...],
    ends: dict[tuple[int, int], End],
) -> Any:
    import xarray

    axes = ("expansion_flow_depth", "expansion_flow_seed", "expansion_flow_point")

    def table(value: Any) -> Any:
        seeds = range(settings.flow_seeds)
        rows = np.array([[value(ends[depth, s]) for s in seeds] for depth in depths])
        return (axes[: rows.ndim], rows)

    return xarray.Dataset(
        {
            "expansion_flow_accuracy": table(lambda end: end.accuracy),
            "expansion_flow_rank": table(lambda end: end.rank),
            "expansion_flow_time": table(lambda end: end.time),
            "expansion_flow_losses": table(lambda end: _curve(end.run, "loss")),
            "expansion_flow_ranks": table(lambda end: _curve(end.run, "rank")),
        },
        coords={"expansion_flow_depth": list(depths)},
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, label_ticks, panels

    figure, axes = panels(4)
    depths = dataset.expansion_flow_depth.values
    shown = (
        ("rank", 1, "Is the embedding's rank lower?", "effective rank [nats]"),
        ("accuracy", 100, "Does it classify better?", "test accuracy [%]"),
        ("time", 1, "Does it learn faster?", "flow time to the loss"),
    )
    along = dataset[["expansion_flow_losses", "expansion_flow_ranks"]]
    for depth, color in zip(depths, COLORS, strict=False):
        at = along.sel(expansion_flow_depth=depth)
        losses, ranks = (at[name].values.T for name in at)
        lines = axes[0].plot(losses, ranks, color=color, linewidth=0.8)
        lines[0].set_label(f"{depth} factors" if depth > 1 else "plain")
    axes[0].set(
        xscale="log",
        xlabel="training loss",
        ylabel="effective rank [nats]",
        title="How does the rank move as the loss falls?",
    )
    axes[0].legend()
    for ax, (name, factor, title, label) in zip(axes[1:], shown, strict=True):
        rows = factor * dataset[f"expansion_flow_{name}"].values
        ax.plot(depths, rows, ".", color="gray")
        ax.plot(depths, rows.mean(axis=1), "o-")
        ax.set(xscale="log", xlabel="factors a layer", ylabel=label, title=title)
        label_ticks(ax, depths)
    axes[3].set_ylim(bottom=0)
    return figure
