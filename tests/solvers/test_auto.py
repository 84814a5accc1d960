"""The automatic choice of solver, in runs."""

from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import closed_form, same_bits

import gflow as gf
from gflow.solvers import BDF, Filippov


class _Quadratic(eqx.Module):
    """½ Σ a w², so that w_i(t) = w_i(0) exp(-a_i t)."""

    a: jax.Array

    def __call__(self, w: Any) -> Any:
        return 0.5 * jnp.sum(self.a * w**2)


_RATES = jnp.geomspace(1e-3, 1e2, 12)
_STIFF = gf.Objective(_Quadratic(_RATES))


def _stiff(**options: Any) -> gf.Trajectory:
    w0 = options.pop("w0", jnp.ones(12))
    return gf.simulate(_STIFF, gf.GradientFlow(), w0, 1e3, **options)


def _error(run: gf.Trajectory) -> float:
    exact = np.exp(-np.asarray(_RATES) * 1e3)
    return float(np.linalg.norm(run.w1 - exact) / np.linalg.norm(exact))


@pytest.fixture(scope="module")
def stiff() -> gf.Trajectory:
    return _stiff(rtol=1e-5)


def test_a_stiff_flow_is_handed_to_bdf(stiff: gf.Trajectory) -> None:
    """Sharpness times horizon is 1e5: 30,000 steps for Tsit5 (stability 3.3/ρ)."""
    assert stiff.plan.solver == "Tsit5, then BDF"
    assert "stiff from t" in stiff.plan.reason
    assert _error(stiff) < 1e-3
    total = stiff.stats["num_gradients"] + 2 * stiff.stats["num_hvps"]
    assert total < 6 * 1e5 / 3.3 / 50


def test_a_handover_early_in_a_long_flow() -> None:
    """At t = 2e-8 the first step of a fresh solver is lost beside t.

    It was taken for no step at all, and the whole length tried: BDF failed on its way
    down from there, and what followed it took 1e7 gradients to t = 100.
    """
    rates = jnp.geomspace(1e-8, 1e8, 12)
    w0 = jnp.asarray(np.random.default_rng(0).standard_normal(12))
    parts = gf.Objective(_Quadratic(rates)), gf.GradientFlow(), w0, 1e6
    run = gf.simulate(*parts, rtol=1e-6, stops=[gf.MaxSteps(10_000)], throw=False)
    assert run.result is gf.Outcome.reached_end
    assert run.plan.solver == "Tsit5, then BDF"
    exact = w0 * jnp.exp(-rates * 1e6)
    assert jnp.linalg.norm(run.w1 - exact) < 1e-6 * jnp.linalg.norm(exact)
    assert run.stats["num_rejected"] < 0.05 * run.stats["num_steps"]


def test_resuming_after_the_change_gives_the_same_bits(stiff: gf.Trajectory) -> None:
    """What the choice rests on is part of what a run stands on."""
    short = _stiff(rtol=1e-5, stops=[gf.MaxSteps(40)], throw=False)
    assert short.result is gf.Outcome.max_steps
    assert same_bits(_stiff(rtol=1e-5, resume=short), stiff)


def test_a_flow_that_is_not_stiff_pays_nothing() -> None:
    """The forecast is cheap, so that no look costs a gradient, and no step differs."""
    form = closed_form("logistic")
    auto, tsit5 = form.simulate(), form.simulate(solver=diffrax.Tsit5())
    assert auto.plan.solver == "Tsit5"
    for name in ("num_gradients", "num_hvps", "num_steps"):
        assert auto.stats[name] == tsit5.stats[name]


def test_float32_goes_to_a_solver_without_linear_solves() -> None:
    """Newton's products drown in round-off."""
    run = _stiff(w0=jnp.ones(12, "float32"), rtol=1e-3, atol=1e-5)
    assert run.plan.solver == "Tsit5, then RKC"
    assert _error(run) < 0.1


def test_a_clock_goes_to_a_solver_without_linear_solves() -> None:
    """Under it the derivative of the field is not symmetric."""
    run = _stiff(rtol=1e-3, clock=gf.ArcLength())
    assert run.plan.solver == "Tsit5, then RKC"
    assert _error(run) < 0.1


def test_stiff_components_that_have_died_down_are_found() -> None:
    """The velocity is all slow where stability holds the steps."""
    a = jnp.logspace(0, 3, 30)
    problem = gf.Objective(_Quadratic(a))
    run = gf.simulate(problem, gf.GradientFlow(), jnp.ones(30), 30.0, rtol=1e-4)
    assert run.plan.solver == "Tsit5, then BDF"
    # Tsit5 alone: 6 ρT/3.3 = 54,000.
    assert run.stats["num_gradients"] < 3_000


def test_a_loss_without_forward_derivatives_is_no_obstacle() -> None:
    """Looks take differences of the gradient, which a custom rule may make."""

    @jax.custom_vjp
    def loss(w: Any) -> Any:
        return 0.5 * jnp.sum(_RATES * w**2)

    loss.defvjp(lambda w: (loss(w), w), lambda w, g: (g * _RATES * w,))
    run = gf.simulate(gf.Objective(loss), gf.GradientFlow(), jnp.ones(12), 1e3)
    assert run.plan.solver == "Tsit5, then BDF"


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_large_parameter_hides_no_small_ones(rate: float) -> None:
    """Differences of the gradient are over increments fit for each parameter.

    Fit for the largest, 1e6 times the others, they made errors of 160 rtol, and ten
    times as many gradients.
    """
    rates = jnp.array([1.0, 50.0, 500.0])

    def loss(w: Any) -> Any:
        bent = 0.5 * jnp.sum(rates * (w["a"] - jnp.tanh(w["b"])) ** 2)
        return bent + 0.1 * jnp.sum(w["b"] ** 4) + 0.5 * (w["large"] / 1e6 - 1.5) ** 2

    w0 = {"a": jnp.ones(3), "b": jnp.array([0.5, 1.0, 2.0]), "large": jnp.array(1e6)}
    problem = gf.Objective(loss, rates={"a": 1.0, "b": 2.0, "large": rate})

    def end(**options: Any) -> tuple[gf.Trajectory, Any]:
        run = gf.simulate(problem, gf.GradientFlow(), w0, 5.0, **options)
        return run, np.concatenate([run.w1["a"], run.w1["b"]])

    run, w = end(rtol=1e-6)
    _, exact = end(rtol=1e-10, atol=1e-13, solver=diffrax.Tsit5())
    assert run.plan.solver == "Tsit5, then BDF"
    assert np.linalg.norm(w - exact) < 1e-5 * np.linalg.norm(exact)
    assert run.stats["num_gradients"] < 1_500


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_polynomial_has_no_kinks(seed: int) -> None:
    """Depth-3 factorization through its saddles, where J f passes through zero."""
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(8, 2)) @ rng.normal(size=(2, 8))
    w0 = [jnp.asarray(0.1 * rng.normal(size=(8, 8))) for _ in range(3)]
    run = gf.simulate(
        gf.Objective(lambda w: 0.5 * jnp.sum((w[0] @ w[1] @ w[2] - target) ** 2)),
        gf.GradientFlow(),
        w0,
        200.0,
        rtol=1e-6,
    )
    assert run.result is gf.Outcome.reached_end


class _Skew(gf.GradientFlow):
    """A flow that says nothing of its derivative."""

    symmetric: ClassVar[bool] = False


def test_solvers_for_gradient_flow_are_for_no_other() -> None:
    """A derivative that is not symmetric: refused if asked for, not chosen if not."""
    loss = gf.Objective(lambda w: 0.5 * jnp.sum(jnp.array([1.0, 1e4]) * w**2))
    w0 = jnp.ones(2)
    with pytest.raises(ValueError, match="for gradient flow, not for _Skew"):
        gf.simulate(loss, _Skew(), w0, 1.0, solver=BDF())
    run = gf.simulate(loss, _Skew(), w0, 0.5, rtol=1e-3)
    assert run.plan.solver == "Tsit5"


def test_a_solver_that_does_not_fit_is_refused() -> None:
    """Filippov without kinks, BDF under a clock: told before anything runs."""
    with pytest.raises(ValueError, match="declares its kinks"):
        _stiff(solver=Filippov())
    with pytest.raises(ValueError, match="under a clock"):
        _stiff(solver=BDF(), clock=gf.LogTime())
