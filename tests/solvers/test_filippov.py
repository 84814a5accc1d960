"""Flows across kinks and along them."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.invariants import relu_invariants
from gflow.models import DeepReLU, TwoLayerReLU
from gflow.problem import KinkedObjective
from gflow.solvers import Filippov

SOLVER = Filippov()


@eqx.filter_jit
def solve(problem: Any, w0: Any, ts: Any, rtol: Any = 1e-8) -> Any:
    """A bare diffeqsolve, saved at `ts`."""
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, w, problem: problem.velocity(w)),
        SOLVER,
        ts[0],
        ts[-1],
        0.1,
        w0,
        problem,
        saveat=diffrax.SaveAt(ts=ts, solver_state=True),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-3 * rtol),
        max_steps=2000,
    )


def report(run: Any) -> dict[str, int]:
    state = getattr(run, "solver_state", None)
    if state is None:
        state = run.checkpoint.checkpoint.solver_state
    return {name: int(value) for name, value in SOLVER.report(state).items()}


def test_absolute_value_ends_in_finite_time() -> None:
    """|w| falls at rate 1, reaches its kink at t = |w0| and stays."""
    problem = KinkedObjective(lambda w, act: jnp.sum(act(w)), slopes=(-1.0, 1.0))
    w0, ts = np.array([1.0, -3.0, 0.0]), np.array([0.0, 0.5, 1.5, 3.5])
    run = solve(problem, jnp.asarray(w0), jnp.asarray(ts))
    expected = np.sign(w0) * np.maximum(np.abs(w0) - ts[:, None], 0)
    np.testing.assert_allclose(run.ys, expected, atol=1e-14)
    # The third lies on its kink from the start.
    assert report(run)["slides"] == 2
    assert report(run)["most_held"] == 3


def test_a_kink_whose_sides_agree_is_crossed() -> None:
    """|w| + 3 w: velocity -4 above the kink, -2 below; at 0 at t = 1/4."""
    problem = KinkedObjective(lambda w, act: act(w) + 3 * w, slopes=(-1.0, 1.0))
    run = solve(problem, jnp.array(1.0), jnp.array([0.0, 0.125, 1.25]))
    np.testing.assert_allclose(run.ys, [1.0, 0.5, -2.0], atol=1e-12)
    assert [report(run)[k] for k in ("crossings", "slides", "exits")] == [1, 0, 0]


EXIT = KinkedObjective(
    lambda w, act: act(w[0]) - w[0] * w[1] - 0.5 * w[1], slopes=(-1.0, 1.0)
)


def exit_exact(t: float) -> Any:
    """The flow of |x| - x y - y/2 from (1/2, 0).

    With u = x + 1/2, v = y - 1 it is u' = v, v' = u above the kink, so u = e^-t and
    v = -e^-t until x = 0 at log 2, y = 1/2. On the kink y' = 1/2, and the multiplier
    that holds x is λ = y, which is 1 at t = log 2 + 1. From there with τ past it,
    x = (cosh τ - 1)/2 and y = 1 + (sinh τ)/2.
    """
    hold, leave = np.log(2), np.log(2) + 1
    if t < hold:
        return np.array([np.exp(-t) - 0.5, 1 - np.exp(-t)])
    if t < leave:
        return np.array([0.0, 0.5 + 0.5 * (t - hold)])
    tau = t - leave
    return np.array([0.5 * (np.cosh(tau) - 1), 1 + 0.5 * np.sinh(tau)])


def test_slides_and_leaves_in_time() -> None:
    """Saved points before, on and after the kink follow the closed form."""
    ts = np.linspace(0.0, 3.0, 13)
    expected = np.stack([exit_exact(t) for t in ts])
    for rtol in (1e-4, 1e-6, 1e-9):
        run = solve(EXIT, jnp.array([0.5, 0.0]), jnp.asarray(ts), rtol)
        assert np.abs(run.ys - expected).max() < 10 * rtol
        assert [report(run)[k] for k in ("crossings", "slides", "exits")] == [0, 1, 1]


def test_order_five_across_kinks() -> None:
    """Fixed steps, onto a kink, along it and off it."""

    @eqx.filter_jit
    def end(h: Any) -> Any:
        solution: Any = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, w, problem: problem.velocity(w)),
            SOLVER,
            0.0,
            3.0,
            h,
            jnp.array([0.5, 0.0]),
            EXIT,
            stepsize_controller=diffrax.ConstantStepSize(),
            max_steps=4096,
        )
        return solution.ys[-1]

    steps = 0.6 / 2.0 ** np.arange(5)
    errors = [np.abs(end(jnp.asarray(h)) - exit_exact(3.0)).max() for h in steps]
    # Where in a step a kink lies changes the constant from one step size to the next:
    # the slope over a factor of sixteen in h tells.
    slope = np.log(errors[0] / errors[-1]) / np.log(16)
    assert 4.6 < slope < 5.6


def test_corner_takes_the_slowest_of_all_mixtures() -> None:
    """Where kinks meet, the velocity is the least-norm element of all subgradients."""
    # L = Σ c_i |z_i| + p.w with z = B w, at w = 0: -dw/dt = p + Bᵀ(c s), s in [-1, 1]².
    B = np.array([[1.0, 0.6], [0.2, 1.0]])
    for p, held in (((0.9, 0.3), 2), ((3.0, 0.9), 1), ((-3.0, -4.0), 0)):
        problem = KinkedObjective(
            lambda w, act: (
                jnp.array([1.0, 2.0]) @ act(jnp.asarray(B) @ w[:2]) + w[2:] @ w[:2]
            ),
            slopes=(-1.0, 1.0),
            rates=1.0,
        )
        # p stands in w and would move; its own motion is w, zero at first.
        w0 = jnp.array([0.0, 0.0, *p])
        run = solve(problem, w0, jnp.array([0.0, 1e-4]))
        velocity = np.asarray(run.ys[-1][:2]) / 1e-4
        grid = np.linspace(-1, 1, 801)
        s = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1)
        slow = np.array(p) + (s * [1.0, 2.0]) @ B
        least = slow.reshape(-1, 2)[np.argmin((slow**2).sum(-1))]
        np.testing.assert_allclose(velocity, -least, atol=5e-3)
        assert report(run)["most_held"] == held


def test_a_kink_that_turns_repelling_is_reported() -> None:
    """y |x| - y: y falls through zero while x is held, and then x may go either way."""
    problem = KinkedObjective(
        lambda w, act: w[1] * act(w[0]) + w[1], slopes=(-1.0, 1.0)
    )
    run = solve(problem, jnp.array([0.0, 1.0]), jnp.array([0.0, 0.9]))
    assert report(run)["undetermined"] == 0
    run = solve(problem, jnp.array([0.0, 1.0]), jnp.array([0.0, 1.5]))
    assert report(run)["undetermined"] == 1
    assert report(run)["unresolved"] == 0


def instance(seed: int, n: int, d: int, m: int) -> tuple[Any, Any, Any]:
    """Data and weights in the draw order of the reference numbers."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    W = rng.standard_normal((m, d)) / np.sqrt(d)
    a = rng.standard_normal(m) / np.sqrt(m)
    return X, y, {"w": jnp.asarray(W), "a": jnp.asarray(a)}


def flow(problem: Any, w0: Any, ts: Any, rtol: float, **options: Any) -> Any:
    save = gf.Save.at(np.asarray(ts))
    options = {"rtol": rtol, "atol": 1e-3 * rtol, "save": save, **options}
    return gf.simulate(problem, gf.GradientFlow(), w0, ts[-1], solver=SOLVER, **options)


def test_two_layer_relu_has_the_reference_losses() -> None:
    """n = 50, d = 10, m = 8: four digits at rtol 1e-6; invariants within 10 rtol."""
    X, y, w0 = instance(0, 50, 10, 8)
    net = TwoLayerReLU(10, 8)
    problem, laws = net.problem(X, y), relu_invariants(net)
    for rtol in (1e-4, 1e-6, 1e-8):
        run = flow(problem, w0, [0.1, 0.5, 2.0], rtol, invariants=laws)
        # From an active-set integrator at rtol 1e-9 and from fixed-step Euler.
        expected = [17.6495, 9.8215, 0.7864]
        np.testing.assert_allclose(run.observed["loss"][1:], expected, rtol=1e-4)
        assert run.drift["neurons"].relative < 10 * rtol
        assert run.energy_defect is not None
        assert run.energy_defect < 10 * rtol
    found = report(run)
    assert found["crossings"] > 50
    assert found["slides"] > 30
    assert found["exits"] > 30
    assert found["undetermined"] == found["unresolved"] == 0


def by_euler(problem: Any, w0: Any, t1: float, steps: tuple[int, ...]) -> list[float]:
    """The loss at t1 by explicit Euler of that many steps."""

    @jax.jit
    def end(n: Any) -> Any:
        def step(_: Any, w: Any) -> Any:
            return jax.tree.map(lambda a, b: a + t1 / n * b, w, problem.velocity(w))

        return problem.loss(jax.lax.fori_loop(0, n, step, w0))

    return [float(end(n)) for n in steps]


@pytest.mark.parametrize("slopes", [(0.0, 1.0), (0.2, 1.0), (-1.0, 1.0)])
def test_two_layers_agree_with_the_limit_of_euler(slopes: tuple[float, float]) -> None:
    """ReLU, leaky and absolute-value units with two rates, on a small net."""
    X, y, w0 = instance(3, 12, 3, 4)
    net = TwoLayerReLU(3, 4, slopes=slopes)
    problem = net.problem(X, y, rates=(1.0, 0.5))
    run = flow(problem, w0, [1.5], 1e-7)
    assert report(run)["slides"] > 0
    assert report(run)["undetermined"] == 0
    coarse, fine = by_euler(problem, w0, 1.5, (100_000, 200_000))
    limit = 2 * fine - coarse
    assert abs(run.observed["loss"][-1] - limit) < 1e-4 * limit


def test_deep_nets_agree_with_the_limit_of_euler() -> None:
    """Multipliers in two layers at once."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((10, 4)), rng.standard_normal(10)
    net = DeepReLU(4, (6, 5))
    problem, w0 = net.problem(X, y), net.init(key=jax.random.key(1))
    run = flow(problem, w0, [2.0], 1e-7, invariants=relu_invariants(net))
    assert report(run)["most_held"] > 2
    assert report(run)["unresolved"] == 0
    coarse, fine = by_euler(problem, w0, 2.0, (50_000, 100_000))
    limit = 2 * fine - coarse
    assert abs(run.observed["loss"][-1] - limit) < 1e-4 * limit
    assert all(drift.relative < 1e-6 for drift in run.drift.values())


def test_a_resumed_run_has_the_same_bits() -> None:
    """Modes and multipliers are part of the state that a stopped run keeps."""
    X, y, w0 = instance(3, 12, 3, 4)
    problem = TwoLayerReLU(3, 4).problem(X, y, rates=(1.0, 0.5))
    whole = flow(problem, w0, [1.5], 1e-7)
    stopped = flow(problem, w0, [1.5], 1e-7, stops=[gf.MaxSteps(20)], throw=False)
    assert stopped.result is gf.Outcome.max_steps
    rest = flow(problem, w0, [1.5], 1e-7, resume=stopped)
    np.testing.assert_array_equal(rest.w1["w"], whole.w1["w"])
    assert report(rest) == report(whole)


def test_misuse_is_named() -> None:
    """A problem that declares nothing has no kinks to follow."""
    problem = gf.Objective(lambda w: jnp.sum(jnp.abs(w)))
    with pytest.raises(TypeError, match="declares its kinks"):
        solve(problem, jnp.ones(2), jnp.array([0.0, 1.0]))
