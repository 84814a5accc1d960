"""Part 1: the published settings, by SGD and by the flow, on one clock."""

import dataclasses
import itertools
from typing import Any

import jax
import numpy as np

from ... import _trees as trees
from ...models import (
    Curve,
    Interval,
    ShallowNet,
    curve_okuno,
    total_variation,
)
from ...steppers import gradient_descent, iterate
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._least import least
from ._published_claims import claims_of
from ._published_figures import draw_cut, draw_fits, draw_scores
from ._runs import (
    GRID,
    correlation,
    flow,
    flow_time,
    last_long_step,
    regression,
    rms,
    strengths_of,
)
from ._settings import Settings

METHODS = ("sgd", "flow")


@dataclasses.dataclass(frozen=True)
class Setting:
    """One penalty of the paper."""

    name: str
    strengths: tuple[float, float, float]
    ridge: float
    width: int


def published_settings(settings: Settings) -> list[Setting]:
    """None, ridges, k-TV for k = 1, 2, 3, and none with few units."""
    zero = (0.0, 0.0, 0.0)
    eta = strengths_of(settings)
    wide = settings.width
    return [
        Setting("none", zero, 0.0, wide),
        *(Setting(f"ridge {r:g}", zero, r, wide) for r in settings.ridges),
        Setting("1-TV", (eta[0], 0.0, 0.0), 0.0, wide),
        Setting("2-TV", (0.0, eta[1], 0.0), 0.0, wide),
        Setting("3-TV", (0.0, 0.0, eta[2]), 0.0, wide),
        Setting(f"{settings.few} units", zero, 0.0, settings.few),
    ]


@dataclasses.dataclass(frozen=True)
class _Cell:
    """Both methods' scores, derivatives and predictions on one instance.

    `gap` is at the end, and after the last of the longest steps.
    """

    score: list[float]
    derivatives: list[list[float]]
    f: list[Any]
    gap: list[float]
    curve: Curve
    evidence: dict[str, str]


def published(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """All settings, targets and seeds."""
    cases = published_settings(settings)
    cells: dict[tuple[str, str, int], _Cell] = {}
    num = len(settings.targets) * len(cases) * settings.num_seeds
    for target in settings.targets:
        for case in cases:
            for s in range(settings.num_seeds):
                what = f"{target}, {case.name}, seed {s}"
                progress(f"published settings, {len(cells) + 1} of {num}: {what}")
                cells[target, case.name, s] = _cell(settings, target, case, s, seed)
    dataset = _dataset(settings, cases, cells)
    evidence = {
        f"{target}, {name}, seed {s}: {method}": text
        for (target, name, s), cell in cells.items()
        for method, text in cell.evidence.items()
        if s == 0
    }
    return StudyResult(
        claims=(_time_claim(settings), *claims_of(settings, dataset, seed)),
        dataset=dataset,
        figures=figures(settings),
        evidence=evidence,
    )


def _cell(settings: Settings, target: str, case: Setting, s: int, seed: int) -> _Cell:
    net = ShallowNet(1, settings.width)
    curve, w0 = curve_okuno(
        target,
        num=settings.num_data,
        noise=settings.noise,
        width=case.width,
        seed=seed + s,
    )
    w0 = _padded(w0, settings.width)
    fit = regression(net, curve, settings, case.strengths, case.ridge)
    t1, etas = flow_time(settings)
    early = float(np.sum(etas[: last_long_step(etas)]))
    # As many times as other flows save at, so that all share a program.
    times = np.unique(np.append(np.geomspace(1e-3 * t1, t1, 39), early))
    end = flow(fit.problem, w0, t1, settings, save=Save.at(times))
    sgd = iterate(
        fit.problem,
        gradient_descent(etas),
        w0,
        settings.num_steps,
        save=Save.at([early]),
        estimate=fit.estimator(settings.batch, settings.points),
        key=jax.random.key(seed + s),
        throw=False,
        progress=False,
    )
    runs = (sgd, end)
    f = [_predictions(net, run, t1) for run in runs]
    truth = _truth(curve)
    return _Cell(
        score=[correlation(values, truth) for values in f],
        derivatives=[_derivatives(net, run) for run in runs],
        f=f,
        gap=[rms(*f), rms(*(_predictions(net, run, early) for run in runs))],
        curve=curve,
        evidence=dict(zip(METHODS, map(repr, runs), strict=True)),
    )


def _padded(w0: dict[str, Any], width: int) -> dict[str, Any]:
    """The same net with units of a = b = c = 0, which never move: tanh 0 = 0 and a = 0.

    So that one program serves both widths.
    """
    spare = width - len(w0["a"])
    pads = {"a": (0, spare), "b": ((0, spare), (0, 0)), "c": (0, spare), "d": ()}
    return {k: np.pad(v, pads[k]) if k != "d" else v for k, v in w0.items()}


def _predictions(net: ShallowNet, run: Trajectory, t: float) -> Any:
    """On the grid, at the saved time next to t; nan if the run was not completed."""
    w = trees.take(run.ws, int(np.argmin(np.abs(run.ts - t))))
    f = np.asarray(net(w, GRID))
    return f if run.result.ok else np.full_like(f, np.nan)


def _derivatives(net: ShallowNet, run: Trajectory) -> list[float]:
    """∫ (f^(k))² over the interval, k = 1, 2, 3."""
    if not run.result.ok:
        return [float("nan")] * 3
    terms = np.eye(3)
    return [
        2 * float(total_variation(net, Interval(-0.5, 0.5), term)(run.w1))
        for term in terms
    ]


def _truth(curve: Curve) -> Any:
    assert curve.truth is not None
    return curve.truth(GRID[:, 0])


def _least_scores(curve: Curve, settings: Settings) -> list[list[float]]:
    """Of k-TV's least over all functions: of the data, and of them without noise."""
    assert curve.truth is not None
    x, truth, at = curve.x[:, 0], curve.truth(curve.x[:, 0]), GRID[:, 0]
    return [
        [
            correlation(least(x, y, k, strength, at), _truth(curve))
            for y in (curve.y, truth)
        ]
        for k, strength in enumerate(strengths_of(settings), start=1)
    ]


def _time_claim(settings: Settings) -> Claim:
    t1, _ = flow_time(settings)
    return Claim(
        "schedule-time",
        "Flow time that the paper's schedule of step sizes adds up to.",
        "Okuno 2023, public code: 1e-3, times 0.9 each 25 steps, anew each 1000",
        expected=4.926095585,
        measured=t1,
        tolerance=1e-9,
    )


def _dataset(settings: Settings, cases: list[Setting], cells: Any) -> Any:
    import xarray

    names = [case.name for case in cases]
    axes = ("target", "setting", "seed")

    seeds = range(settings.num_seeds)

    def grid(value: Any) -> np.ndarray:
        rows = itertools.product(settings.targets, names, seeds)
        values = np.array([value(cells[row]) for row in rows])
        shape = (len(settings.targets), len(names), len(seeds))
        return values.reshape(*shape, *values.shape[1:])

    curves = [cells[target, names[0], 0].curve for target in settings.targets]
    return xarray.Dataset(
        {
            "score": ((*axes, "law"), grid(lambda c: c.score)),
            "derivative": ((*axes, "law", "order"), grid(lambda c: c.derivatives)),
            "gap": ((*axes, "gap_at"), grid(lambda c: c.gap)),
            "least_score": (
                ("target", "seed", "order", "least_of"),
                [
                    [
                        _least_scores(cells[target, names[0], s].curve, settings)
                        for s in seeds
                    ]
                    for target in settings.targets
                ],
            ),
            "prediction": (
                ("target", "setting", "law", "x"),
                grid(lambda c: np.stack(c.f)[:, ::20])[:, :, 0],
            ),
            "truth": (("target", "x"), [_truth(c)[::20] for c in curves]),
            "data_x": (("target", "datum"), [c.x[:, 0] for c in curves]),
            "data_y": (("target", "datum"), [c.y for c in curves]),
        },
        coords={
            "target": list(settings.targets),
            "setting": names,
            "seed": list(seeds),
            "law": list(METHODS),
            "order": [1, 2, 3],
            "gap_at": ["end", "longest steps"],
            "least_of": ["data", "target"],
            "x": GRID[::20, 0],
        },
    )


def figures(settings: Settings) -> tuple[Figure, ...]:
    """What is drawn of this part."""
    return (
        Figure(
            "scores",
            "One less the correlation of predictions and target on |x| ≤ 0.4, in each "
            "setting of the paper, by SGD (circles) and by the flow to the same time "
            f"(crosses): marks are means over {settings.num_seeds} seeds, dots the "
            "seeds; dashes are the least of each objective over all functions, on the "
            "same data, means too. The lower, the better.",
            draw_scores,
        ),
        Figure(
            "fits",
            "Predictions of the first seed without penalty and with 2-TV, by SGD "
            "(dashed) and by the flow (solid), the data and the target.",
            draw_fits,
        ),
        Figure(
            "cut",
            "How much of each integral ∫ (f^(j))², j = 1, 2, 3, each k-TV removes: "
            "without penalty over that with it, mean over seeds of each, by the flow.",
            draw_cut,
        ),
    )
