"""Part 1b: what the kinks do to methods that do not know of them."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._simulate import simulate
from ...flows import GradientFlow
from ...models import TwoLayerInstance, two_layer_instance
from ...problem import Objective
from ...trajectory import MaxSteps, Save, Trajectory
from .._claim import Claim
from .._study import Figure, ReportProgress, StudyResult
from ._runs import flow
from ._settings import Settings

# The instance of the reference numbers, and the time that a plain method is said not
# to pass at this tolerance.
_N, _D, _WIDTH = 50, 10, 8
_RTOL, _NOT_PASSED, _T1 = 1e-6, 0.5, 10.0
_SOURCE = "computed for this project"
# A pair that changes sign so often zigzags about its kink. A flow has 300 events here.
_OFTEN = 1000


def explicit(settings: Settings, progress: ReportProgress) -> StudyResult:
    """How far a plain Runge-Kutta method comes, and how fixed steps zigzag."""
    data = two_layer_instance(_N, _D, _WIDTH, seed=0)
    progress(f"explicit: {settings.explicit_steps} steps of Tsit5, kinks not declared")
    plain = plain_run(data, settings.explicit_steps)
    reached = float(plain.ts[-1])
    progress(f"explicit: the flow through its kinks to t = {reached:.3g}")
    run = flow(
        data,
        (1.0, 1.0),
        reached,
        rtol=_RTOL,
        save=Save.at(np.linspace(0, reached, 11)[1:]),
        zero=0.0,
        max_steps=100_000,
    )
    eta = settings.explicit_eta
    progress(f"explicit: fixed steps of {eta:g} to t = {_T1:g}")
    changes = sign_changes(data, eta, round(_T1 / eta))
    return StudyResult(
        claims=(_stall(plain, run), *_zigzag(changes, eta)),
        dataset=_dataset(plain, run, changes),
        figures=(figure(settings),),
        evidence={
            "plain Tsit5 through kinks": repr(plain),
            "Filippov there": repr(run),
        },
    )


def figure(settings: Settings) -> Figure:
    """What is drawn of this part."""
    return Figure(
        "explicit",
        f"n = {_N}, d = {_D}, width {_WIDTH}, seed 0, both rates 1. Left: time "
        f"at each accepted step of Tsit5 at rtol {_RTOL:g} that knows of no "
        "kink, and the steps of Filippov's method to the same time (cross); "
        f"dotted, t = {_NOT_PASSED:g}. Right: how often each pair of a neuron "
        f"and a datum changes sign under gradient descent with eta = "
        f"{settings.explicit_eta:g} "
        f"to t = {_T1:g}, most often first; dotted, {_OFTEN} times.",
        _draw,
    )


def plain_run(data: TwoLayerInstance, max_steps: int) -> Trajectory:
    """Tsit5 on the loss as a user writes it, with `jax.nn.relu` for the activation."""
    return simulate(
        Objective(_loss(data)),
        GradientFlow(),
        data.w0,
        _T1,
        rtol=_RTOL,
        atol=1e-3 * _RTOL,
        solver=diffrax.Tsit5(),
        save=Save.steps(keep_params=False),
        stops=(MaxSteps(max_steps),),
        throw=False,
        progress=False,
    )


def _loss(data: TwoLayerInstance) -> Any:
    X, y = jnp.asarray(data.X), jnp.asarray(data.y)

    def loss(w: Any) -> Any:
        return 0.5 * jnp.sum((jax.nn.relu(X @ w["w"].T) @ w["a"] - y) ** 2)

    return loss


def sign_changes(data: TwoLayerInstance, eta: float, num_steps: int) -> Any:
    """How often each pair (datum, neuron) changes sign under gradient descent.

    Saved steps would not tell: each step counts.
    """
    grad, X = jax.grad(_loss(data)), jnp.asarray(data.X)

    @eqx.filter_jit
    def run(w: Any, eta: Any) -> Any:
        def step(carry: Any, _: None) -> Any:
            w, signs, count = carry
            w = jax.tree.map(lambda p, g: p - eta * g, w, grad(w))
            now = X @ w["w"].T > 0
            return (w, now, count + (now != signs)), None

        signs = X @ w["w"].T > 0
        start = w, signs, jnp.zeros(signs.shape, int)
        return jax.lax.scan(step, start, length=num_steps)[0][2]

    return np.asarray(run(jax.tree.map(jnp.asarray, data.w0), jnp.asarray(eta)))


def _stall(plain: Trajectory, run: Trajectory) -> Claim:
    steps = plain.stats["num_steps"]
    reached = float(plain.ts[-1])
    return Claim(
        "explicit-stalls",
        f"A plain adaptive explicit Runge-Kutta method (Tsit5, rtol {_RTOL:g}, kinks "
        f"not declared) does not pass t = {_NOT_PASSED:g} in {steps} steps: time it "
        f"comes to, with {plain.stats['num_gradients']} gradients. Filippov's method "
        f"comes to t = {float(run.ts[-1]):.4g} in {run.stats['num_steps']} steps and "
        f"{run.stats['num_gradients']} gradients.",
        _SOURCE,
        expected=_NOT_PASSED,
        measured=reached,
        kind="at_most",
    )


def _zigzag(changes: Any, eta: float) -> tuple[Claim, ...]:
    """How many pairs zigzag: fewer under larger steps, 46 at eta = 1e-4."""
    counts = {often: int(np.sum(changes >= often)) for often in (100, 1000, 5000)}
    shown = ", ".join(f"{num} at least {often}" for often, num in counts.items())
    return (
        Claim(
            "explicit-zigzag",
            f"Under a small fixed step (eta = {eta:g}, to t = {_T1:g}) 50 to 60 of the "
            f"{_N * _WIDTH} pairs of a neuron and a datum change sign {_OFTEN} times "
            f"or more (times: {shown}).",
            _SOURCE + "; its step size is not known, and this one was chosen to agree",
            expected=55.0,
            measured=float(np.sum(changes >= _OFTEN)),
            tolerance=5.0,
        ),
    )


def _dataset(plain: Trajectory, run: Trajectory, changes: Any) -> Any:
    import xarray

    return xarray.Dataset(
        {
            "explicit_time": ("explicit_step", np.asarray(plain.ts)),
            "explicit_filippov_steps": ((), run.stats["num_accepted"]),
            "explicit_changes": (("explicit_datum", "explicit_neuron"), changes),
        }
    )


def _draw(dataset: Any) -> Any:
    from ...plots import COLORS, panels

    figure, (left, right) = panels(2)
    times = dataset["explicit_time"].values
    left.plot(np.arange(1, len(times)), times[1:], color=COLORS[0], label="Tsit5")
    steps = float(dataset["explicit_filippov_steps"])
    left.plot(steps, times[-1], "x", color=COLORS[1], label="Filippov's method")
    left.axhline(_NOT_PASSED, color="gray", linestyle=":")
    left.legend(loc="lower right")
    changes = np.sort(dataset["explicit_changes"].values.ravel())[::-1]
    right.plot(np.arange(1, len(changes) + 1), changes, color=COLORS[0])
    left.set(title="Does a plain method pass the kinks?", xlabel="accepted steps")
    left.set(ylabel="time t", xscale="log", yscale="log")
    right.set(title="Who zigzags under fixed steps?", xlabel="pairs, by rank")
    right.set(ylabel="changes of sign", yscale="symlog", xscale="log")
    right.axhline(_OFTEN, color="gray", linestyle=":")
    return figure
