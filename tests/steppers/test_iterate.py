"""iterate against loops by hand and against optax."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from closed_forms import same_bits

import gflow as gf
from gflow.steppers import _iterate
from gflow.trajectory import ProgressLine, _progress

Outcome = gf.Outcome
RNG = np.random.default_rng(1)
MATRIX, TARGET = RNG.standard_normal((4, 3)) / 2, RNG.standard_normal(4)
W0 = {"a": jnp.array([0.5, -0.3, 0.2]), "b": jnp.array(0.1)}


def _loss(w: Any) -> Any:
    return 0.5 * jnp.sum((jnp.tanh(MATRIX @ w["a"]) + w["b"] - TARGET) ** 2)


PROBLEM = gf.Objective(_loss)


def _by_hand(w: Any, eta: float, num: int) -> Any:
    """Gradient descent in numpy: ∇_a = Mᵀ((1 - tanh²) r), ∇_b = Σ r."""
    a, b = np.array(w["a"]), float(w["b"])
    path = [np.append(a, b)]
    for _ in range(num):
        hidden = np.tanh(MATRIX @ a)
        residual = hidden + b - TARGET
        a = a - eta * MATRIX.T @ ((1 - hidden**2) * residual)
        b = b - eta * residual.sum()
        path.append(np.append(a, b))
    return np.stack(path)


def test_gradient_descent_is_the_loop_by_hand() -> None:
    """Every iterate, on the clock t = η k; one gradient a step."""
    eta = 0.05
    run = gf.iterate(PROBLEM, gf.gradient_descent(eta), W0, 300, save=gf.Save.steps())
    np.testing.assert_array_equal(run.ts, eta * np.arange(301))
    path = np.concatenate([run.ws["a"], run.ws["b"][:, None]], axis=1)
    np.testing.assert_allclose(path, _by_hand(W0, eta, 300), rtol=1e-12, atol=1e-13)
    assert run.result is Outcome.reached_end
    assert run.stats["num_gradients"] == run.stats["num_steps"] == 300
    assert run.energy_defect is None
    assert "energy" not in run.observed


@pytest.mark.parametrize("name", ["adam", "momentum"])
def test_optax_transformations_are_optax(name: str) -> None:
    """1000 steps of optax's own loop, to 1e-12."""
    method = {"adam": optax.adam(1e-2), "momentum": optax.sgd(1e-2, momentum=0.9)}[name]

    def body(carry: Any, _: None) -> Any:
        w, state = carry
        updates, state = method.update(jax.grad(_loss)(w), state, w)
        return (optax.apply_updates(w, updates), state), None

    carry, _ = jax.lax.scan(body, (W0, method.init(W0)), length=1000)
    run = gf.iterate(PROBLEM, gf.from_optax(method, eta=1e-2), W0, 1000)
    for leaf in ("a", "b"):
        np.testing.assert_allclose(run.w1[leaf], carry[0][leaf], rtol=1e-12)


def test_stretches_and_windows_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 saved steps are two windows; stretches of 7 steps cut them further."""
    stepper, save = gf.from_optax(optax.adam(1e-2), eta=1e-2), gf.Save.steps()
    whole = gf.iterate(PROBLEM, stepper, W0, 300, save=save)
    monkeypatch.setattr(_iterate, "FIRST_BUDGET", 7)
    monkeypatch.setattr(_progress, "_LARGEST_BUDGET", 7)
    assert same_bits(gf.iterate(PROBLEM, stepper, W0, 300, save=save), whole)


def test_another_eta_does_not_compile_anew() -> None:
    """Neither do other thresholds: one program, and one abstract look a run."""
    traces: list[int] = []

    def loss(w: Any) -> Any:
        traces.append(0)
        return 0.5 * jnp.sum(w**2)

    problem = gf.Objective(loss)
    for eta, threshold in ((0.1, 1e-30), (0.1, 1e-30), (0.2, 1e-29)):
        traces.clear()
        stops = [gf.LossBelow(threshold)]
        gf.iterate(problem, gf.gradient_descent(eta), jnp.ones(2), 10, stops=stops)
    assert len(traces) == 1


class _Power(eqx.Module):
    """factor |w|^power / power, or √ where the power is ½: faults as data."""

    factor: Any
    power: Any

    def __call__(self, w: Any) -> Any:
        return jnp.sum(self.factor * w**self.power)


@pytest.mark.parametrize(
    ("factor", "power", "eta", "outcome"),
    [
        # w ← (1 - η) w = -2w: the loss 2^2k/2 · ... grows until it is not finite.
        (0.5, 2.0, 3.0, Outcome.blow_up),
        # w ← w - 3 w³ from 1: -2, 22, -3e4, ... cubed each time.
        (0.75, 4.0, 1.0, Outcome.blow_up),
        # √w from 1: 1 - 0.3/(2√w): past 0 within four steps.
        (1.0, 0.5, 0.3, Outcome.nonfinite_grad),
    ],
)
def test_diverging_descent_is_no_success(
    factor: float, power: float, eta: float, outcome: Outcome
) -> None:
    """All iterates up to the last finite one are kept."""
    problem = gf.Objective(_Power(jnp.asarray(factor), jnp.asarray(power)))
    run = gf.iterate(
        problem,
        gf.gradient_descent(eta),
        jnp.ones(1),
        5000,
        save=gf.Save.steps(),
        throw=False,
    )
    assert run.result is outcome
    assert np.all(np.isfinite(run.ws))
    assert len(run.ts) == run.stats["num_steps"] + 1 < 5000
    with pytest.raises(gf.RunError, match=outcome.name):
        gf.iterate(problem, gf.gradient_descent(eta), jnp.ones(1), 5000)


def test_nan_made_by_an_optax_step_is_no_success() -> None:
    """The third update is NaN while loss and gradient are fine."""

    def root(updates: Any, w: Any) -> Any:
        return jnp.sqrt(w - 0.4) * updates

    spoil = optax.stateless(root)
    method = optax.chain(spoil, optax.sgd(0.5))
    problem = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
    run = gf.iterate(
        problem, gf.from_optax(method, eta=0.5), jnp.ones(()), 100, throw=False
    )
    assert run.result is Outcome.nonfinite_state
    # 1 → 1 - ½√0.6 = 0.6127 → 0.6127 (1 - ½√0.2127) = 0.4714 → 0.4084 → 0.3897: then
    # the square root is of a negative number.
    assert run.stats["num_steps"] == 4
    np.testing.assert_allclose(run.w1, 0.3897, atol=1e-4)


def test_budgets_and_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps, seconds, Ctrl-C: each its own outcome and all that was computed."""
    call: Any = (PROBLEM, gf.gradient_descent(0.05), W0, 10**6)
    steps = gf.iterate(*call, stops=[gf.MaxSteps(100)], throw=False)
    assert steps.result is Outcome.max_steps
    assert steps.stats["num_steps"] == 100
    np.testing.assert_allclose(steps.ts[-1], 5.0, rtol=1e-14)
    seconds = gf.iterate(*call, stops=[gf.WallClock(1e-9)], throw=False)
    assert seconds.result is Outcome.wall_clock
    assert 0 < seconds.stats["num_steps"] < 10**6

    def update(self: Any, t: float, **figures: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressLine, "update", update)
    with pytest.raises(gf.RunInterrupted) as caught:
        gf.iterate(*call)
    assert caught.value.trajectory.stats["num_steps"] > 0


def test_start_that_cannot_move_is_told() -> None:
    """At a minimum, and with every rate zero."""
    square = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
    run = gf.iterate(square, gf.gradient_descent(0.1), jnp.zeros(2), 5, throw=False)
    assert run.result is Outcome.zero_gradient


@pytest.mark.parametrize("num", [0, -1])
def test_number_of_steps_is_positive(num: int) -> None:
    """At least one."""
    with pytest.raises(ValueError, match="num_steps must be a whole number"):
        gf.iterate(PROBLEM, gf.gradient_descent(0.1), W0, num)


def test_step_sizes_of_a_schedule_set_the_clock() -> None:
    """w' = -w by Euler: w = Π (1 - η_k) at Σ η_k; stops are met on that clock."""
    problem = gf.Objective(lambda w: 0.5 * w**2)
    etas = np.array([0.5, 0.25, 0.1, 0.1])
    run = gf.iterate(
        problem, gf.gradient_descent(etas), jnp.array(1.0), 4, save=gf.Save.steps()
    )
    np.testing.assert_allclose(run.ts, [0.0, 0.5, 0.75, 0.85, 0.95], rtol=1e-15)
    expected = [1.0, 0.5, 0.375, 0.3375, 0.30375]
    np.testing.assert_allclose(run.ws, expected, rtol=1e-15)
    assert run.origin.law_name == "gradient descent, eta 0.1 to 0.5"
    saved = gf.iterate(
        problem,
        gf.gradient_descent(etas),
        jnp.array(1.0),
        4,
        save=gf.Save.at([0.74]),
        stops=[gf.LossBelow(0.06)],  # w below 0.3464: after the third step
    )
    np.testing.assert_allclose(saved.ts, [0.0, 0.75, 0.85], rtol=1e-15)
    assert saved.result is Outcome.loss_reached
    with pytest.raises(ValueError, match="5 steps, but 4 step sizes"):
        gf.iterate(problem, gf.gradient_descent(etas), jnp.array(1.0), 5)


def test_estimates_take_the_place_of_the_gradient() -> None:
    """Rows drawn by the key: the loop by hand, and no gradient counted."""

    def estimate(w: Any, key: Any) -> Any:
        row = jax.random.randint(key, (), 0, 4)
        z = jnp.tanh(jnp.asarray(MATRIX)[row] @ w["a"])
        r = z + w["b"] - jnp.asarray(TARGET)[row]
        return {"a": 4 * r * (1 - z**2) * jnp.asarray(MATRIX)[row], "b": 4 * r}

    key = jax.random.key(3)
    stepper = gf.gradient_descent(0.1)
    run = gf.iterate(PROBLEM, stepper, W0, 20, estimate=estimate, key=key)
    w = W0
    for k in range(20):
        g = estimate(w, jax.random.fold_in(key, k))
        w = jax.tree.map(lambda x, d: x - 0.1 * d, w, g)
    np.testing.assert_allclose(run.w1["a"], w["a"], rtol=1e-12)
    assert run.observed["loss"][-1] == pytest.approx(float(_loss(w)), rel=1e-12)
    assert run.stats["num_estimates"] == 20
    assert run.stats["num_gradients"] == 0
    with pytest.raises(ValueError, match="and a key"):
        gf.iterate(PROBLEM, stepper, W0, 20, estimate=estimate)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_last_step_is_saved_once(dtype: Any) -> None:
    """Also where its time is rounded down: float32 of 7 · 0.1 is below 0.7."""
    w0 = jax.tree.map(lambda x: x.astype(dtype), W0)
    run = gf.iterate(PROBLEM, gf.gradient_descent(0.1), w0, 7, save=gf.Save.steps())
    assert len(run.ts) == 8
