"""The automatic choice of solver where a loss has kinks."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import same_bits
from jax.flatten_util import ravel_pytree

import gflow as gf
from gflow.models import TwoLayerReLU
from gflow.problem import KinkedObjective
from gflow.solvers import Auto, Filippov


def test_declared_kinks_go_to_filippov() -> None:
    """|w| from 1 is at its kink at t = 1 and stays."""
    problem = KinkedObjective(lambda w, act: jnp.sum(act(w)), slopes=(-1.0, 1.0))
    run = gf.simulate(problem, gf.GradientFlow(), jnp.array([1.0]), 2.0)
    assert run.plan.solver == "Filippov"
    assert run.stats["solver"]["slides"] == 1
    assert abs(float(run.w1[0])) < 1e-6


def _net(num: int, width: int) -> tuple[gf.EmpiricalRisk, Any]:
    """Square loss of a two-layer ReLU net on random labels, and LeCun's start."""
    rng = np.random.default_rng(0)
    net = TwoLayerReLU(4, width)
    X, y = rng.standard_normal((num, 4)), rng.standard_normal(num)
    problem = net.problem(X, y, rates=(1.0, 0.1))
    return problem, net.init(key=jax.random.key(0))


@pytest.mark.parametrize(("num", "solver"), [(50, Filippov), (51, diffrax.Heun)])
def test_up_to_5000_kinks_are_located(num: int, solver: type) -> None:
    """One for each of the examples and each of 100 units."""
    problem, w0 = _net(num, 100)
    choice = Auto().first(problem, w0)
    assert isinstance(choice.solver, solver)
    largest = max(float(jnp.max(jnp.abs(x))) for x in w0.values())
    many = solver is diffrax.Heun
    assert choice.least_rtol == (1e-4 if many else 0.0)
    assert choice.least_atol == pytest.approx(1e-7 * largest if many else 0.0)


def test_many_kinks_are_passed_unlocated_and_told() -> None:
    """60 x 100 pairs against the limit of Euler's method, of order 1 along slides."""
    problem, w0 = _net(60, 100)
    run = gf.simulate(problem, gf.GradientFlow(), w0, 0.2)
    assert run.plan.solver == "Heun"
    assert run.result is gf.Outcome.reached_roughly
    assert "6000 of them" in run.plan.reason

    @jax.jit
    def by_euler(num: Any) -> Any:
        def step(_: Any, w: Any) -> Any:
            return jax.tree.map(lambda a, b: a + 0.2 / num * b, w, problem.velocity(w))

        return ravel_pytree(jax.lax.fori_loop(0, num, step, w0))[0]

    coarse, fine = by_euler(8_000), by_euler(16_000)
    limit, end = 2 * fine - coarse, ravel_pytree(run.w1)[0]
    scale = jnp.linalg.norm(limit)
    assert jnp.linalg.norm(fine - limit) < 1e-5 * scale
    # The tolerance it is run at is 1e-4.
    assert jnp.linalg.norm(end - limit) < 5e-5 * scale
    # Tighter tolerances than those it is run at change nothing.
    tight = gf.simulate(problem, gf.GradientFlow(), w0, 0.2, rtol=1e-9, atol=1e-13)
    assert same_bits(tight, run)
    # A stop on the way hides nothing of it.
    stop = gf.LossBelow(float(np.mean(run.observed["loss"][[0, -1]])))
    part = gf.simulate(problem, gf.GradientFlow(), w0, 0.2, stops=[stop])
    assert part.result is gf.Outcome.loss_reached
    assert "solved at rtol 1.0e-04" in str(part)
    assert "errors of first order in the step" in str(part)
    assert "declare the kinks" not in str(part)


def test_kinks_that_are_not_declared_are_told() -> None:
    """|w| + w²/20 slides at 0, where Tsit5 chatters: the outcome says what holds."""
    # The second component keeps the flow going: y' = -y, and it sees no kink.
    problem = gf.Objective(lambda w: jnp.abs(w[0]) + 0.05 * w[0] ** 2 + 0.5 * w[1] ** 2)
    options: dict[str, Any] = {"rtol": 1e-6, "stops": [gf.MaxSteps(20_000)]}
    run = gf.simulate(
        problem,
        gf.GradientFlow(),
        jnp.array([0.5, 1.0]),
        5.0,
        throw=False,
        **options,
    )
    assert "kinks that the problem does not declare" in run.plan.reason
    assert run.result is not gf.Outcome.reached_end
    # Whatever ended it, it did not hold the tolerance asked for.
    assert "solved at rtol 1.0e-03" in str(run)
    assert "declare the kinks (problem.KinkedObjective)" in str(run)
