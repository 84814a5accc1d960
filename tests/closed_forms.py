"""Flows that are known in closed form, and the runs that several tests look at.

Everything is made once: two tests that ask for the same loss share its program.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import wrightomega

import gflow as gf


@dataclasses.dataclass(frozen=True)
class ClosedForm:
    """A problem whose flow is known: `exact(t)` has the structure of w0, time first."""

    problem: gf.Problem
    w0: Any
    t1: float
    exact: Callable[[Any], Any]

    def simulate(self, **options: Any) -> gf.Trajectory:
        """The flow from w0 to t1; atol is a thousandth of rtol if not given."""
        rtol = options.setdefault("rtol", 1e-6)
        options = {"t1": self.t1, "atol": 1e-3 * rtol, **options}
        return gf.simulate(self.problem, gf.GradientFlow(), self.w0, **options)

    def error(self, run: gf.Trajectory) -> float:
        """The largest distance of a saved point to the exact one, over its norm."""
        exact = self.exact(run.ts)
        distance = _norms(jax.tree.map(lambda a, b: np.asarray(a) - b, run.ws, exact))
        return float(np.max(distance / _norms(exact)))


def _norms(ws: Any) -> Any:
    """The Euclidean norm over all leaves, for each time."""
    leaves = [np.reshape(x, (len(x), -1)) for x in jax.tree.leaves(ws)]
    return np.linalg.norm(np.concatenate(leaves, axis=1), axis=1)


def quadratic() -> ClosedForm:
    """L = ½ Σ λ (w - c)²: each coordinate decays to c at its own rate λ."""
    rate, center = np.array([0.5, 1.0, 2.0]), np.array([1.0, -2.0, 0.5])
    w0 = np.array([3.0, 1.0, -1.0])
    return ClosedForm(
        gf.Objective(lambda w: 0.5 * jnp.sum(rate * (w - center) ** 2)),
        jnp.asarray(w0),
        10.0,
        lambda t: center + (w0 - center) * np.exp(-np.outer(t, rate)),
    )


def quartic() -> ClosedForm:
    """L = ‖w‖⁴/4: w' = -‖w‖² w, so (‖w‖⁻²)' = 2 and the direction stays."""
    w0 = np.array([0.6, 0.8])
    return ClosedForm(
        gf.Objective(lambda w: 0.25 * jnp.sum(w**2) ** 2),
        jnp.asarray(w0),
        10.0,
        lambda t: w0 / np.sqrt(1 + 2 * np.asarray(t))[:, None],
    )


def regression(u0: float = 0.1, v0: float = 0.2, y: float = 1.0) -> ClosedForm:
    """L = ½ (u² - v² - y)²: uv = c stays, and q = u/v obeys a Riccati equation.

    q' = (u'v - uv')/v² = -4 q (u² - v² - y) = -4 (c q² - y q - c), as u² = c q and
    v² = c/q. With q± its roots, c (q₊ - q₋) = √(y² + 4c²) and
    (q - q₊)/(q - q₋) falls as exp(-4 √(y² + 4c²) t).
    """
    c = u0 * v0
    root = np.sqrt(y**2 + 4 * c**2)
    up, down = (y + root) / (2 * c), (y - root) / (2 * c)
    first = (u0 / v0 - up) / (u0 / v0 - down)

    def exact(t: Any) -> Any:
        share = first * np.exp(-4 * root * np.asarray(t))
        q = (up - down * share) / (1 - share)
        return {"u": np.sqrt(c * q), "v": np.sqrt(c / q)}

    w0 = {"u": jnp.asarray(u0), "v": jnp.asarray(v0)}
    return ClosedForm(gf.Objective(_scalar_regression), w0, 5.0, exact)


def _scalar_regression(w: Any) -> Any:
    return 0.5 * (w["u"] ** 2 - w["v"] ** 2 - 1.0) ** 2


def linear_net() -> ClosedForm:
    """L = ½‖W₂W₁ - S‖², spectral start: each mode grows as a logistic curve.

    With S = U diag(s) Vᵀ, W₁ = diag(√a) Vᵀ and W₂ = U diag(√a) the flow keeps that
    form and a' = 2a (s - a) (Saxe, McClelland, Ganguli 2014).
    """
    rng = np.random.default_rng(3)
    left = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    right = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    s, a0 = np.array([3.0, 2.0, 1.0]), np.array([0.01, 0.02, 0.05])
    target = left * s @ right.T

    def exact(t: Any) -> Any:
        grown = np.exp(2 * np.outer(t, s))
        root = np.sqrt(s * grown / (grown - 1 + s / a0))
        return root[:, :, None] * right.T, left * root[:, None, :]

    return ClosedForm(
        gf.Objective(lambda w: 0.5 * jnp.sum((w[1] @ w[0] - target) ** 2)),
        jax.tree.map(lambda x: jnp.asarray(x[0]), exact(np.zeros(1))),
        5.0,
        exact,
    )


def logistic() -> ClosedForm:
    """L = log(1 + e⁻ʷ): w' = 1/(1 + eʷ), so w + eʷ = w(0) + e^w(0) + t.

    With ω Wright's function, ω(z) + log ω(z) = z: eʷ = ω(w(0) + e^w(0) + t).
    """
    w0 = -1.0
    return ClosedForm(
        gf.Objective(lambda w: jnp.logaddexp(0.0, -w)),
        jnp.asarray(w0),
        10.0,
        lambda t: np.log(wrightomega(w0 + np.exp(w0) + np.asarray(t)).real),
    )


_FORMS = {f.__name__: f for f in (quadratic, quartic, regression, linear_net, logistic)}
NAMES = tuple(_FORMS)


@functools.cache
def closed_form(name: str) -> ClosedForm:
    """The closed form of that name, made once."""
    return _FORMS[name]()


@functools.cache
def flow(name: str, rtol: float = 1e-6) -> gf.Trajectory:
    """Its flow with everything by default, run once."""
    return closed_form(name).simulate(rtol=rtol)


def same_bits(a: gf.Trajectory, b: gf.Trajectory) -> bool:
    """Whether two runs agree in every bit saved, in every count and in the outcome.

    Not in the seconds, nor in what saving cost: blocks of points end with a stretch.
    """
    varies = {"seconds", "compile_seconds", "num_gradients_saving"}
    counts = [{k: v for k, v in run.stats.items() if k not in varies} for run in (a, b)]
    saved = [
        jax.tree.leaves((run.ts, run.ws, run.w1, run.observed, run.invariants))
        for run in (a, b)
    ]
    return (
        a.result is b.result
        and counts[0] == counts[1]
        and all(np.array_equal(x, y) for x, y in zip(*saved, strict=True))
    )
