"""Part 2: the stochastic gradient against quadrature."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from ...models import Interval, PenalizedRegression, ShallowNet, curve_okuno
from .._claim import Claim
from .._study import ReportProgress, StudyResult
from ._runs import regression, strengths_of
from ._settings import Settings

# Of another length than 1, so that an estimate without |Ω| is seen to be wrong.
_LOW, _HIGH = -1.0, 0.5


def estimator(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Its mean over many draws, at the start of the parabola, for each order."""
    import xarray

    net = ShallowNet(1, settings.width)
    curve, w0 = curve_okuno(
        "parabola", num=settings.num_data, width=settings.width, seed=seed
    )
    scores: list[float] = []
    spreads: list[float] = []
    for k in (1, 2, 3):
        progress(f"gradient estimator, order {k}: {settings.draws} draws")
        strengths = np.where(np.arange(1, 4) == k, strengths_of(settings), 0.0)
        domain = Interval(_LOW, _HIGH)
        fit = regression(net, curve, settings, strengths, ridge=1e-2, domain=domain)
        z = _standard_scores(fit, w0, settings, jax.random.key(seed + k))
        scores.append(float(z[0]))
        spreads.append(float(np.sqrt(np.mean(z**2))))
    dataset = xarray.Dataset(
        {
            "estimator_score": ("estimator_order", scores),
            "estimator_spread": ("estimator_order", spreads),
        },
        coords={"estimator_order": [1, 2, 3]},
    )
    return StudyResult(claims=_claims(settings, scores, spreads), dataset=dataset)


def _standard_scores(
    fit: PenalizedRegression, w0: Any, settings: Settings, key: Any
) -> np.ndarray:
    """(mean of the estimates - quadrature)/standard error along 33 directions.

    The first is the exact gradient's, the others are random.
    """
    exact = np.asarray(ravel_pytree(_gradient(fit, w0))[0])
    rng = np.random.default_rng(0)
    directions = np.vstack([exact, rng.standard_normal((32, exact.size))])
    estimate = fit.estimator(settings.batch, settings.points)
    keys = jax.random.split(key, settings.draws)
    draws = np.asarray(_estimates(estimate, w0, keys, directions))
    error = draws.std(axis=0, ddof=1) / np.sqrt(settings.draws)
    return (draws.mean(axis=0) - directions @ exact) / error


@eqx.filter_jit
def _gradient(fit: PenalizedRegression, w: Any) -> Any:
    return jax.grad(fit.loss)(w)


@eqx.filter_jit
def _estimates(estimate: Any, w: Any, keys: Any, directions: Any) -> Any:
    return jax.lax.map(
        lambda key: directions @ ravel_pytree(estimate(w, key))[0],
        keys,
        batch_size=100,
    )


def _claims(
    settings: Settings, scores: list[float], spreads: list[float]
) -> tuple[Claim, ...]:
    return (
        Claim(
            "estimator-unbiased",
            f"The mean of {settings.draws} stochastic gradients ({settings.batch} data "
            f"without replacement, {settings.points} uniform points on "
            f"[{_LOW:g}, {_HIGH:g}]) against the gradient by quadrature, along that "
            "gradient: largest distance over k = 1, 2, 3 in standard errors.",
            "Okuno 2023: the stochastic gradient is unbiased",
            expected=3.0,
            measured=float(np.max(np.abs(scores))),
            kind="at_most",
        ),
        Claim(
            "estimator-spread",
            "Root mean square of that distance over 33 directions, largest over k.",
            "1 for an unbiased estimate; 1.4 leaves room for 33 correlated ones",
            expected=1.4,
            measured=float(np.max(spreads)),
            kind="at_most",
        ),
    )
