"""Part 4: what stochastic descent adds to the flow, to first order in its step size.

η the step size · g, H gradient and Hessian of J · Σ the covariance of one stochastic
gradient · C = η⁻¹ the covariance of the iterate · m = η⁻¹ the shift of its mean.

With independent draws in each step, to first order in η and t fixed,

    w' = -g                                   the flow
    C' = -H C - C H + Σ                       how far the noise has spread      (1)
    m' = -H m - ½ H g - ½ ∇ tr(H C)           discretization, and noise bent    (2)
    E f(w_k) = f(w) + η (∇f·m + ½ tr(∇²f C))                                    (3)

½ H g is ∇ of ¼ ‖g‖²: without noise (2) is the flow of J + (η/4) ‖g‖². Where one epoch
is drawn without replacement, the mean follows J + (η/4)(‖g‖² + tr Σ) (Smith et al.
2021), where independent draws have the two terms with C instead.
"""

import dataclasses
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
from ...problem import Objective
from ...steppers import gradient_descent, iterate
from ...trajectory import Save
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._runs import flow, rms
from ._settings import Settings

_AT = np.linspace(-0.4, 0.4, 41)[:, None]
_NAMES = ("flow", "gradient term", "gradient and noise terms", "first order")


@dataclasses.dataclass(frozen=True)
class _Found:
    """Predictions of each run of SGD, and of each law."""

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
        claims=_claims(settings, found),
        dataset=dataset,
        figures=(
            Figure(
                "modified",
                f"Mean predictions of {settings.modified_seeds} runs of SGD with step "
                f"size {settings.modified_eta:g} at t = {settings.modified_t1:g}, less "
                "those of the flow (band: two standard errors), and what three "
                "modified equations say of the difference. J + (η/4)‖∇J‖², and the "
                "same with the trace of the noise, leave most of it; the expansion "
                "with the spread of the noise has it.",
                _draw,
            ),
        ),
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
    t1 = num_steps * eta
    sgd: list[Any] = []
    estimate = fit.estimator(settings.batch, settings.points)
    for s in range(settings.modified_seeds):
        if s % 20 == 0:
            progress(f"modified equation: SGD, run {s + 1} of {settings.modified_seeds}")
        run = iterate(
            fit.problem,
            gradient_descent(eta),
            w0,
            num_steps,
            save=Save.at([t1]),
            estimate=estimate,
            key=jax.random.fold_in(jax.random.key(seed), s),
            throw=False,
            progress=False,
        )
        sgd.append(np.asarray(net(run.w1, _AT)))
    laws: dict[str, np.ndarray] = {}
    evidence: dict[str, str] = {}
    law = Corrected(fit, settings.batch, settings.points, jnp.array(eta), jnp.array(eta))
    for name, discrete, noise in zip(_NAMES, (0, 1, 1), (0, 0, 1), strict=False):
        progress(f"modified equation: {name}")
        scales = (jnp.array(discrete * eta), jnp.array(noise * eta))
        one = eqx.tree_at(lambda x: (x.eta, x.noise), law, scales)
        run = flow(Objective(one), w0, t1, settings, solver=diffrax.Tsit5())
        laws[name] = np.asarray(net(run.w1, _AT))
        evidence[f"modified equation: {name}"] = repr(run)
    progress("modified equation: first order")
    laws[_NAMES[3]] = np.asarray(_first_order(law, w0, jnp.array(t1)))
    return _Found(np.array(sgd), laws, evidence)


class Corrected(eqx.Module):
    """J + (eta/4) ‖∇J‖² + (noise/4) tr Σ."""

    fit: PenalizedRegression
    batch: int = eqx.field(static=True)
    points: int = eqx.field(static=True)
    eta: Any
    noise: Any

    def __call__(self, w: Any) -> Any:
        """Its value."""
        grad = ravel_pytree(jax.grad(self.fit.loss)(w))[0]
        trace = sum(jnp.sum(r**2) for r in self.roots(w))
        value = self.fit.loss(w) + 0.25 * self.eta * jnp.sum(grad**2)
        return value + 0.25 * self.noise * trace

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
def _first_order(law: Corrected, w0: Any, t1: Any) -> Any:
    """E f to first order in η, by (1) to (3)."""
    flat0, unravel = ravel_pytree(w0)
    eta = law.eta

    def loss(flat: Any) -> Any:
        return law.fit.loss(unravel(flat))

    def field(t: Any, state: Any, args: Any) -> Any:
        del t, args
        w, C, m = state
        grad, H = jax.grad(loss)(w), jax.hessian(loss)(w)
        bend = jax.grad(lambda w: jnp.sum(jax.hessian(loss)(w) * C))(w)
        roots = law.roots(unravel(w))
        dC = -H @ C - C @ H + sum(r.T @ r for r in roots)
        return -grad, dC, -H @ m - 0.5 * H @ grad - 0.5 * bend

    num = flat0.size
    state = (flat0, jnp.zeros((num, num)), jnp.zeros(num))
    end: Any = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        t1,
        None,
        state,
        stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-6),
        max_steps=None,
        adjoint=diffrax.ForwardMode(),
    ).ys
    w, C, m = (part[-1] for part in end)

    def f(flat: Any) -> Any:
        return law.fit.model(unravel(flat), jnp.asarray(_AT))

    slope = jax.jvp(f, (w,), (m,))[1]
    curved = jnp.einsum("nij,ij->n", jax.hessian(f)(w), C)
    return f(w) + eta * (slope + 0.5 * curved)


def _claims(settings: Settings, found: _Found) -> tuple[Claim, ...]:
    rng = np.random.default_rng(0)
    sgd, laws = found.sgd, found.laws
    ratios: dict[str, list[float]] = {name: [] for name in _NAMES[1:]}
    for draw in range(501):
        # The first is the sample itself; the others are bootstrapped.
        index = rng.integers(len(sgd), size=len(sgd)) if draw else slice(None)
        mean = sgd[index].mean(axis=0)
        plain = rms(mean, laws["flow"])
        for name, values in ratios.items():
            values.append(rms(mean, laws[name]) / plain)
    slugs = {"gradient term": "gradient", "gradient and noise terms": "noise"}
    text = {
        "gradient term": "J + (eta/4)|grad J|²",
        "gradient and noise terms": "J + (eta/4)(|grad J|² + E|g - grad J|²)",
        "first order": "the expansion with the covariance of the noise",
    }
    claims: list[Claim] = []
    for name, values in ratios.items():
        low, high = np.quantile(values[1:], [0.025, 0.975])
        is_last = name == "first order"
        claims.append(
            Claim(
                f"modified-{slugs.get(name, 'first-order')}",
                f"The mean of {len(sgd)} runs of SGD is nearer to {text[name]} than to "
                "the flow: distance of predictions over that to the flow (95 %).",
                "derived: Itô expansion to first order in eta; Li, Tai, E 2017"
                if is_last
                else "Barrett, Dherin 2021; Smith, Dherin, Barrett, De 2021",
                expected=1.0,
                measured=values[0],
                kind="at_most",
                interval=(float(low), float(high)),
            )
        )
    return tuple(claims)


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (ax,) = panels(1)
    x = dataset.modified_x
    base = dataset["modified_law"].sel(law_name="flow")
    mean, error = dataset["modified_sgd_mean"] - base, dataset["modified_sgd_error"]
    ax.plot(x, mean, color="black", label="SGD, mean")
    ax.fill_between(x, mean - 2 * error, mean + 2 * error, color="#cccccc")
    for name, color in zip(_NAMES[1:], COLORS[1:], strict=False):
        ax.plot(x, dataset["modified_law"].sel(law_name=name) - base, "--", label=name,
                color=color)
    ax.axhline(0, color="gray", linewidth=0.8)
    ax.set(xlabel="x", ylabel="f(x) less the flow's")
    ax.set_title("What does SGD add to the flow?")
    ax.legend()
    return figure
