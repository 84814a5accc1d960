"""Part 2: flatness of deep matrix factorizations.

L layers, W = W_L ... W_1 = M on the minimum of ½‖W - M‖_F², d x d. There the trace of
the Hessian is T = Σ_l ‖W_L ... W_{l+1}‖² ‖W_{l-1} ... W_1‖², and by the inequality of
means and ‖A‖ ‖B‖ ≥ ‖A B‖_S1 (its nuclear norm)

    T ≥ L d^(2/L) ‖M‖_S1^(2(L-1)/L)                                            (1)

attained by factors that split M evenly at every cut. All factorizations with square
factors are G_l W_l G_{l-1}^-1, G_0 = G_L = I; on this group T is convex along
geodesics, so that its gradient flow finds the least value. Balanced factors, where
gradient flow of the loss from αI ends, have M^(1/L) in every layer instead:

    T = Σ_l Σ_i s_i^(2(L-l)/L) Σ_i s_i^(2(l-1)/L)                                  (2)
"""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ..._simulate import simulate
from ...flows import GradientFlow
from ...linalg import trace_estimate
from ...problem import Objective
from ...trajectory import LossBelow, Save, Stationary, Trajectory
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._settings import Settings

_SOURCE = "Gatmiry et al. 2023 (arXiv 2306.13239), theorem 4.4; derived here"
_SAMPLES = 400


def flatness(settings: Settings, seed: int, progress: ReportProgress) -> StudyResult:
    """The flattest factorization of a matrix, and the one that training finds."""
    rng = np.random.default_rng(seed)
    dim = settings.flat_dim
    basis = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    s = 0.5 ** np.arange(dim)
    claims: list[Claim] = []
    evidence: dict[str, str] = {}
    ends: list[list[float]] = []
    curves: dict[int, tuple[Any, Any]] = {}
    for depth in settings.flat_depths:
        progress(f"flatness: depth {depth}")
        least = depth * dim ** (2 / depth) * np.sum(s) ** (2 - 2 / depth)
        powers = [np.sum(s ** (2 * k / depth)) for k in range(depth)]
        balanced = float(np.dot(powers, powers[::-1]))
        trained = _trained(jnp.asarray(basis * s @ basis.T), depth)
        root = jnp.asarray(basis * s ** (1 / depth) @ basis.T)
        flattest = _flattest(root, depth, rng)
        evidence[f"flatness, depth {depth}, training"] = repr(trained)
        evidence[f"flatness, depth {depth}, flattening"] = repr(flattest)
        traces = flattest.observed["loss"]
        curves[depth] = (flattest.ts[1:], traces[1:] / least)
        measured = _trace(trained.w1)
        ends.append([measured / least, float(traces[-1]) / least])
        claims += _claims(depth, least, balanced, measured, float(traces[-1]))
        if depth == settings.flat_depths[-1]:
            claims.append(_sampled(trained, balanced, depth, seed))
    return StudyResult(
        claims=tuple(claims),
        dataset=_dataset(settings, ends, curves),
        figures=(figure(),),
        evidence=evidence,
    )


def _product(factors: Any) -> Any:
    product = factors[0]
    for factor in factors[1:]:
        product = factor @ product
    return product


def _trace(factors: Any) -> float:
    """T of the file's head, factors from the first to the last."""
    layers, dim = [np.asarray(factor) for factor in factors], len(factors[0])
    below, above = [np.eye(dim)], [np.eye(dim)]
    for layer, last in zip(layers[:-1], layers[:0:-1], strict=True):
        below.append(layer @ below[-1])
        above.append(above[-1] @ last)
    terms = zip(above[::-1], below, strict=True)
    return float(sum(np.sum(p**2) * np.sum(q**2) for p, q in terms))


def _trained(target: Any, depth: int) -> Trajectory:
    dim = target.shape[0]

    def loss(factors: Any) -> Any:
        return 0.5 * jnp.sum((_product(factors) - target) ** 2)

    return simulate(
        Objective(loss),
        GradientFlow(),
        [0.1 * jnp.eye(dim)] * depth,
        1e4,
        rtol=1e-9,
        atol=1e-13,
        solver=diffrax.Tsit5(),
        stops=(LossBelow(1e-18),),
        save=Save.log(num=10),
        progress=False,
    )


def _flattest(root: Any, depth: int, rng: np.random.Generator) -> Trajectory:
    """The flow of T on the group, from a random element near the identity.

    Products telescope: W_L ... W_{l+1} = R^(L-l) G_l^-1 and W_l ... W_1 = G_l R^l,
    where R = `root` is in every layer at the identity.
    """
    dim = root.shape[0]
    powers = [jnp.linalg.matrix_power(root, k) for k in range(1, depth)]
    below, above = jnp.stack(powers), jnp.stack(powers[::-1])
    ends = jnp.full(1, float(dim))

    def objective(group: Any) -> Any:
        inner = jnp.sum((group @ below) ** 2, axis=(1, 2))
        outer = jnp.sum((above @ jnp.linalg.inv(group)) ** 2, axis=(1, 2))
        return jnp.append(outer, ends) @ jnp.append(ends, inner)

    noise = rng.standard_normal((depth - 1, dim, dim))
    start = jnp.eye(dim) + 0.5 * jnp.asarray(noise) / dim**0.5
    return simulate(
        Objective(objective),
        GradientFlow(),
        start,
        1e3,
        rtol=1e-9,
        atol=1e-11,
        solver=diffrax.Tsit5(),
        stops=(Stationary(1e-6),),
        save=Save.log(num=80, first=1e-4),
        progress=False,
    )


def _claims(
    depth: int, least: float, balanced: float, trained: float, flattest: float
) -> list[Claim]:
    return [
        Claim(
            f"flat-least-{depth}",
            f"Depth {depth}: the least trace of the Hessian over all factorizations is "
            "L d^(2/L) times the nuclear norm to the power 2(L-1)/L.",
            _SOURCE,
            expected=least,
            measured=flattest,
            tolerance=1e-6,
            kind="relative",
        ),
        Claim(
            f"flat-balanced-{depth}",
            f"Depth {depth}: gradient flow of the loss from alpha I ends at the "
            "balanced factors, with the trace that follows from them.",
            "derived: balancedness is conserved; Arora, Cohen, Hazan 2018",
            expected=balanced,
            measured=trained,
            tolerance=1e-6,
            kind="relative",
        ),
    ]


def _sampled(trained: Trajectory, balanced: float, depth: int, seed: int) -> Claim:
    problem, w = trained.origin.problem, trained.w1
    estimate = trace_estimate(
        lambda v: problem.hvp(w, v), w, _SAMPLES, key=jax.random.key(seed)
    )
    error = float(estimate.trace_error)
    return Claim(
        f"flat-hessian-{depth}",
        f"Depth {depth}: the Hessian of the loss itself has that trace. Estimated from "
        f"{_SAMPLES} products; tolerance: 4 standard errors.",
        "Hutchinson 1990",
        expected=balanced,
        measured=float(estimate.trace),
        tolerance=4 * error,
    )


def _dataset(settings: Settings, ends: Any, curves: Any) -> Any:
    import xarray

    variables: dict[str, Any] = {
        "flat_trained": ("flat_depth", [end[0] for end in ends]),
        "flat_flattest": ("flat_depth", [end[1] for end in ends]),
    }
    for depth, (ts, ratio) in curves.items():
        variables[f"flat_time_{depth}"] = (f"flat_point_{depth}", ts)
        variables[f"flat_ratio_{depth}"] = (f"flat_point_{depth}", ratio)
    return xarray.Dataset(variables, coords={"flat_depth": list(settings.flat_depths)})


def figure() -> Figure:
    """What is drawn of this part."""
    return Figure(
        "flatness",
        "Trace of the Hessian at a minimum, over the least one of any factorization, "
        "along a flow on the factorizations of one matrix that decreases it; time is "
        "that flow's. Dashed: where gradient flow of the loss ends, with balanced "
        "factors; at depth 2 that is the flattest.",
        _draw,
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (ax,) = panels(1)
    for depth, color in zip(dataset.flat_depth.values, COLORS, strict=False):
        time, ratio = dataset[f"flat_time_{depth}"], dataset[f"flat_ratio_{depth}"]
        ax.plot(time, ratio, color=color, label=f"depth {depth}")
        trained = float(dataset["flat_trained"].sel(flat_depth=depth))
        ax.axhline(trained, linestyle="--", color=color, linewidth=1.2)
    ax.set(xscale="log", xlabel="time t of the flattening flow", ylim=(0.98, 1.5))
    ax.set_ylabel("trace of the Hessian over least")
    ax.set_title("Does training find the flattest factors?")
    ax.legend()
    return figure
