"""Part 8: linearized fine-tuning against its closed form.

A net f(x) = Σ_j a_j tanh(w_jᵀx)/√m is trained on one task, and from there, w0, on
another. Linearized at w0, J its Jacobian there and K = J Jᵀ, the flow of ½‖r‖² is

    r(t) = e^(-K t) r(0),    w(t) = w0 + Jᵀ K^-1 (e^(-K t) - I) r(0)                (1)
"""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ..._simulate import simulate
from ...flows import GradientFlow
from ...models import Linearized
from ...problem import EmpiricalRisk
from ...trajectory import Save, Trajectory
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings
from ._shared import draw_powers, width_claim

_SOURCE = (
    "Jacot, Gabriel, Hongler 2018 (arXiv 1806.07572); Lee et al. 2019, theorem 2.1"
)
_N, _DIM, _T1 = 6, 3, 20.0


def wide_net(w: Any, x: Any) -> Any:
    """Σ_j a_j tanh(w_jᵀ x)/√m."""
    return jnp.tanh(x @ w["w"].T) @ w["a"] / w["a"].size ** 0.5


def wide_init(width: int, dim: int, rng: np.random.Generator) -> dict[str, Any]:
    """Standard normal weights."""
    return {
        "w": jnp.asarray(rng.standard_normal((width, dim))),
        "a": jnp.asarray(rng.standard_normal(width)),
    }


def jacobian(w: Any, x: Any) -> np.ndarray:
    """The Jacobian of the net on the data, parameters flat in jax's order."""
    tree = jax.jacobian(lambda point: wide_net(point, x))(w)
    rows = [np.asarray(leaf).reshape(len(x), -1) for leaf in jax.tree.leaves(tree)]
    return np.concatenate(rows, axis=1)


def fine_tuning(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Residuals of the net and of its linearization, over the width."""
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.standard_normal((_N, _DIM)))
    first, second = jnp.asarray(rng.standard_normal((2, _N)))
    evidence: dict[str, str] = {}
    widths = settings.tuning_widths
    apart = np.zeros((len(widths), settings.tuning_seeds))
    exact = np.zeros((0, _N))
    runs: list[Trajectory] = []
    claims: list[Claim] = []
    for k, width in enumerate(widths):
        progress(f"fine-tuning: width {width}")
        for i in range(settings.tuning_seeds):
            start = wide_init(width, _DIM, rng)
            w0 = _train(wide_net, x, first, start).w1
            run = _train(wide_net, x, second, w0)
            exact = _residuals(w0, x, second, run.ts)
            gap = np.linalg.norm(run.observed["residual"] - exact, axis=1)
            apart[k, i] = np.max(gap) / np.linalg.norm(exact[0])
            evidence[f"fine-tuning, width {width}, draw {i}"] = repr(run)
            if k == 0 and i == 0:
                linear = _train(Linearized(wide_net, w0), x, second, w0)
                evidence[f"linearized fine-tuning, width {width}"] = repr(linear)
                claims += _linear_claims(linear, exact, w0, x)
                runs = [run, linear]
    return StudyResult(
        claims=(*claims, _width_claim(widths, apart)),
        dataset=_dataset(settings, apart, runs),
        figures=(figure(),),
        evidence=evidence,
    )


def _train(model: Any, x: Any, y: Any, w0: Any) -> Trajectory:
    return simulate(
        EmpiricalRisk(model, x, y),
        GradientFlow(),
        w0,
        _T1,
        rtol=1e-9,
        atol=1e-12,
        solver=diffrax.Tsit5(),
        save=Save.log(num=60, first=1e-2),
        observables={"residual": lambda t, w, p: p.predict(w) - p.targets},
        progress=False,
    )


def _residuals(w0: Any, x: Any, y: Any, ts: np.ndarray) -> np.ndarray:
    """The residuals of (1)."""
    J = jacobian(w0, x)
    values, vectors = np.linalg.eigh(J @ J.T)
    start = np.asarray(wide_net(w0, x) - y) @ vectors
    return (np.exp(-np.outer(ts, values)) * start) @ vectors.T


def _linear_claims(
    linear: Trajectory, exact: np.ndarray, w0: Any, x: Any
) -> list[Claim]:
    gap = np.max(np.abs(linear.observed["residual"] - exact))
    J = jacobian(w0, x)
    moved = np.concatenate(
        [
            np.ravel(a - b)
            for a, b in zip(*map(jax.tree.leaves, (linear.w1, w0)), strict=True)
        ]
    )
    predicted = J.T @ np.linalg.solve(J @ J.T, exact[-1] - exact[0])
    off = np.linalg.norm(moved - predicted) / np.linalg.norm(predicted)
    statement = "The flow of the linearized net"
    return [
        Claim(
            "tuning-residual",
            f"{statement} has r(t) = e^(-Kt) r(0): largest difference over all times "
            "and data, at rtol 1e-9.",
            _SOURCE,
            expected=0.0,
            measured=float(gap),
            tolerance=1e-7,
            kind="at_most",
        ),
        Claim(
            "tuning-weights",
            f"{statement} moves the weights by the least change that does so, "
            "J^T K^-1 (r(t) - r(0)): relative distance at the end.",
            _SOURCE,
            expected=0.0,
            measured=float(off),
            tolerance=1e-6,
            kind="at_most",
        ),
    ]


def _width_claim(widths: tuple[int, ...], apart: np.ndarray) -> Claim:
    return width_claim(
        "tuning-width",
        "Fine-tuning the net itself stays within O(m^(-1/2)) of that",
        "Lee et al. 2019 (arXiv 1902.06720), theorem 2.1",
        widths,
        apart,
    )


def _dataset(settings: Settings, apart: Any, runs: list[Trajectory]) -> Any:
    import xarray

    norms = [np.linalg.norm(run.observed["residual"], axis=1) for run in runs]
    return xarray.Dataset(
        {
            "tuning_apart": (("tuning_width", "tuning_draw"), apart),
            "tuning_residual": (("tuning_model", "tuning_time"), np.array(norms)),
        },
        coords={
            "tuning_width": list(settings.tuning_widths),
            "tuning_model": ["net", "linearized"],
            "tuning_time": runs[0].ts,
        },
    )


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "fine-tuning",
        "Left: distance to the targets while a pretrained net of the first width is "
        "fine-tuned, and along the flow of its linearization. Right: largest distance "
        "of the residuals to the linearization's closed form on the way, over the "
        "initial residual, mean over draws, against width; dotted: slope -1/2.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, right) = panels(2)
    for model, line in (("net", "-"), ("linearized", "--")):
        norm = dataset["tuning_residual"].sel(tuning_model=model)
        left.plot(dataset.tuning_time[1:], norm[1:], line, label=model)
    left.set(xscale="log", yscale="log", xlabel="time t", ylabel="residual |f - y|")
    left.set_title("Is fine-tuning linear?")
    left.legend()
    apart = dataset["tuning_apart"].mean("tuning_draw")
    draw_powers(right, dataset.tuning_width, apart, "distance", COLORS[0], -0.5)
    right.set(xlabel="units m", ylabel="largest relative distance")
    right.set_title("How wide makes it linear?")
    return figure
