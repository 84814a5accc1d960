"""The choice of solver, and what it costs."""

from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from closed_forms import closed_form

import gflow as gf
from gflow._simulate import _setting
from gflow.solvers import Auto, Choice, Evaluations, choose, num_evaluations


class _Counter:
    """Counts on the host what compiled programs do."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1

    def read(self) -> int:
        jax.effects_barrier()
        return self.count


class _CountedFlow(gf.Flow):
    """Gradient flow that tells each evaluation of its right side, as it is run."""

    counter: _Counter = eqx.field(static=True)
    monotone: ClassVar[bool] = True

    def init(self, w0: Any) -> Any:
        return gf.GradientFlow().init(w0)

    def terms(self, static: Any) -> Any:
        inner = gf.GradientFlow().terms(static)

        def field(t: Any, state: Any, problem: gf.Problem) -> Any:
            jax.debug.callback(self.counter)
            return inner.vf(t, state, problem)

        return diffrax.ODETerm(field)  # pyright: ignore[reportArgumentType]

    def params(self, state: Any) -> Any:
        return state.w

    def energy(self, state: Any) -> Any:
        return state.energy


@pytest.mark.parametrize(
    "solver",
    [
        diffrax.Tsit5(),
        diffrax.Dopri5(),
        diffrax.Dopri8(),
        diffrax.Heun(),
        diffrax.Bosh3(),
    ],
    ids=lambda solver: type(solver).__name__,
)
def test_gradients_are_counted_as_they_are_taken(solver: Any) -> None:
    """The count of a run is that of its evaluations, rejected steps included."""
    counter = _Counter()
    form = closed_form("regression")
    run = gf.simulate(
        form.problem, _CountedFlow(counter), form.w0, 5.0, rtol=1e-5, solver=solver
    )
    assert counter.read() == run.stats["num_gradients"]
    assert run.stats["num_steps"] > 10
    assert run.stats["num_losses"] == run.stats["num_steps"] + 1


def test_default_is_told_with_its_reason() -> None:
    """Auto begins with Tsit5; a caller's choice is called that, and stays."""
    first = choose(Auto())
    assert isinstance(first.solver, diffrax.Tsit5)
    assert "Auto" in first.plan.reason
    assert first.next_look is not None
    own = choose(diffrax.Bosh3())
    assert own.plan.reason == "chosen by the caller"
    assert own.next_look is None


def test_a_solver_without_an_error_estimate_doubles_its_steps() -> None:
    """Euler alone cannot be adapted; in HalfSolver it can, and is not counted."""
    choice = choose(diffrax.Euler())
    assert isinstance(choice.solver, diffrax.HalfSolver)
    assert choice.plan.solver == "HalfSolver(Euler)"
    for solver in (choice.solver, diffrax.Kvaerno5()):
        assert num_evaluations(solver, 10, 0, 0) == Evaluations(None, None)


def test_a_loosened_run_is_guarded_at_its_own_tolerance() -> None:
    """The share of the loss that the guard lets be off follows the rtol in use."""
    params = jnp.array([0.5, -4.0])
    problem = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
    options = None, None, 1e-9, 1e-12, ()
    setting = _setting(problem, gf.GradientFlow(), params, *options)
    assert float(setting.guard(0).balance.tolerance) == pytest.approx(1e-9 + 1e-12 / 4)
    plan = gf.trajectory.Plan("", "")
    choice = Choice(diffrax.Heun(), plan, least_rtol=1e-4, least_atol=1e-5)
    guard = setting.using(choice).guard(0)
    assert float(guard.balance.tolerance) == pytest.approx(1e-4 + 1e-5 / 4)
