"""Part 4: what stochastic descent adds to the flow, to first order in its step size."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ...models import (
    Interval,
    PenalizedRegression,
    ShallowNet,
    curve_okuno,
    total_variation,
)
from .._claim import Claim, Kind
from .._statistics import bootstrap
from .._study import Figure, ReportProgress, StudyResult
from ._modified_laws import AT, NAMES, RTOL, Law, expand
from ._runs import rms
from ._settings import Settings

# Of a second, smaller step size: at the first the next order adds a third.
_FINER = 4
# Law -> claim, what is said of the mean of SGD, source, kind.
_STATEMENTS: dict[str, tuple[str, str, str, Kind]] = {
    NAMES[1]: (
        "modified-gradient",
        "is nearer to the flow of J + (eta/4)|grad J|² than to that of J",
        "Barrett, Dherin 2021",
        "at_most",
    ),
    NAMES[2]: (
        "modified-noise-of-epochs",
        "is no nearer to the flow of J + (eta/4)(|grad J|² + E|g - grad J|²) than to "
        "that of J. That law is for epochs whose batches are drawn without "
        "replacement; here batches are independent of each other, and in its place "
        "stands a term with the covariance of the iterate",
        "derived, see modified-first-order; the law is of Smith, Dherin, Barrett, De "
        "2021, who do not claim it for independent batches",
        "at_least",
    ),
    NAMES[3]: (
        "modified-first-order",
        "is nearer to the expansion with the covariance of the noise than to the flow",
        "derived: expansion to first order in eta; Li, Tai, E 2017",
        "at_most",
    ),
}


@dataclasses.dataclass(frozen=True)
class _Found:
    """Predictions of each run of SGD, and of each law, and the evidence.

    `fine` are those of SGD with a step size `_FINER` times smaller; `variance` is that
    of `sgd` by (4) of the laws.
    """

    sgd: np.ndarray
    fine: np.ndarray
    laws: dict[str, np.ndarray]
    variance: np.ndarray
    evidence: dict[str, str]


def modified(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """The mean of many runs of SGD against four laws, at one time."""
    import xarray

    found = _find(settings, seed, progress)
    mean = found.sgd.mean(axis=0)
    dataset = xarray.Dataset(
        {
            "modified_sgd_mean": ("modified_x", mean),
            "modified_sgd_error": (
                "modified_x",
                found.sgd.std(axis=0, ddof=1) / np.sqrt(len(found.sgd)),
            ),
            "modified_variance": (
                ("modified_finer", "modified_x"),
                [np.var(runs, axis=0, ddof=1) for runs in (found.sgd, found.fine)],
            ),
            "modified_variance_expected": ("modified_x", found.variance),
            "modified_law": (("law_name", "modified_x"), list(found.laws.values())),
        },
        coords={
            "law_name": list(found.laws),
            "modified_x": AT[:, 0],
            "modified_finer": [1, _FINER],
        },
    )
    return StudyResult(
        claims=_claims(found, seed),
        dataset=dataset,
        figures=(figure(settings),),
        evidence=found.evidence,
    )


def _find(settings: Settings, seed: int, progress: ReportProgress) -> _Found:
    eta, t1 = settings.modified_eta, settings.modified_t1
    net = ShallowNet(1, settings.few)
    curve, w0 = curve_okuno(
        "parabola", num=settings.num_data, width=settings.few, seed=seed
    )
    w0 = jax.tree.map(jnp.asarray, w0)
    # The first order alone: laws of the laws below are long to compile.
    integral = total_variation(
        net, Interval(-0.5, 0.5), settings.strength1, num_points=settings.quadrature
    )
    fit = PenalizedRegression(net, curve.x, curve.y, integral=integral)
    num_steps = max(round(t1 / eta), 1)
    keys = jax.random.split(jax.random.key(seed), settings.modified_seeds)
    estimate = fit.estimator(settings.batch, settings.points)
    runs: list[np.ndarray] = []
    for k in (1, _FINER):
        progress(f"modified equation: {len(keys)} runs of SGD, eta = {eta / k:g}")
        step, count = jnp.array(eta / k), jnp.array(k * num_steps)
        runs.append(np.asarray(_descend(estimate, net, w0, step, keys, count)))
    sgd, fine = runs
    progress("modified equation: first order in the step size")
    law = Law(fit, settings.batch, settings.points)
    values, variance, stats = expand(
        law, w0, jnp.array(num_steps * eta), jnp.array(eta)
    )
    laws: dict[str, np.ndarray] = dict(zip(NAMES, map(np.asarray, values), strict=True))
    finite = [int(np.sum(np.all(np.isfinite(found), axis=1))) for found in runs]
    evidence = {
        "modified, SGD": f"{len(sgd)} runs of {num_steps} steps, {finite[0]} finite, "
        f"and of {_FINER * num_steps} smaller ones, {finite[1]} finite",
        "modified, laws": f"Tsit5, rtol {RTOL:g}: {stats['num_accepted_steps']} steps "
        f"accepted, {stats['num_rejected_steps']} rejected",
    }
    return _Found(sgd, fine, laws, np.asarray(variance), evidence)


@eqx.filter_jit
def _descend(
    estimate: Any, net: ShallowNet, w0: Any, eta: Any, keys: Any, num_steps: Any
) -> Any:
    """Predictions at the end of one run of SGD for each key."""

    def run(key: Any) -> Any:
        def step(k: Any, w: Any) -> Any:
            grad = estimate(w, jax.random.fold_in(key, k))
            return jax.tree.map(lambda x, g: x - eta * g, w, grad)

        return net(jax.lax.fori_loop(0, num_steps, step, w0), jnp.asarray(AT))

    return jax.lax.map(run, keys, batch_size=50)


def _claims(found: _Found, seed: int) -> tuple[Claim, ...]:
    sgd, laws = found.sgd, found.laws
    every = np.arange(len(sgd))

    def nearness(name: str, base: str) -> Callable[[np.ndarray], float]:
        def ratio(pick: np.ndarray) -> float:
            mean = np.bincount(pick, minlength=len(sgd)) @ sgd / len(sgd)
            return rms(mean, laws[name]) / rms(mean, laws[base])

        return ratio

    claims: list[Claim] = []
    for law, (name, statement, source, kind) in _STATEMENTS.items():
        measured, ends = bootstrap(every, nearness(law, "flow"), 500, seed)
        beside = ""
        if law == "first order":
            further = nearness(law, "gradient term")(every)
            beside = (
                f" It is {further:.3g} of the distance to the gradient term alone: the "
                "nearer to 1, the less of the covariance is tested."
            )
        claims.append(
            Claim(
                name,
                f"The mean of {len(sgd)} runs of SGD {statement}: its distance in "
                f"predictions over that to the flow (95 %).{beside}",
                source,
                expected=1.0,
                measured=measured,
                kind=kind,
                interval=ends if np.isfinite(measured) else None,
            )
        )
    return (*claims, _covariance(found, seed))


def _covariance(found: _Found, seed: int) -> Claim:
    """The spread of predictions, extrapolated to steps of size 0."""

    def ratio(pick: np.ndarray) -> float:
        coarse, fine = (
            k * np.mean(np.var(runs[pick], axis=0, ddof=1)) / np.mean(found.variance)
            for k, runs in ((1, found.sgd), (_FINER, found.fine))
        )
        return (_FINER * fine - coarse) / (_FINER - 1)

    measured, ends = bootstrap(np.arange(len(found.sgd)), ratio, 500, seed)
    return Claim(
        "modified-covariance",
        f"Predictions of {len(found.sgd)} runs of SGD spread as the covariance of that "
        "expansion says: mean variance over x relative to the mean of those expected, "
        f"extrapolated to eta = 0 from eta and eta/{_FINER} (95 %). Tolerance: what "
        "the second order leaves.",
        "derived: expansion to first order in eta; Li, Tai, E 2017",
        expected=1.0,
        measured=measured,
        tolerance=0.1,
        interval=ends if np.isfinite(measured) else None,
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "modified",
        f"Mean predictions of {settings.modified_seeds} runs of SGD with step "
        f"size {settings.modified_eta:g} at t = {settings.modified_t1:g}, less "
        "those of the flow (band: two standard errors), and what three "
        "modified equations say of the difference: J + (η/4)‖∇J‖², the same "
        "with the trace of the noise, as in epochs without replacement, and "
        "the expansion with the covariance of independent draws.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (ax,) = panels(1)
    x = dataset.modified_x
    base = dataset["modified_law"].sel(law_name="flow")
    mean, error = dataset["modified_sgd_mean"] - base, dataset["modified_sgd_error"]
    ax.plot(x, mean, color="black", label="SGD, mean")
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color="#cccccc")
    for name, color in zip(NAMES[1:], COLORS[1:], strict=False):
        ax.plot(
            x,
            dataset["modified_law"].sel(law_name=name) - base,
            "--",
            label=name,
            color=color,
        )
    ax.axhline(0, color="gray", linewidth=0.8)
    ax.set(xlabel="x", ylabel="f(x) less the flow's")
    ax.set_title("What does SGD add to the flow?")
    ax.legend()
    return figure
