"""Part 2: the laws of a ReLU net with biases, trained on digits to classify them.

f(x) = W₂ σ(W₁ x + b₁) + b₂, mean cross-entropy of the softmax, all rates 1.

Gradient flow conserves h_j = ‖(W₁)_j‖² + b₁_j² - ‖(W₂)_·j‖² of each unit j, and, as the
softmax does not see what is added to all logits, the sums of the columns of W₂ and of
b₂. One step of gradient descent, w - η ∇L, adds exactly η² h_j(∇L) to h_j, as h_j is a
quadratic form and ⟨∇h_j, ∇L⟩ = 0, so that at small η

    h_j(t) - h_j(0) = η ∫ h_j(∇L) dt + O(η²)                                         (1)

along the flow; sums it leaves alone, as they are linear.
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
from .._claim import Claim
from .._statistics import order, worst
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings

_DU = "Du, Hu, Lee 2018 (arXiv 1806.00900), theorem 2.1"
_KUNIN = "Kunin, Sagastuy-Brena, Ganguli, Yamins, Tanaka 2021 (arXiv 2012.04728)"
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
            *_flow_claims(settings, dataset),
            *_descent_claims(settings, dataset),
            _found_claim(settings, found),
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


def _flow_claims(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    ratios = dataset["digits_flow_neurons"] / dataset["rtol"]
    wrong = dataset["digits_flow_without_bias"].values
    rtols = np.array(settings.digits_rtols)
    told = (
        f"{settings.digits_width} units, {settings.digits_samples} digits, to t = "
        f"{settings.digits_t1:g}"
    )
    return (
        Claim(
            "digits-neurons",
            f"The law of each unit drifts by no more than the tolerance explains "
            f"({told}): drift over rtol, the worst of {len(ratios)} tolerances.",
            _DU,
            expected=10.0,
            measured=worst(ratios),
            kind="at_most",
        ),
        Claim(
            "digits-forgotten-bias",
            "Without b_j^2 it is no law: its drift does not fall with the tolerance. "
            "Drift at the tightest rtol over that at the loosest.",
            _DU,
            expected=1.0,
            measured=float(wrong[rtols.argmin()] / wrong[rtols.argmax()]),
            tolerance=0.01,
        ),
        Claim(
            "digits-sums",
            "The sums of the columns of the last layer, and of its biases, are kept to "
            "round-off at any tolerance, as they are linear: worst relative drift.",
            _KUNIN,
            expected=1e-12,
            measured=worst(dataset["digits_flow_sums"]),
            kind="at_most",
        ),
    )


def _descent_claims(settings: Settings, dataset: Any) -> tuple[Claim, ...]:
    moved, predicted = dataset["digits_gd_moved"], dataset["digits_gd_predicted"]
    least = int(np.argmin(settings.digits_etas))
    off = np.linalg.norm(moved - predicted, axis=1) / np.linalg.norm(predicted, axis=1)
    return (
        Claim(
            "digits-descent-order",
            "Gradient descent breaks the law of each unit at first order in eta: "
            f"fitted power, to t = {settings.digits_steps_t1:g}.",
            "derived",
            expected=1.0,
            measured=order(settings.digits_etas, np.linalg.norm(moved, axis=1)),
            tolerance=0.1,
        ),
        Claim(
            "digits-descent-predicted",
            "By eta times the integral of h_j(grad L) along the flow: relative "
            f"difference over the units at eta = {settings.digits_etas[least]:g}.",
            "derived",
            expected=0.05,
            measured=float(off[least]),
            kind="at_most",
        ),
        Claim(
            "digits-descent-sums",
            "Gradient descent keeps the sums to round-off: worst relative drift.",
            _KUNIN,
            expected=1e-12,
            measured=worst(dataset["digits_gd_sums"]),
            kind="at_most",
        ),
    )


def _found_claim(settings: Settings, found: Any) -> Claim:
    first = found.laws[0].formula if found.laws else "none"
    return Claim(
        "digits-found",
        f"Of the net's {found.count.dimension} parameters a search that is told "
        f"nothing finds one law a unit ({found.verdict}): {first}.",
        "Marcotte, Gribonval, Peyré 2023 (arXiv 2307.00144)",
        expected=settings.digits_width,
        measured=len(found.laws) if found.is_complete else np.nan,
    )


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "digits",
        "A ReLU net with biases that learns to classify digits. Left: how far three "
        "quantities have moved along the flow, relative to their summands, at the "
        "tightest tolerance (dotted); below what the plot shows, sums are kept to "
        "round-off. Middle: drift against the tolerance; dotted, drift = rtol. Right: "
        "under gradient descent, what each unit's law moved by (dots) and what theory "
        "predicts (line), step sizes in color.",
        _draw,
    )


_LABELS = {
    "without_bias": "$|w_j|^2 - |a_j|^2$",
    "neurons": "$|w_j|^2 + b_j^2 - |a_j|^2$",
    "sums": "column sums",
}


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, label_ticks, panels

    figure, (left, middle, right) = panels(3, columns=3)
    for k, (law, label) in enumerate(_LABELS.items()):
        moved = np.maximum(dataset[f"digits_{law}_moved"], 1e-17)
        left.plot(dataset["digits_t"], moved, color=COLORS[k], label=label)
        drift = np.maximum(dataset[f"digits_flow_{law}"], 1e-17)
        middle.plot(dataset["rtol"], drift, "o-", color=COLORS[k], label=label)
    tightest = float(dataset["rtol"].min())
    left.axhline(tightest, color="black", linestyle=":", label=f"rtol {tightest:g}")
    left.set(xscale="log", yscale="log", xlabel="time t", ylabel="relative drift")
    left.set_title("What is conserved?")
    left.legend(loc="center left", bbox_to_anchor=(0.0, 0.62))
    middle.plot(dataset["rtol"], dataset["rtol"], ":", color="black", label="rtol")
    middle.set(xscale="log", yscale="log", xlabel="tolerance rtol")
    middle.set_ylabel("relative drift")
    middle.set_title("Does it fall with the tolerance?")
    label_ticks(middle, dataset["rtol"].values)
    _draw_descent(right, dataset)
    return figure


def _draw_descent(ax: Any, dataset: Any) -> None:
    from ...plots import COLORS

    predicted = dataset["digits_gd_predicted"].values
    for k, eta in enumerate(dataset["eta"].values):
        ax.plot(
            predicted[k],
            dataset["digits_gd_moved"].values[k],
            "o",
            color=COLORS[k % len(COLORS)],
            label=rf"$\eta$ = {eta:g}",
        )
    ends = [predicted.min(), predicted.max()]
    ax.plot(ends, ends, color="black", linewidth=1.0, zorder=0)
    ax.set(xlabel="predicted change of the law", ylabel="measured change")
    ax.set_title("What does a finite step add?")
    ax.legend()
