"""Part 2: the laws of a ReLU net with biases, trained on digits to classify them.

f(x) = W₂ σ(W₁ x + b₁) + b₂, mean cross-entropy of the softmax, all rates 1.

Gradient flow conserves h_j = ‖(W₁)_j‖² + b₁_j² - ‖(W₂)_·j‖² of each unit j, and, as the
softmax does not see what is added to all logits, the sums of the columns of W₂ and of
b₂. One step of gradient descent, w - η ∇L, adds exactly η² h_j(∇L) to h_j, as h_j is a
quadratic form and ⟨∇h_j, ∇L⟩ = 0, so that at small η

    h_j(t) - h_j(0) = η ∫ h_j(∇L) dt + O(η²)                                         (1)

along the flow; sums it leaves alone, as they are linear. Where a value slides along a
kink the gradient at hand is that of one side, and steps take both in turn: that makes
a percent or so of the whole.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._simulate import simulate
from ...flows import GradientFlow
from ...invariants import Invariant, discover
from ...models import images_digits
from ...problem import KinkedObjective
from ...solvers import Filippov
from ...steppers import gradient_descent, iterate
from ...trajectory import Save, Trajectory
from .._study import ReportProgress, StudyResult
from ._digits_claims import descent_claims, flow_claims, found_claim
from ._digits_figure import figure
from ._settings import Settings

_CLASSES = 10
# Tight enough that what descent adds is seen, not the flow's own error.
_PREDICTION_RTOL = 1e-8


def digits(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """Flows at several tolerances, descents at several step sizes, and a search."""
    problem, w0 = _instance(settings, seed)
    flows: list[Trajectory] = []
    for rtol in settings.digits_rtols:
        progress(f"digits: flow at rtol {rtol:g}")
        flows.append(_flow(problem, w0, settings.digits_t1, rtol, Save.log(num=100)))
    progress("digits: what gradient descent is to add")
    t1 = settings.digits_steps_t1
    times = np.linspace(0, t1, 401)[1:]
    short = _flow(problem, w0, t1, _PREDICTION_RTOL, Save.at(times))
    # (1) over eta, by the trapezoidal rule.
    added = np.trapezoid(short.observed["added"], short.ts, axis=0)
    descents: list[Trajectory] = []
    for eta in settings.digits_etas:
        progress(f"digits: gradient descent at eta {eta:g}")
        steps = round(t1 / eta)
        descents.append(
            iterate(
                problem,
                gradient_descent(eta),
                w0,
                steps,
                invariants=_laws(),
                save=Save.at([t1]),
                progress=False,
            )
        )
    progress("digits: laws from gradients alone")
    found = discover(_predictions, w0, inputs=_search_inputs(seed))
    dataset = _dataset(settings, flows, descents, added)
    return StudyResult(
        claims=(
            *flow_claims(settings, dataset),
            *descent_claims(settings, dataset),
            found_claim(settings, found),
        ),
        dataset=dataset,
        figures=(figure(),),
        evidence={
            **{f"digits, flow {k}": repr(run) for k, run in enumerate(flows)},
            **{f"digits, descent {k}": repr(run) for k, run in enumerate(descents)},
            "digits, laws found": repr(found),
        },
    )


def _logits(w: dict[str, Any], x: Any, activate: Callable[[Any], Any]) -> Any:
    return activate(x @ w["w1"].T + w["b1"]) @ w["w2"].T + w["b2"]


def _predictions(w: dict[str, Any], x: Any) -> Any:
    return _logits(w, x, jax.nn.relu)


class _CrossEntropy(eqx.Module):
    """The mean over data held as leaves: other data do not compile anew."""

    x: Float[Array, "n d"]
    y: Any

    def __call__(self, w: dict[str, Any], activate: Callable[[Any], Any]) -> Array:
        logits = _logits(w, self.x, activate)
        own = jnp.take_along_axis(logits, self.y[:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - own)


def _instance(settings: Settings, seed: int) -> tuple[KinkedObjective, dict[str, Any]]:
    """Pixels centered and of mean square 1; weights of LeCun's scale."""
    images, num = images_digits(seed=seed), settings.digits_samples
    pixels = images.x[:num].reshape(num, -1)
    pixels = pixels - pixels.mean(axis=0)
    x = jnp.asarray(pixels / np.sqrt(np.mean(pixels**2)))
    rng, width = np.random.default_rng(seed), settings.digits_width
    w0 = {
        "w1": rng.standard_normal((width, x.shape[1])) / x.shape[1] ** 0.5,
        "b1": 0.1 * rng.standard_normal(width),
        "w2": rng.standard_normal((_CLASSES, width)) / width**0.5,
        "b2": np.zeros(_CLASSES),
    }
    loss = _CrossEntropy(x, jnp.asarray(images.y[:num]))
    return KinkedObjective(loss), jax.tree.map(jnp.asarray, w0)


def _search_inputs(seed: int) -> Float[np.ndarray, "n d"]:
    """Random, as pixels that are always dark would leave their weights alone."""
    return np.random.default_rng(seed).standard_normal((300, 64))


def _parts(w: dict[str, Any]) -> Array:
    into = jnp.sum(w["w1"] ** 2, axis=1)
    return jnp.stack([into, w["b1"] ** 2, jnp.sum(w["w2"] ** 2, axis=0)])


def _neurons(w: dict[str, Any]) -> Array:
    into, bias, out = _parts(w)
    return into + bias - out


def _without_bias(w: dict[str, Any]) -> Array:
    into, _, out = _parts(w)
    return into - out


def _sums(w: dict[str, Any]) -> Array:
    return jnp.append(jnp.sum(w["w2"], axis=0), jnp.sum(w["b2"]))


def _laws() -> dict[str, Invariant]:
    return {
        "neurons": Invariant(
            _neurons, formula="|w1_j|^2 + b1_j^2 - |w2_j|^2", scale=_parts
        ),
        "without_bias": Invariant(
            _without_bias, formula="|w1_j|^2 - |w2_j|^2", conserved_by=(), scale=_parts
        ),
        "sums": Invariant(
            _sums, formula="sum_c w2_cj, sum_c b2_c", scale=lambda w: w["w2"]
        ),
    }


def _flow(
    problem: KinkedObjective, w0: Any, t1: float, rtol: float, save: Save
) -> Trajectory:
    return simulate(
        problem,
        GradientFlow(),
        w0,
        t1,
        rtol=rtol,
        atol=1e-2 * rtol,
        solver=Filippov(),
        save=save,
        observables={"added": lambda t, w, p: _neurons(p.grad(w))},
        invariants=_laws(),
        progress=False,
    )


def _dataset(
    settings: Settings,
    flows: list[Trajectory],
    descents: list[Trajectory],
    added: Float[np.ndarray, " units"],
) -> Any:
    import xarray

    def drifts(runs: list[Trajectory], law: str) -> list[float]:
        return [run.drift[law].relative for run in runs]

    moved = [
        run.invariants["neurons"][-1] - run.invariants["neurons"][0] for run in descents
    ]
    tightest = flows[int(np.argmin(settings.digits_rtols))]
    curves = {
        f"digits_{law}_moved": (
            "digits_t",
            np.linalg.norm(values - values[0], axis=1)[1:] / tightest.drift[law].scale,
        )
        for law, values in tightest.invariants.items()
    }
    laws = tuple(_laws())
    return xarray.Dataset(
        {
            **{f"digits_flow_{law}": ("rtol", drifts(flows, law)) for law in laws},
            **{f"digits_gd_{law}": ("eta", drifts(descents, law)) for law in laws},
            **curves,
            "digits_loss": ("digits_t", tightest.observed["loss"][1:]),
            "digits_gd_moved": (("eta", "unit"), np.stack(moved)),
            "digits_gd_predicted": (
                ("eta", "unit"),
                np.outer(settings.digits_etas, added),
            ),
        },
        coords={
            "rtol": list(settings.digits_rtols),
            "eta": list(settings.digits_etas),
            "digits_t": tightest.ts[1:],
        },
    )
