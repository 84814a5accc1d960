"""Part 4: the uniform margin of batch normalization.

m_i = y_i wᵀx_i/‖w‖_Σ the normalized margins, of mean square 1; Z the rows y_i x_i;
δ = m - 1. With p = 1/(1 + e^γ), to first order in δ,

    γ' = p      δ' = -(γ p/(n ‖w‖²_Σ)) (γ (1 - p) + 1) P Z Zᵀ δ,   P = I - 11ᵀ/n     (1)

so that d log ‖δ‖/dγ tends to -κ γ (1 + γ (1 - p)), κ the least eigenvalue of
P Z Zᵀ P/(n ‖w‖²_Σ) beside the one of 1. As γ ~ log t that is exp(-(κ/3) log³ t): faster
than the published exp(-Ω(log² t)).
"""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ..._simulate import simulate
from ...flows import GradientFlow
from ...models import BatchNormLinear
from ...problem import Problem
from ...steppers import gradient_descent, iterate
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._statistics import order
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings

_SOURCE = "Cao, Zou, Li, Gu 2023 (arXiv 2306.11680), theorem 2.2"
# Below this the margins are equal to the accuracy of the flow.
_FLOOR = 1e-7
_ETAS, _DESCENT_T1 = (0.5, 0.25), 1e4


def batch_norm(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """The flow of a batch-normalized linear classifier, and gradient descent."""
    rng = np.random.default_rng(seed)
    n, dim = settings.bn_samples, settings.bn_dim
    y = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    x = rng.standard_normal((n, dim))
    net = BatchNormLinear(dim)
    problem = net.problem(x, y)
    w0 = net.init(settings.bn_norm, key=jax.random.key(seed))
    progress("batch normalization: flow")
    run = _flow(net, problem, w0, settings.bn_t1)
    progress("batch normalization: gradient descent")
    descents = [_descent(net, problem, w0, eta) for eta in _ETAS]
    off = _uneven(run)
    kappa = _least_rate(y[:, None] * x, x @ np.asarray(run.w1["w"]))
    there = np.exp(np.interp(np.log(_DESCENT_T1), np.log(run.ts[1:]), np.log(off[1:])))
    gaps = np.array([abs(_uneven(steps)[-1] / there - 1) for steps in descents])
    return StudyResult(
        claims=(
            *_margin_claims(off[-1], *_late(run, off), kappa),
            _norm_claim(run),
            _descent_claim(gaps),
        ),
        dataset=_dataset(run, off, descents[0]),
        figures=(figure(),),
        evidence={
            "batch normalization, flow": repr(run),
            "batch normalization, descent": repr(descents[0]),
        },
    )


def _observables(net: BatchNormLinear) -> dict[str, Any]:
    return {
        "margins": lambda t, w, p: p.targets * net.normalized(w, p.inputs),
        "gamma": lambda t, w, p: w["gamma"],
    }


def _flow(net: BatchNormLinear, problem: Problem, w0: Any, t1: float) -> Trajectory:
    return simulate(
        problem,
        GradientFlow(),
        w0,
        t1,
        rtol=1e-9,
        atol=1e-12,
        solver=diffrax.Tsit5(),
        save=Save.log(num=160, first=1.0),
        observables=_observables(net),
        invariants={"norm": lambda w: jnp.sum(w["w"] ** 2)},
        progress=False,
    )


def _descent(net: BatchNormLinear, problem: Problem, w0: Any, eta: float) -> Trajectory:
    return iterate(
        problem,
        gradient_descent(eta),
        w0,
        round(_DESCENT_T1 / eta),
        save=Save.log(num=40),
        observables=_observables(net),
        progress=False,
    )


def _uneven(run: Trajectory) -> np.ndarray:
    return np.max(np.abs(run.observed["margins"] - 1), axis=1)


def _least_rate(rows: np.ndarray, z: np.ndarray) -> float:
    n = len(z)
    center = np.eye(n) - 1 / n
    values = np.linalg.eigvalsh(center @ rows @ rows.T @ center)
    return float(values[1] / (n * np.mean(z**2)))


def _late(run: Trajectory, off: np.ndarray) -> tuple[float, float]:
    """Rate in γ, and power of log t, on the second half of the late stretch."""
    gamma = np.asarray(run.observed["gamma"])
    speed = gamma * (1 + gamma / (1 + np.exp(-gamma)))
    passed = np.cumsum(np.diff(gamma) * (speed[1:] + speed[:-1]) / 2)
    late = np.flatnonzero((off[1:] > _FLOOR) & (off[1:] < 1e-2) & (run.ts[1:] > 10))
    # Other settings may leave no stretch on which a rate could be read off.
    if len(late) < 3:
        return float("nan"), float("nan")
    a, b = late[len(late) // 2], late[-1]
    log_off, log_t = np.log(off[1:]), np.log(run.ts[1:])
    rate = (log_off[a] - log_off[b]) / (passed[b] - passed[a])
    power = np.log(log_off[b] / log_off[a]) / np.log(log_t[b] / log_t[a])
    return float(rate), float(power)


def _margin_claims(
    end: float, rate: float, power: float, kappa: float
) -> tuple[Claim, ...]:
    return (
        Claim(
            "bn-uniform",
            "The normalized margins of a batch-normalized linear classifier become "
            "equal, and so 1: largest distance from 1 at the end.",
            _SOURCE,
            expected=0.0,
            measured=end,
            tolerance=1e-3,
            kind="at_most",
        ),
        Claim(
            "bn-rate-published",
            "They do so as exp(-Omega(log^2 t)): the power of log t in the exponent.",
            _SOURCE,
            expected=2.0,
            measured=power,
            kind="at_least",
        ),
        Claim(
            "bn-rate",
            "The rate in gamma, over gamma (1 + gamma (1 - p)), is the least "
            "eigenvalue of the centered Gram matrix over n |w|^2. "
            "Tolerance: what second order in distances of 1e-2, and the next "
            "eigenvalue, leave.",
            "derived: linearized at equal margins",
            expected=kappa,
            measured=rate,
            tolerance=0.03,
            kind="relative",
        ),
    )


def _norm_claim(run: Trajectory) -> Claim:
    return Claim(
        "bn-norm",
        "The flow conserves |w|^2: relative drift.",
        "derived: the loss does not depend on the length of w",
        expected=0.0,
        measured=run.drift["norm"].relative,
        tolerance=1e-7,
        kind="at_most",
    )


def _descent_claim(gaps: np.ndarray) -> Claim:
    etas = " and ".join(f"{eta:g}" for eta in _ETAS)
    return Claim(
        "bn-descent",
        "Gradient descent evens the margins out as the flow does, to first order in "
        f"eta: the power of eta in the relative gap at t = {_DESCENT_T1:g}, from eta = "
        f"{etas}. Tolerance: the next order.",
        "backward error analysis",
        expected=1.0,
        measured=order(_ETAS, gaps),
        tolerance=0.15,
    )


def _dataset(run: Trajectory, off: Any, steps: Trajectory) -> Any:
    import xarray

    return xarray.Dataset(
        {
            "bn_margins": (("bn_time", "bn_datum"), run.observed["margins"][1:]),
            "bn_off": ("bn_time", off[1:]),
            "bn_off_steps": ("bn_step_time", _uneven(steps)[1:]),
        },
        coords={"bn_time": run.ts[1:], "bn_step_time": steps.ts[1:]},
    )


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "batch-norm",
        "Left: normalized margins of each datum along the flow. Right: largest "
        "distance of a margin from 1, for the flow and for gradient descent "
        f"(eta = {_ETAS[0]:g}); a power of t is straight here.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import panels

    figure, (left, right) = panels(2)
    left.plot(dataset.bn_time, dataset["bn_margins"])
    left.set(xscale="log", xlabel="time t", ylabel="normalized margin")
    left.set_title("Do all data get the same margin?")
    right.plot(dataset.bn_time, dataset["bn_off"], label="flow")
    steps = dataset["bn_off_steps"]
    right.plot(dataset.bn_step_time, steps, "--", label="gradient descent")
    right.set(xscale="log", yscale="log", xlabel="time t", ylim=(1e-8, 5))
    right.set_ylabel("largest |margin - 1|")
    right.set_title("Faster than any power of time?")
    right.legend()
    return figure
