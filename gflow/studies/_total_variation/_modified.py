"""Part 4: what stochastic descent adds to the flow, to first order in its step size.

η the step size · g, H gradient and Hessian of J · Σ the covariance of one stochastic
gradient · C = η⁻¹ the covariance of the iterate · m = η⁻¹ the shift of its mean.

With independent draws in each step, to first order in η and t fixed,

    w' = -g                                   the flow
    C' = -H C - C H + Σ                       how far the noise has spread      (1)
    m' = -H m - ½ H g - ½ ∇ tr(H C)           discretization, and noise bent    (2)
    E f(w_k) = f(w) + η (∇f·m + ½ tr(∇²f C))                                    (3)

½ H g is ∇ of ¼ ‖g‖²: without noise, (2) is to first order the flow of J + (η/4) ‖g‖².
Where the batches of an epoch are drawn without replacement, the mean follows
J + (η/4) (‖g‖² + tr Σ) (Smith et al. 2021), whose shift has -¼ ∇ tr Σ in the place of
the terms with C. All three shifts are integrated side by side.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

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
from ._runs import rms
from ._settings import Settings

_AT = np.linspace(-0.4, 0.4, 41)[:, None]
_RTOL = 1e-4
_NAMES = ("flow", "gradient term", "gradient and noise terms", "first order")


# Law -> claim, what is said of the mean of SGD, source, kind.
_STATEMENTS: dict[str, tuple[str, str, str, Kind]] = {
    _NAMES[1]: (
        "modified-gradient",
        "is nearer to the flow of J + (eta/4)|grad J|² than to that of J",
        "Barrett, Dherin 2021",
        "at_most",
    ),
    _NAMES[2]: (
        "modified-noise-of-epochs",
        "is no nearer to the flow of J + (eta/4)(|grad J|² + E|g - grad J|²) than to "
        "that of J. That law is for epochs whose batches are drawn without "
        "replacement; here batches are independent of each other, and in its place "
        "stands a term with the covariance of the iterate",
        "derived, see modified-first-order; the law is of Smith, Dherin, Barrett, De "
        "2021, who do not claim it for independent batches",
        "at_least",
    ),
    _NAMES[3]: (
        "modified-first-order",
        "is nearer to the expansion with the covariance of the noise than to the flow",
        "derived: expansion to first order in eta; Li, Tai, E 2017",
        "at_most",
    ),
}


@dataclasses.dataclass(frozen=True)
class _Found:
    """Predictions of each run of SGD, and of each law, and the evidence."""

    sgd: np.ndarray
    laws: dict[str, np.ndarray]
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
            "modified_law": (("law_name", "modified_x"), list(found.laws.values())),
        },
        coords={"law_name": list(found.laws), "modified_x": _AT[:, 0]},
    )
    return StudyResult(
        claims=_claims(found, seed),
        dataset=dataset,
        figures=(_figure(settings),),
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
    progress(f"modified equation: {settings.modified_seeds} runs of SGD")
    keys = jax.random.split(jax.random.key(seed), settings.modified_seeds)
    estimate = fit.estimator(settings.batch, settings.points)
    sgd = _descend(estimate, net, w0, jnp.array(eta), keys, num_steps)
    progress("modified equation: first order in the step size")
    law = _Law(fit, settings.batch, settings.points)
    values, stats = _expand(law, w0, jnp.array(num_steps * eta), jnp.array(eta))
    laws: dict[str, np.ndarray] = dict(
        zip(_NAMES, map(np.asarray, values), strict=True)
    )
    finite = int(np.sum(np.all(np.isfinite(sgd), axis=1)))
    evidence = {
        "modified, SGD": f"{len(sgd)} runs of {num_steps} steps, {finite} finite",
        "modified, laws": f"Tsit5, rtol {_RTOL:g}: {stats['num_accepted_steps']} steps "
        f"accepted, {stats['num_rejected_steps']} rejected",
    }
    return _Found(np.asarray(sgd), laws, evidence)


@eqx.filter_jit
def _descend(
    estimate: Any, net: ShallowNet, w0: Any, eta: Any, keys: Any, num_steps: int
) -> Any:
    """Predictions at the end of one run of SGD for each key."""

    def run(key: Any) -> Any:
        def step(k: Any, w: Any) -> Any:
            grad = estimate(w, jax.random.fold_in(key, k))
            return jax.tree.map(lambda x, g: x - eta * g, w, grad)

        return net(jax.lax.fori_loop(0, num_steps, step, w0), jnp.asarray(_AT))

    return jax.lax.map(run, keys, batch_size=50)


class _Law(eqx.Module):
    """J, and how its gradient is estimated."""

    fit: PenalizedRegression
    batch: int = eqx.field(static=True)
    points: int = eqx.field(static=True)

    def roots(self, w: Any) -> list[Any]:
        """Matrices R with Σ = Σ_R Rᵀ R: of the batch, and of the uniform points.

        The mean of b of N data without replacement has (N - b)/(N - 1) of the variance
        of independent draws.
        """
        fit, integral = self.fit, self.fit.penalty.integral
        assert integral is not None
        flat, unravel = ravel_pytree(w)

        def squares(flat: Any) -> Any:
            return (fit.model(unravel(flat), fit.x) - fit.y) ** 2

        def penalties(flat: Any) -> Any:
            q = integral.integrand(unravel(flat), integral.points)
            return 0.5 * integral.domain.measure * q

        num = fit.y.size
        rows = jax.jacrev(squares)(flat)
        left = (num - self.batch) / max(num - 1, 1) / self.batch
        data = jnp.sqrt(left / num) * (rows - jnp.mean(rows, axis=0))
        share = (integral.weights / integral.domain.measure)[:, None]
        at_points = jax.jacrev(penalties)(flat)
        centered = at_points - jnp.sum(share * at_points, axis=0)
        return [data, jnp.sqrt(share / self.points) * centered]


@eqx.filter_jit
def _expand(law: _Law, w0: Any, t1: Any, eta: Any) -> tuple[list[Any], Any]:
    """Predictions by the flow and by each law, in the order of the names, and stats."""
    flat, unravel = ravel_pytree(w0)
    num = flat.size
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(_field(law, unravel)),
        diffrax.Tsit5(),
        0.0,
        t1,
        # Given, as finding one compiles the field twice more.
        0.01 * t1,
        (flat, jnp.zeros((num, num)), jnp.zeros((3, num))),
        stepsize_controller=diffrax.PIDController(rtol=_RTOL, atol=1e-2 * _RTOL),
        max_steps=None,
        adjoint=diffrax.ForwardMode(),
    )
    ys: Any = solution.ys
    w, C, shifts = (part[-1] for part in ys)

    def f(flat: Any) -> Any:
        return law.fit.model(unravel(flat), jnp.asarray(_AT))

    slopes = [jax.jvp(f, (w,), (m,))[1] for m in shifts]
    slopes[2] += 0.5 * jnp.einsum("nij,ij->n", jax.hessian(f)(w), C)
    return [f(w), *(f(w) + eta * slope for slope in slopes)], solution.stats


def _field(law: _Law, unravel: Callable[[Any], Any]) -> Callable[[Any, Any, Any], Any]:
    """(1), and (2) of each law beside it."""

    def loss(flat: Any) -> Any:
        return law.fit.loss(unravel(flat))

    def trace(flat: Any) -> Any:
        return sum(jnp.sum(r**2) for r in law.roots(unravel(flat)))

    def field(t: Any, state: Any, args: Any) -> Any:
        del t, args
        w, C, shifts = state
        grad, H = jax.grad(loss)(w), jax.hessian(loss)(w)
        bend = jax.grad(lambda w: jnp.sum(jax.hessian(loss)(w) * C))(w)
        Sigma = sum(r.T @ r for r in law.roots(unravel(w)))
        pushes = jnp.stack([0 * grad, jax.grad(trace)(w) / 4, bend / 2])
        moved = -shifts @ H - H @ grad / 2 - pushes
        return -grad, -H @ C - C @ H + Sigma, moved

    return field


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
    return tuple(claims)


def _figure(settings: Settings) -> Figure:
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
    for name, color in zip(_NAMES[1:], COLORS[1:], strict=False):
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
