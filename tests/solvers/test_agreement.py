"""Every solver against an integrator that shares nothing with it, on twenty problems.

A problem is chosen by a number that is data, so that each solver compiles once for all.
"""

import functools
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from smooth_problems import CASES, Case

import gflow as gf
from gflow.solvers import BDF, RKC, ROCK4, Auto

_NUM_TIMES = 9


@jax.jit
def _loss_and_grad(index: Any, w: Any) -> Any:
    return jax.lax.switch(index, [jax.value_and_grad(c.loss) for c in CASES], w)


@jax.custom_vjp
def _chosen(index: Any, w: Any) -> Any:
    # Branches that are differentiated from without keep the residuals of all of them,
    # which takes minutes to compile.
    return _loss_and_grad(index, w)[0]


_chosen.defvjp(_loss_and_grad, lambda grad, ct: (None, ct * grad))


class _Loss(eqx.Module):
    """The loss of that number in the list."""

    index: jax.Array

    def __call__(self, w: Any) -> Any:
        return _chosen(self.index, w)


@jax.jit
def _velocity(index: Any, w: Any) -> Any:
    return -_loss_and_grad(index, w)[1]


def _times(case: Case) -> Any:
    return np.linspace(0, case.t1, _NUM_TIMES)


@functools.cache
def _reference(index: int) -> Any:
    """The flow by ODEPACK's LSODA at rtol 1e-12, called step by step from Python.

    Adams' methods, and backward differentiation with dense matrices where it is stiff.
    """
    case, number = CASES[index], jnp.asarray(index)
    solution = solve_ivp(
        lambda t, w: np.asarray(_velocity(number, w)),
        (0, case.t1),
        case.w0,
        method="LSODA",
        t_eval=_times(case),
        rtol=1e-12,
        atol=1e-14,
    )
    assert solution.success
    return solution.y.T


def _gap(index: int, ws: Any) -> float:
    """The largest distance from the reference, over the largest norm on the way."""
    exact = _reference(index)
    gaps = np.linalg.norm(ws - exact, axis=1)
    return gaps.max() / np.linalg.norm(exact, axis=1).max()


@functools.cache
def _bare(solver: Any) -> Any:
    """(number, w0, times, rtol) -> the states then, by a plain `diffeqsolve`."""

    @jax.jit
    def run(index: Any, w0: Any, times: Any, rtol: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, w, args: _velocity(args, w)),
            solver,
            times[0],
            times[-1],
            None,
            w0,
            index,
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-2 * rtol),
            adjoint=diffrax.ForwardMode(),
            max_steps=100_000,
            throw=False,
        ).ys

    return run


# A user's choice for 1e-7: ten to a hundred times less for methods whose errors follow
# the tolerance; RKC's do so only as its power 2/3.
SOLVERS = [
    (BDF(), 3e-10),
    (ROCK4(), 1e-9),
    (RKC(), 3e-11),
]


@pytest.mark.parametrize(
    ("solver", "rtol"), SOLVERS, ids=[type(solver).__name__ for solver, _ in SOLVERS]
)
def test_bare_solvers_agree_with_an_independent_one(solver: Any, rtol: float) -> None:
    """To 1e-7 of the scale of w, at nine times, on every problem."""
    run = _bare(solver)
    gaps = {}
    for index, case in enumerate(CASES):
        times = jnp.asarray(_times(case))
        ws = run(jnp.asarray(index), jnp.asarray(case.w0), times, jnp.asarray(rtol))
        gaps[case.name] = _gap(index, np.asarray(ws))
    assert {name: gap for name, gap in gaps.items() if not gap <= 1e-7} == {}


@pytest.mark.parametrize(
    ("solver", "names"),
    [
        # Not by a plain `diffeqsolve`: from Wood's start diffrax 0.7.2 rejects every
        # step of Tsit5 unless it is told the first one.
        (diffrax.Tsit5(), {"Tsit5"}),
        (Auto(), {"Tsit5", "Tsit5, then BDF"}),
    ],
    ids=["Tsit5", "Auto"],
)
def test_simulate_agrees_with_an_independent_solver(
    solver: Any, names: set[str]
) -> None:
    """The same through `simulate`, with the solvers that `Auto` chooses on the way."""
    gaps, plans = {}, set()
    for index, case in enumerate(CASES):
        run = gf.simulate(
            gf.Objective(_Loss(jnp.asarray(index))),
            gf.GradientFlow(),
            jnp.asarray(case.w0),
            case.t1,
            rtol=3e-10,
            atol=3e-12,
            solver=solver,
            save=gf.Save.at(_times(case)[1:]),
        )
        gaps[case.name] = _gap(index, run.ws)
        plans.add(run.plan.solver)
    assert {name: gap for name, gap in gaps.items() if not gap <= 1e-7} == {}
    assert plans == names


def test_numbers_that_are_not_used_stand_still() -> None:
    """And each problem does move those that it uses."""
    for index, case in enumerate(CASES):
        moved = _reference(index)[-1] != case.w0
        assert moved.any()
        assert not moved[len(np.trim_zeros(moved, "b")) :].any()
