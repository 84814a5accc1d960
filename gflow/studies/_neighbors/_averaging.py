"""Part 11: constant-step SGD with averaging on linear regression.

x ~ N(0, H), H = diag(h), y = xᵀw* + noise of variance σ²; one fresh sample a step of
size η; C the covariance of w - w* once stationary. As E[xxᵀCxxᵀ] = 2HCH + tr(HC) H,

    C_ii = η (σ² + s)/(2 (1 - η h_i)),   s = tr(HC) = σ² q/(1 - q),
    q = (η/2) Σ h_i/(1 - η h_i)                                                     (1)

is the Lyapunov equation HC + CH - η E[xxᵀCxxᵀ] = η σ² H solved. The gradient noise then
has the covariance (σ² + s) H + HCH, and the mean of n iterates

    E ‖H^½(w̄ - w*)‖² -> (d (σ² + s) + s)/n                                          (2)
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...problem import Objective
from ...steppers import gradient_descent, iterate
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings

_SOURCE = "Bach, Moulines 2013, theorem 1; Dieuleveut, Durmus, Bach 2017 (1707.06386)"


def averaging(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Many independent runs of SGD at once: last iterates and their means."""
    h = np.linspace(1.0, 0.2, settings.sgd_dim)
    eta, sigma = settings.sgd_eta, settings.sgd_noise
    progress(f"averaging: {settings.sgd_runs} runs of {settings.sgd_steps} steps")
    run = _sgd(settings, h, seed)
    # From w* on: no bias, and stationary soon.
    ws = np.asarray(run.ws)
    risk = np.mean(ws**2 @ h, axis=1)
    means = np.cumsum(ws[:-1], axis=0) / np.arange(1, len(ws))[:, None, None]
    mean_risks = means**2 @ h
    q = eta / 2 * np.sum(h / (1 - eta * h))
    s = sigma**2 * q / (1 - q)
    expected = h.size * (sigma**2 + s) + s
    covariance = eta * (sigma**2 + s) / (2 * (1 - eta * h))
    return StudyResult(
        claims=(
            *_last_claims(ws, h, s, covariance),
            *_mean_claims(settings, h, mean_risks[-1], expected),
        ),
        dataset=_dataset(risk, np.mean(mean_risks, axis=1), s, expected),
        figures=(figure(settings),),
        evidence={"averaging": repr(run)},
    )


def _sgd(settings: Settings, h: np.ndarray, seed: int) -> Trajectory:
    root, sigma = jnp.sqrt(jnp.asarray(h)), settings.sgd_noise

    def estimate(w: Any, key: Any) -> Any:
        for_x, for_noise = jax.random.split(key)
        x = root * jax.random.normal(for_x, w.shape, w.dtype)
        noise = sigma * jax.random.normal(for_noise, w.shape[:1], w.dtype)
        return x * (jnp.sum(x * w, axis=1) - noise)[:, None]

    # Rows are runs, and w is w - w*.
    return iterate(
        Objective(lambda w: 0.5 * jnp.sum(jnp.asarray(h) * w**2)),
        gradient_descent(settings.sgd_eta),
        # Not exactly at the minimum, where a run has nothing to do.
        jnp.full((settings.sgd_runs, h.size), 1e-12),
        settings.sgd_steps,
        estimate=estimate,
        key=jax.random.key(seed),
        save=Save.steps(),
        progress=False,
    )


def _last_claims(
    ws: np.ndarray, h: np.ndarray, s: float, covariance: np.ndarray
) -> tuple[Claim, ...]:
    root = ws.shape[1] ** 0.5
    late = ws[len(ws) // 2 :]
    # Times of one run are correlated: one number a run, and the spread over runs.
    risks = np.mean(late**2 @ h, axis=0)
    squares = np.mean(late**2, axis=0) / covariance
    worst = np.max(
        np.abs(np.mean(squares, axis=0) - 1) / (np.std(squares, axis=0) / root)
    )
    return (
        Claim(
            "sgd-last",
            "The last iterate of constant-step SGD does not converge: its mean excess "
            "risk (twice L - L*) is s. Tolerance: 4 standard errors over runs.",
            _SOURCE + "; equation derived",
            expected=s,
            measured=float(np.mean(risks)),
            tolerance=4 * float(np.std(risks)) / root,
        ),
        Claim(
            "sgd-covariance",
            "Its covariance solves the Lyapunov equation: largest deviation of an "
            "entry of the diagonal, in standard errors.",
            "derived; Dieuleveut, Durmus, Bach 2017 (arXiv 1707.06386)",
            expected=0.0,
            measured=float(worst),
            tolerance=4.0,
            kind="at_most",
        ),
    )


def _mean_claims(
    settings: Settings, h: np.ndarray, risks: np.ndarray, expected: float
) -> tuple[Claim, ...]:
    scaled = settings.sgd_steps * risks
    error = float(np.std(scaled)) / len(scaled) ** 0.5
    return (
        Claim(
            "sgd-mean",
            "The mean of n iterates has n times the risk d (sigma^2 + s) + s. "
            "Tolerance: 4 standard errors over runs, and 2 percent as n is finite.",
            _SOURCE + "; constant derived",
            expected=expected,
            measured=float(np.mean(scaled)),
            tolerance=4 * error + 0.02 * expected,
        ),
        Claim(
            "sgd-bound",
            "It is below the bound sigma^2 d/(1 - sqrt(eta R^2))^2, with R^2 = tr H + "
            "2 max h, for which E|x|^2 xx^T <= R^2 H.",
            "Bach, Moulines 2013, theorem 1",
            expected=_bound(settings, h),
            measured=float(np.mean(scaled)),
            kind="at_most",
        ),
    )


def _bound(settings: Settings, h: np.ndarray) -> float:
    radius = float(np.sum(h) + 2 * np.max(h))
    root = (settings.sgd_eta * radius) ** 0.5
    return settings.sgd_noise**2 * h.size / (1 - root) ** 2


def _dataset(risk: Any, mean_risk: Any, s: float, expected: float) -> Any:
    import xarray

    kept = np.unique(np.geomspace(1, len(mean_risk), 200).astype(int)) - 1
    return xarray.Dataset(
        {
            "sgd_last": ("sgd_step", risk[1:][kept]),
            "sgd_mean": ("sgd_step", mean_risk[kept]),
            "sgd_stationary": ((), s),
            "sgd_constant": ((), expected),
        },
        coords={"sgd_step": kept + 1},
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "averaging",
        f"Excess risk of SGD with the constant step {settings.sgd_eta:g}, started at "
        f"the minimum, mean over {settings.sgd_runs} runs: the last iterate and the "
        "mean of all. Dashed: the stationary value s, from the Lyapunov equation, and "
        "(d (sigma^2 + s) + s)/n.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (ax,) = panels(1)
    n = dataset.sgd_step.values
    ax.plot(n, dataset["sgd_last"], label="last iterate")
    ax.plot(n[1:], dataset["sgd_mean"][1:], label="mean of iterates")
    ax.axhline(float(dataset["sgd_stationary"]), linestyle="--", color=COLORS[0])
    late = n > 10
    ax.plot(n[late], float(dataset["sgd_constant"]) / n[late], "--", color=COLORS[1])
    ax.set(xscale="log", yscale="log", xlabel="steps n", ylabel="excess risk")
    ax.set_title("What does averaging the iterates gain?")
    ax.legend()
    return figure
