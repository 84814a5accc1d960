"""Every solver against an integrator that shares nothing with it, on twenty problems.

The problems are functions of one flat vector of one size, chosen by a number that is
data, so that each solver compiles once for all. Numbers that a problem does not use
stand still.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import gflow as gf
from gflow.solvers import BDF, RKC, ROCK4, Auto

SIZE = 12
_NUM_TIMES = 9

_RNG = np.random.default_rng(7)
_ROTATION = np.linalg.qr(_RNG.standard_normal((SIZE, SIZE)))[0]
_FEATURES = _RNG.standard_normal((15, 4))
_SIGNS = np.sign(_FEATURES @ np.array([1.0, -1.0, 0.5, 0.0]) + 0.3)
_CLASSES = np.eye(3)[_RNG.integers(0, 3, 15)]
_DESIGN = _RNG.standard_normal((8, 6)) / np.sqrt(8)
_SPARSE = _DESIGN @ np.array([1.0, 0.0, -0.5, 0.0, 0.0, 0.3])
_TARGET = _RNG.standard_normal((3, 3))
_PLANE = _RNG.standard_normal((10, 2))
_CURVE = np.sin(2 * _PLANE[:, 0]) * _PLANE[:, 1]


def _quadratic(w: Any, low: float, high: float) -> Any:
    rates = np.geomspace(low, high, SIZE)
    return 0.5 * jnp.sum(rates * (_ROTATION.T @ w - 0.3) ** 2)


def _rosenbrock(w: Any) -> Any:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def _beale(w: Any) -> Any:
    powers = jnp.stack([w[1], w[1] ** 2, w[1] ** 3])
    return jnp.sum((np.array([1.5, 2.25, 2.625]) - w[0] * (1 - powers)) ** 2)


def _himmelblau(w: Any) -> Any:
    return (w[0] ** 2 + w[1] - 11) ** 2 + (w[0] + w[1] ** 2 - 7) ** 2


def _powell(w: Any) -> Any:
    a, b, c, d = w[:4]
    return (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


def _wood(w: Any) -> Any:
    a, b, c, d = w[:4]
    return (
        _rosenbrock(w)
        + 90 * (d - c**2) ** 2
        + (1 - c) ** 2
        + 10.1 * ((b - 1) ** 2 + (d - 1) ** 2)
        + 19.8 * (b - 1) * (d - 1)
        + 0 * a
    )


def _booth(w: Any) -> Any:
    return (w[0] + 2 * w[1] - 7) ** 2 + (2 * w[0] + w[1] - 5) ** 2


def _logistic(w: Any) -> Any:
    return jnp.mean(jnp.logaddexp(0.0, -_SIGNS * (_FEATURES @ w[:4])))


def _softmax(w: Any) -> Any:
    scores = _FEATURES @ w.reshape(4, 3)
    return -jnp.mean(jnp.sum(_CLASSES * jax.nn.log_softmax(scores), axis=1))


def _diagonal_2(w: Any) -> Any:
    return 0.5 * jnp.sum((_DESIGN @ (w[:6] ** 2 - w[6:] ** 2) - _SPARSE) ** 2)


def _diagonal_3(w: Any) -> Any:
    coefficients = jnp.prod(w.reshape(3, 4), axis=0)
    return 0.5 * jnp.sum((_DESIGN[:, :4] @ coefficients - _SPARSE) ** 2)


def _linear_chain(w: Any) -> Any:
    one, two, three = w.reshape(3, 2, 2)
    return 0.5 * jnp.sum((three @ two @ one - np.diag([2.0, 1.0])) ** 2)


def _factorization(w: Any) -> Any:
    left, right = w.reshape(2, 3, 2)
    return 0.5 * jnp.sum((left @ right.T - _TARGET) ** 2)


def _tanh_net(w: Any) -> Any:
    hidden = jnp.tanh(_PLANE @ w[:6].reshape(2, 3) + w[6:9])
    return 0.5 * jnp.sum((hidden @ w[9:] - _CURVE) ** 2)


def _double_well(w: Any) -> Any:
    return 0.25 * jnp.sum((w**2 - 1) ** 2) + 0.5 * jnp.sum((w[1:] - w[:-1]) ** 2)


def _pseudo_huber(w: Any) -> Any:
    gaps = _FEATURES @ w[:4] - 3 * _SIGNS
    return jnp.sum(jnp.sqrt(1 + gaps**2) - 1)


def _log_cosh(w: Any) -> Any:
    x = 4 * (_DESIGN @ w[:6] - _SPARSE)
    return jnp.sum(jnp.logaddexp(x, -x))


def _saddle(w: Any) -> Any:
    return 0.5 * (w[0] ** 2 - w[1] ** 2) + 0.25 * (w[1] ** 2 + w[0] * w[1]) ** 2


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss of the flat vector, where its flow starts, and for how long it runs."""

    name: str
    loss: Callable[[Any], Any]
    w0: Any
    t1: float


def _padded(*numbers: float) -> Any:
    return np.pad(np.array(numbers), (0, SIZE - len(numbers)))


_SMALL = 0.3 * _RNG.standard_normal(SIZE)
_CHAIN = 0.1 * np.tile(np.eye(2).ravel(), 3) + 0.01 * _RNG.standard_normal(SIZE)

CASES = (
    Case("round quadratic", lambda w: _quadratic(w, 0.5, 5.0), np.ones(SIZE), 5.0),
    Case("narrow quadratic", lambda w: _quadratic(w, 0.1, 1e3), np.ones(SIZE), 20.0),
    Case("quartic", lambda w: 0.25 * jnp.sum(w**2) ** 2, np.ones(SIZE) / 3, 20.0),
    Case("Rosenbrock", _rosenbrock, _padded(-1.2, 1.0), 5.0),
    Case("Beale", _beale, _padded(1.0, 1.0), 5.0),
    Case("Himmelblau", _himmelblau, _padded(0.1, -0.2), 0.5),
    Case("Powell singular", _powell, _padded(3.0, -1.0, 0.0, 1.0), 20.0),
    Case("Wood", _wood, _padded(-3.0, -1.0, -3.0, -1.0), 2.0),
    Case("Booth", _booth, _padded(-5.0, 5.0), 2.0),
    Case("logistic", _logistic, _padded(0.0), 100.0),
    Case("softmax", _softmax, _padded(0.0), 50.0),
    Case("diagonal net, depth 2", _diagonal_2, 0.1 + 0 * _SMALL, 30.0),
    Case("diagonal net, depth 3", _diagonal_3, np.abs(_SMALL), 50.0),
    Case("deep linear chain", _linear_chain, _CHAIN, 20.0),
    Case("factorization", _factorization, _SMALL, 10.0),
    Case("tanh net", _tanh_net, 2 * _SMALL, 10.0),
    Case("double well", _double_well, _SMALL, 10.0),
    Case("pseudo-Huber", _pseudo_huber, _padded(-5.0, 4.0, 3.0, -2.0), 5.0),
    Case("log-cosh", _log_cosh, _padded(2.0, -2.0, 2.0, -2.0, 1.0), 5.0),
    Case("start near a saddle", _saddle, _padded(1.0, 1e-3), 15.0),
)


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
