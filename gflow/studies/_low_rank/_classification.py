"""Linear over-parameterization in image classification, measured."""

import itertools
from typing import Any

import numpy as np

from .._claim import Claim
from .._statistics import Paired, paired, worst
from .._study import Figure, ReportProgress, StudyResult
from ._classification_figures import draw_gain, draw_rank, draw_step_sizes
from ._classification_runs import Task, Trained, load_images, train, validate
from ._settings import Settings

_HUH = "Huh et al. 2021 (arXiv 2103.10427), section 6"

_MEASURED = ("accuracy", "rank", "rank_start", "seconds_per_step", "num_parameters")

# Of one task: (depth, step size) -> accuracies of the trials; depth -> pairs.
_Trials = dict[tuple[int, float], list[float]]
_Pairs = dict[int, list[Trained]]
_Cell = tuple[_Trials, dict[int, float], _Pairs]


def classification(
    settings: Settings, seed: int, progress: ReportProgress
) -> StudyResult:
    """Test accuracy with and without over-parameterization, over seeds.

    Each net has the step size by which it does best on validation images; the depth
    that is compared with the plain net is chosen by them too. The test images are seen
    by the chosen nets alone. Pairs share images, minibatches and seeds.
    """
    cells: dict[tuple[str, str, str], _Cell] = {}
    for name in settings.image_sets:
        images = load_images(name, settings, seed)
        for net, optimizer in itertools.product(settings.nets, settings.optimizers):
            task = Task(images, net, optimizer, seed, settings)
            label = f"{name}, {net}, {optimizer}"
            cells[name, net, optimizer] = _cell(task, label, progress)
    claims = [
        claim
        for (name, net, optimizer), cell in cells.items()
        for claim in _accuracy_claims(f"{name}-{net}-{optimizer}", cell)
    ]
    return StudyResult(
        claims=(*claims, *_rank_claims(cells), *_exact_claims(cells)),
        dataset=_dataset(settings, cells),
        figures=FIGURES,
        evidence={
            f"{', '.join(key)}, depth {depth}, first pair": repr(pairs[0].run)
            for key, (_, _, all_pairs) in cells.items()
            for depth, pairs in all_pairs.items()
        },
    )


def _cell(task: Task, label: str, progress: ReportProgress) -> _Cell:
    settings = task.settings
    trials: _Trials = {}
    chosen: dict[int, float] = {}
    pairs: _Pairs = {}
    for depth in (1, *settings.expansion_depths):
        for place, eta in enumerate(task.etas):
            progress(
                f"{label}, depth {depth}: step size {eta:g}, "
                f"{place + 1} of {len(task.etas)}"
            )
            trials[depth, eta] = [
                validate(task, depth, eta, trial)
                for trial in range(settings.tuning_seeds)
            ]
        # A step size at which any trial breaks down is none to choose.
        scores = [np.mean(trials[depth, eta]) for eta in task.etas]
        chosen[depth] = task.etas[int(np.argmax(np.nan_to_num(scores, nan=-1.0)))]
        pairs[depth] = []
        for pair in range(settings.paired_seeds):
            progress(
                f"{label}, depth {depth}: seed {pair + 1} of {settings.paired_seeds}"
            )
            pairs[depth].append(train(task, depth, chosen[depth], pair))
    return trials, chosen, pairs


def _best_depth(cell: _Cell) -> int:
    """The depth above 1 that does best on the validation images."""
    trials, chosen, _ = cell
    scores = {d: np.mean(trials[d, eta]) for d, eta in chosen.items() if d > 1}
    return max(scores, key=lambda d: np.nan_to_num(scores[d], nan=-1.0))


def _difference(cell: _Cell, name: str, depth: int) -> np.ndarray:
    """What that depth has more of than the plain net, pair by pair."""
    _, _, pairs = cell
    return np.array(
        [
            getattr(deep, name) - getattr(plain, name)
            for deep, plain in zip(pairs[depth], pairs[1], strict=True)
        ]
    )


def _accuracy_claims(label: str, cell: _Cell) -> list[Claim]:
    depth, chosen = _best_depth(cell), cell[1]
    gain = paired(100 * _difference(cell, "accuracy", depth))
    shown = [_shown(cell, chosen[d]) for d in (depth, 1)]
    return [
        Claim(
            f"expansion-gain-{label}",
            f"Over-parameterization (depth {depth}, step size {shown[0]}, plain "
            f"{shown[1]}, by validation) improves test accuracy: mean gain over "
            "pairs in percentage points, 95 % interval.",
            _HUH + ": on CIFAR and ImageNet",
            expected=0.0,
            measured=gain.mean,
            interval=gain.interval,
            kind="at_least",
            note=_gain_note(cell, depth, gain),
        )
    ]


def _shown(cell: _Cell, eta: float) -> str:
    """A step size; said, if a better one may lie beyond those tried."""
    tried = [tried for _, tried in cell[0]]
    end = eta in (min(tried), max(tried))
    return f"{eta:g}{', an end of those tried' * end}"


def _gain_note(cell: _Cell, depth: int, gain: Paired) -> str:
    """Why there is no gain, from the trials of the step size."""
    if not np.isfinite(gain.mean):
        return _breakdown_note(cell, depth)
    trials, chosen, _ = cell
    least = min(eta for d, eta in trials if d == 1)
    early = 100 * (np.mean(trials[depth, least]) - np.mean(trials[1, least]))
    found = "worse" if gain.high < 0 else "no different within the interval"
    same = (
        f"At one and the same step size, the smallest ({least:g}), it gains "
        f"{early:+.1f} points on validation images; if by faster motion, a larger "
        f"step (chosen: {chosen[1]:g}) gives the plain net that too."
        if early > 0
        else f"Nor does it gain at the smallest step size ({early:+.1f} points)."
    )
    return f"With a step size of its own for each, it is {found}. {same}"


def _breakdown_note(cell: _Cell, depth: int) -> str:
    """Which nets broke down, and what the others gain."""
    _, _, pairs = cell
    broken = {
        d: sum(not np.isfinite(net.accuracy) for net in pairs[d]) for d in (depth, 1)
    }
    gains = 100 * _difference(cell, "accuracy", depth)
    return (
        f"With the step size that validation chose {broken[depth]} of "
        f"{len(pairs[depth])} over-parameterized nets broke down, and {broken[1]} "
        f"plain ones. The {np.isfinite(gains).sum()} other pairs, which leave "
        f"out the worst, gain {np.nanmedian(gains):+.2f} points in the median."
    )


def _rank_claims(cells: dict[tuple[str, str, str], _Cell]) -> list[Claim]:
    """Ranks at the largest depth: the mean over tasks of each pair's difference."""
    depth = max(next(iter(cells.values()))[1])

    def of(name: str) -> Paired:
        tasks = [_difference(cell, name, depth) for cell in cells.values()]
        return paired(np.mean(tasks, axis=0))

    start, end = of("rank_start"), of("rank")
    return [
        Claim(
            "expansion-rank-start",
            f"Nets with {depth} factors a layer start from embeddings of lower "
            "effective rank: mean difference to the plain net, 95 % interval.",
            _HUH,
            expected=0.0,
            measured=start.mean,
            interval=start.interval,
            kind="at_most",
            note=_start_note(start),
        ),
        Claim(
            "expansion-rank-end",
            "They end at embeddings of lower effective rank: mean difference to the "
            "plain net after training, 95 % interval.",
            _HUH,
            expected=0.0,
            measured=end.mean,
            interval=end.interval,
            kind="at_most",
            note=_rank_note(cells, depth),
        ),
    ]


def _start_note(start: Paired) -> str:
    if not np.isfinite(start.mean):
        return "Of some nets there is no rank."
    if start.low > 0:
        return "These nets start from embeddings of higher rank."
    return "The interval holds 0: these pairs do not decide it."


def _rank_note(cells: dict[tuple[str, str, str], _Cell], depth: int) -> str:
    """How ranks move while nets train."""
    plain, deep = (
        np.mean([p.rank - p.rank_start for c in cells.values() for p in c[2][d]])
        for d in (1, depth)
    )
    return (
        f"In training the rank changes by {plain:+.2f} in plain nets and by "
        f"{deep:+.2f} in over-parameterized ones in the same number of steps, which is "
        "not the same loss; for that see expansion-flow-rank. Why it does was not "
        "measured."
    )


def _exact_claims(cells: dict[tuple[str, str, str], _Cell]) -> list[Claim]:
    nets = [
        net for cell in cells.values() for pairs in cell[2].values() for net in pairs
    ]
    return [
        Claim(
            "expansion-collapse",
            "Collapsed after training, nets have the same logits in float64: largest "
            "difference over largest logit.",
            "derived: a product of linear layers is one",
            expected=0.0,
            measured=worst([net.gap for net in nets]),
            tolerance=1e-10,
            kind="at_most",
        ),
        Claim(
            "expansion-parameters",
            "Collapsed nets have exactly the parameters of the original ones: largest "
            "difference in number.",
            "derived: the original architecture",
            expected=0.0,
            measured=worst([abs(net.surplus) for net in nets]),
        ),
    ]


def _dataset(settings: Settings, cells: dict[tuple[str, str, str], _Cell]) -> Any:
    import xarray

    depths = (1, *settings.expansion_depths)
    axes = ("expansion_set", "expansion_net", "expansion_optimizer", "expansion_depth")
    labels = (settings.image_sets, settings.nets, settings.optimizers, depths)

    def gathered(values: list[Any]) -> np.ndarray:
        array = np.array(values)
        return array.reshape(*map(len, labels[:3]), *array.shape[1:])

    def of_pairs(name: str) -> Any:
        rows = [
            [[getattr(net, name) for net in pairs[d]] for d in depths]
            for _, _, pairs in cells.values()
        ]
        return ((*axes, "expansion_seed"), gathered(rows))

    validation = [
        [[trials[d, eta] for eta in settings.etas(optimizer)] for d in depths]
        for (_, _, optimizer), (trials, _, _) in cells.items()
    ]
    chosen = [[eta[d] for d in depths] for _, eta, _ in cells.values()]
    return xarray.Dataset(
        {
            **{f"expansion_{name}": of_pairs(name) for name in _MEASURED},
            "expansion_eta": (axes, gathered(chosen)),
            "expansion_validation": (
                (*axes, "expansion_trial_eta", "expansion_trial"),
                gathered(validation),
            ),
            "expansion_etas": (
                ("expansion_optimizer", "expansion_trial_eta"),
                [settings.etas(optimizer) for optimizer in settings.optimizers],
            ),
        },
        coords={axis: list(label) for axis, label in zip(axes, labels, strict=True)},
    )


FIGURES = (
    Figure(
        "expansion-gain",
        "Test accuracy of nets whose layers are products of linear factors, minus that "
        "of plain nets from the same seeds, in percentage points; bars are 95 % "
        "intervals of the mean over pairs. Step sizes are chosen for each net by "
        "validation. Above 0 it helps. Where a net broke down there is no point.",
        draw_gain,
    ),
    Figure(
        "expansion-step-sizes",
        "Accuracy on validation images over the step size, by the number of factors a "
        "layer has, with the first method of training. Deep curves that lie to the "
        "left of the plain one mean faster motion, higher peaks a better net.",
        draw_step_sizes,
    ),
    Figure(
        "expansion-rank",
        "Left: effective rank of the embedding of test images before (dashed) and "
        "after training (solid), mean over seeds, first method of training. Right: "
        "time of a training step over that of the plain net, compilation left out; "
        "once collapsed all nets are the plain net.",
        draw_rank,
    ),
)
