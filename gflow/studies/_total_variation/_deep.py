"""Part 9: deep nets under the k-TV penalty, with several activations."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ...models import (
    Curve,
    Interval,
    PenalizedRegression,
    SmoothMLP,
    curve_okuno,
    softplus,
    total_variation,
)
from ...steppers import gradient_descent, iterate
from ...trajectory import Save
from .._claim import Claim
from .._statistics import worst
from .._study import Figure, ReportProgress, StudyResult
from ._fits import parted
from ._runs import GRID, flow, geometric, over, rms, undecided
from ._settings import Settings

_ACTIVATIONS = {"tanh": jnp.tanh, "gelu": jax.nn.gelu, "softplus": softplus}
_AXES = ("deep_activation", "deep_strength", "deep_seed")


@dataclasses.dataclass(frozen=True)
class _Cell:
    """What is known of one net: the numbers below, predictions, and evidence."""

    numbers: tuple[float, ...]
    f: np.ndarray
    evidence: dict[str, str]


_NUMBERS = ("error", "integral", "fit", "held_out", "gap")


def deep(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Each activation, without the penalty and with each strength of it."""
    import xarray

    names, seeds = settings.deep_activations, settings.deep_seeds
    strengths = (0.0, *settings.deep_strengths)
    numbers = np.full((len(names), len(strengths), seeds, len(_NUMBERS)), np.nan)
    shown = np.full((len(names), len(strengths), len(GRID[::20])), np.nan)
    evidence: dict[str, str] = {}
    for i, name in enumerate(names):
        for j, strength in enumerate(strengths):
            for s in range(seeds):
                what = f"{name}, strength {strength:g}, seed {s}"
                progress(f"deep nets, {what}: {len(strengths) * seeds} a net")
                cell = _cell(settings, name, strength, seed + s)
                numbers[i, j, s] = cell.numbers
                if s == 0:
                    shown[i, j] = cell.f[::20]
                    evidence |= {
                        f"deep, {name}, strength {strength:g}: {law}": text
                        for law, text in cell.evidence.items()
                    }
    data = {f"deep_{n}": (_AXES, numbers[..., m]) for m, n in enumerate(_NUMBERS)}
    dataset = xarray.Dataset(
        {**data, "deep_prediction": ((*_AXES[:2], "deep_x"), shown)},
        coords={
            "deep_activation": list(names),
            "deep_strength": list(strengths),
            "deep_x": GRID[::20, 0],
        },
    )
    return StudyResult(
        claims=tuple(claims_of(settings, dataset)),
        dataset=dataset,
        figures=(figure(settings),),
        evidence=evidence,
    )


def _cell(settings: Settings, name: str, strength: float, seed: int) -> _Cell:
    """One flow, and at the middle strength SGD on its clock."""
    net = SmoothMLP(1, settings.deep_widths, activation=_ACTIVATIONS[name])
    train, held_out, truth = _data(settings, seed)
    order, domain = settings.deep_order, Interval(-0.5, 0.5)
    integral = total_variation(
        net, domain, strength, order=order, num_points=settings.quadrature
    )
    fit = PenalizedRegression(net, train.x, train.y, integral=integral)
    first, *rest = _start(net, jax.random.key(seed))
    scale = settings.deep_scale / float(np.std(train.x))
    w0 = [jax.tree.map(lambda p: scale * p, first), *rest]
    run = flow(fit.problem, w0, settings.deep_t1, settings)
    predict = eqx.filter_jit(net)
    f = np.asarray(predict(run.w1, GRID))
    gap, evidence = float("nan"), {"flow": repr(run)}
    if strength == _middle(settings.deep_strengths):
        sgd = _descent(settings, fit, w0, seed)
        evidence["sgd"] = repr(sgd)
        gap = rms(predict(sgd.w1, GRID), f) if sgd.result.ok else gap
    roughness = eqx.filter_jit(total_variation(net, domain, 2.0, order=order))
    numbers = (
        rms(f, truth),
        float(roughness(run.w1)),
        rms(predict(run.w1, train.x), train.y) ** 2,
        rms(predict(run.w1, held_out.x), held_out.y) ** 2,
        gap,
    )
    if not run.result.ok:
        numbers, f = (float("nan"),) * len(_NUMBERS), np.full_like(f, np.nan)
    return _Cell(numbers, f, evidence)


def _data(settings: Settings, seed: int) -> tuple[Curve, Curve, np.ndarray]:
    """To train on, held out, and the target's values on the grid."""
    num = settings.num_data
    curve, _ = curve_okuno(
        settings.compare_target, num=2 * num, noise=settings.noise, seed=seed
    )
    assert curve.truth is not None
    return *parted(curve, num, seed), curve.truth(GRID[:, 0])


@eqx.filter_jit
def _start(net: SmoothMLP, key: Any) -> Any:
    return net.init(key=key)


def _middle(strengths: Sequence[float]) -> float:
    """The strength at which SGD runs too."""
    return float(strengths[len(strengths) // 2])


def _descent(settings: Settings, fit: PenalizedRegression, w0: Any, seed: int) -> Any:
    num_steps = round(settings.deep_t1 / settings.deep_eta)
    return iterate(
        fit.problem,
        gradient_descent(settings.deep_t1 / num_steps),
        w0,
        num_steps,
        save=Save.log(num=20, keep_params=False),
        estimate=fit.estimator(settings.batch, settings.points),
        # Another key than the start's.
        key=jax.random.fold_in(jax.random.key(seed), 1),
        throw=False,
        progress=False,
    )


def claims_of(settings: Settings, dataset: Any) -> list[Claim]:
    """What the penalty does to each net."""
    return [
        claim
        for name in dataset.deep_activation.values
        for claim in _claims(settings, dataset.sel(deep_activation=name), str(name))
    ]


def _claims(settings: Settings, data: Any, name: str) -> list[Claim]:
    """Of one activation; the strength is the one best on the data held out."""
    num, k = data.sizes["deep_seed"], settings.deep_order
    num_data = settings.num_data
    net = f"{name} net of {len(settings.deep_widths)} hidden layers"
    roughness = data["deep_integral"].values
    at = _chosen(data["deep_held_out"].values), np.arange(num)
    bound = settings.noise**2 * (1 + 2 * float(np.sqrt(2 / num_data)))
    return [
        Claim(
            f"deep-{name}-falls",
            f"{net}: ∫ (f^({k}))² falls with each rise of its strength: over that at "
            f"the next lower one, {over(num, 'seed', 'largest')}.",
            "a minimum's penalty falls as its strength rises",
            expected=1.0,
            measured=worst(roughness[1:] / roughness[:-1]),
            kind="at_most",
        ),
        Claim(
            f"deep-{name}-fits",
            f"{net}, strength chosen on data held out: mean square error on its data "
            f"is no more than the target's own, to two standard errors, "
            f"{over(num, 'seed', 'largest')}.",
            "the mean square of N draws of noise is its variance times 1 ± √(2/N)",
            expected=bound,
            measured=worst(data["deep_fit"].values[at]),
            kind="at_most",
            note=_unfitted(settings, data["deep_fit"].values, at, bound),
        ),
        _helps(data, f"deep-{name}-helps", f"{net}, {k}-TV", at),
        _gap_claim(settings, data, f"deep-{name}-sgd", net),
    ]


def _unfitted(settings: Settings, fit: np.ndarray, at: Any, bound: float) -> str:
    """Whether the penalty or the time keeps a net from its data."""
    above = fit[at] > bound
    if not above.any():
        return ""
    plain = ", ".join(f"{value:.4f}" for value in fit[0][above])
    return (
        f"{above.sum()} of {above.size} lie above, where the net without penalty is at "
        f"{plain} by t = {settings.deep_t1:g}."
    )


def _chosen(held_out: np.ndarray) -> np.ndarray:
    """The strength with the least error of each seed; any where all have failed."""
    known = np.where(np.isnan(held_out), np.inf, held_out)
    return 1 + np.argmin(known[1:], axis=0)


def _helps(data: Any, name: str, net: str, at: Any) -> Claim:
    error = data["deep_error"].values
    ratio, ends = geometric(error[at] / error[0])
    num = error.shape[1]
    return Claim(
        name,
        f"{net}: rms error against the target with the strength chosen on data held "
        "out, over the error without penalty: "
        f"{over(num, 'seed', 'geometric mean')}{' (95 %)' if ends else ''}.",
        "Okuno 2023, any architecture",
        expected=1.0,
        measured=ratio,
        kind="at_most",
        interval=ends,
        note=undecided(ends, num, "seed"),
    )


def _gap_claim(settings: Settings, data: Any, name: str, net: str) -> Claim:
    strength = _middle(settings.deep_strengths)
    gap = data["deep_gap"].sel(deep_strength=strength).values
    return Claim(
        name,
        f"{net}, strength {strength:g}: predictions of SGD at a constant "
        f"step size {settings.deep_eta:g} and of the flow at its time differ by "
        f"rms, {over(len(gap), 'seed', 'largest')}.",
        "the bound found for shallow nets in the settings of Okuno 2023",
        expected=0.04,
        measured=worst(gap),
        kind="at_most",
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    widths = " and ".join(map(str, settings.deep_widths))
    return Figure(
        "deep",
        f"Nets with hidden layers of {widths} units on the {settings.compare_target}, "
        f"{settings.deep_order}-TV of several strengths, flow to t = "
        f"{settings.deep_t1:g}: means and seeds. Left: the penalized integral. Middle: "
        "rms error against the target on |x| ≤ 0.4. Right: predictions of the first "
        "net, first seed, without penalty and at the middle strength.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, center, right) = panels(3, columns=3)
    etas = dataset.deep_strength.values
    at = np.arange(len(etas))
    names = dataset.deep_activation.values
    for ax, field in ((left, "deep_integral"), (center, "deep_error")):
        for name, color in zip(names, COLORS, strict=False):
            values = dataset[field].sel(deep_activation=name).values
            ax.plot(at, values, ".", color=color, alpha=0.4)
            ax.plot(at, values.mean(axis=1), "o-", color=color, label=name)
        ax.set_xticks(at, ["none", *(f"{eta:g}" for eta in etas[1:])])
        ax.set(yscale="log", xlabel="strength of the penalty")
        ax.legend()
    left.set(ylabel="penalized integral", title="Do deep nets get smoother?")
    center.set(ylabel="rms error", title="Do they err less?")
    first = dataset["deep_prediction"].sel(deep_activation=names[0])
    for eta, color in zip((0.0, _middle(etas[1:].tolist())), COLORS, strict=False):
        f, label = first.sel(deep_strength=eta), f"strength {eta:g}"
        right.plot(dataset.deep_x, f, color=color, label=label)
    right.set(xlabel="x", ylabel="f(x)", title=f"What does {names[0]} learn?")
    right.legend()
    return figure
