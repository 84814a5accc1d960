"""Part 8: two dimensions, derivatives along the axes and along all directions."""

from typing import Any

import jax
import numpy as np

from ...models import Box, PenalizedRegression, ShallowNet, total_variation
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._runs import flow, flow_time, geometric, over, rms
from ._settings import Settings

_SIDE = np.linspace(-0.4, 0.4, 21)
_POINTS = np.stack(np.meshgrid(_SIDE, _SIDE, indexing="ij"), -1).reshape(-1, 2)
_WIDTH = 50


def truth(x: np.ndarray) -> np.ndarray:
    """A saddle and a slope, whose second derivatives are 8, -4 and mixed 0."""
    return 4 * x[:, 0] ** 2 - 2 * x[:, 1] ** 2 + x[:, 0]


def plane(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Errors without penalty, and with 2-TV along axes or all directions."""
    import xarray

    ways = ("none", *settings.plane_directions)
    errors = np.full((len(ways), settings.plane_seeds), np.nan)
    evidence: dict[str, str] = {}
    shown: list[Any] = []
    for i, way in enumerate(ways):
        for s in range(settings.plane_seeds):
            progress(f"two dimensions: {way}, seed {s}")
            run, f = _fit(settings, way, seed + s)
            errors[i, s] = rms(f, truth(_POINTS)) if run.result.ok else np.nan
            if s == 0:
                evidence[f"two dimensions: {way}"] = repr(run)
                shown.append(f)
    dataset = xarray.Dataset(
        {
            "plane_error": (("plane_way", "plane_seed"), errors),
            "plane_prediction": (("plane_way", "plane_point"), np.stack(shown)),
            "plane_truth": ("plane_point", truth(_POINTS)),
        },
        coords={"plane_way": list(ways)},
    )
    return StudyResult(
        claims=(_claim(settings, errors[1:] / errors[0]),),
        dataset=dataset,
        figures=(figure(settings),),
        evidence=evidence,
    )


def _claim(settings: Settings, ratio: np.ndarray) -> Claim:
    means, ends = zip(*map(geometric, ratio), strict=True)
    largest = int(np.argmax(means))
    seeds = over(ratio.shape[1], "seed", "geometric mean")
    return Claim(
        "plane-2-TV-helps",
        f"In two dimensions 2-TV of strength {settings.plane_strength:g} lowers the "
        f"rms error: error with it over error without, {seeds}"
        f"{' (95 %)' if ends[largest] else ''}, largest over kinds of directions.",
        "Okuno 2023, carried over to d = 2",
        expected=1.0,
        measured=means[largest],
        kind="at_most",
        interval=ends[largest],
    )


def _fit(settings: Settings, way: str, seed: int) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.5, 0.5, (settings.plane_data, 2))
    y = truth(x) + settings.noise * rng.standard_normal(len(x))
    net = ShallowNet(2, _WIDTH)
    integral = total_variation(
        net,
        Box([-0.5, -0.5], [0.5, 0.5]),
        0.0 if way == "none" else settings.plane_strength,
        order=2,
        directions="sphere" if way == "sphere" else "axes",
        num_points=256,
    )
    fit = PenalizedRegression(net, x, y, integral=integral)
    w0 = net.init(scale=1 / float(np.std(x)), key=jax.random.key(seed))
    t1, _ = flow_time(settings)
    run = flow(fit.problem, w0, t1, settings)
    return run, np.asarray(net(run.w1, _POINTS))


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "plane",
        f"A saddle from {settings.plane_data} noisy data on the square: the "
        "target, the net without penalty and with 2-TV, which sums second "
        "derivatives along the axes, or averages them over all directions; "
        "in the titles the rms error on |x_i| ≤ 0.4.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import panels

    ways = list(dataset.plane_way.values)
    figure, axes = panels(len(ways) + 1, columns=2, sharex=True, sharey=True)
    below = len(axes) - 2
    num = len(_SIDE)
    levels = np.linspace(-1.0, 1.2, 12)
    fields = [("target", dataset["plane_truth"])]
    for way in ways:
        error = float(dataset["plane_error"].sel(plane_way=way).mean())
        name = {"none": "no penalty", "sphere": "all directions"}.get(way, way)
        title = f"{name}: error {error:.3f}"
        fields.append((title, dataset["plane_prediction"].sel(plane_way=way)))
    drawn: Any = None
    for i, (ax, (title, field)) in enumerate(zip(axes, fields, strict=True)):
        values = field.values.reshape(num, num).T
        drawn = ax.contourf(_SIDE, _SIDE, values, levels, cmap="viridis", extend="both")
        ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
        # Of three panels the second has none below it, and keeps its ticks.
        ax.label_outer()
        if i >= below:
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("$x_1$")
        ax.grid(visible=False)
    figure.colorbar(drawn, ax=list(axes), label="f(x)")
    figure.suptitle("Does 2-TV find the saddle in two dimensions?", fontsize=12)
    return figure
