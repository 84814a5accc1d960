"""Flows across kinks and along them."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from corners import SOLVER, corner, report, solve

import gflow as gf
from gflow.invariants import relu_invariants
from gflow.models import DeepReLU, TwoLayerReLU


def events(run: Any) -> list[int]:
    return [report(run)[k] for k in ("crossings", "slides", "exits")]


def test_absolute_value_ends_in_finite_time() -> None:
    """|w| falls at rate 1, reaches its kink at t = |w0| and stays."""
    w0, ts = np.array([1.0, -3.0, 0.0]), np.array([0.5, 1.5, 3.5])
    run = solve(corner(np.eye(3), np.ones(3)), w0, ts)
    expected = np.sign(w0) * np.maximum(np.abs(w0) - ts[:, None], 0)
    np.testing.assert_allclose(run.ys[:, :3], expected, atol=1e-14)
    # The third lies on its kink from the start.
    assert events(run) == [0, 2, 0]
    assert report(run)["most_held"] == 3


def test_a_kink_whose_sides_agree_is_crossed() -> None:
    """|w| + 3 w: velocity -4 above the kink, -2 below; at 0 at t = 1/4."""
    run = solve(corner([[1.0]], [1.0], [3.0]), [1.0], [0.125, 1.25])
    np.testing.assert_allclose(run.ys[:, 0], [0.5, -2.0], atol=1e-12)
    assert events(run) == [1, 0, 0]


# |x| - x y - y/2 in w = (x, y).
EXIT = corner([[1.0]], [1.0], [0.0, -0.5], [[0.0, -1.0], [-1.0, 0.0]])


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
    ts = np.linspace(0.25, 3.0, 12)
    expected = np.stack([exit_exact(t) for t in ts])
    for rtol in (1e-4, 1e-6, 1e-9):
        run = solve(EXIT, [0.5, 0.0], ts, rtol)
        assert np.abs(run.ys[:, :2] - expected).max() < 10 * rtol
        assert events(run) == [0, 1, 1]


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
            jnp.array([0.5, 0.0, 0.0, 0.0]),
            EXIT,
            stepsize_controller=diffrax.ConstantStepSize(),
            max_steps=4096,
        )
        return solution.ys[-1]

    steps = 0.6 / 2.0 ** np.arange(5)
    errors = [np.abs(end(jnp.asarray(h))[:2] - exit_exact(3.0)).max() for h in steps]
    # Where in a step a kink lies changes the constant from one step size to the next:
    # the slope over a factor of sixteen in h tells.
    slope = np.log(errors[0] / errors[-1]) / np.log(16)
    assert 4.6 < slope < 5.6


@pytest.mark.parametrize(
    ("p", "held"), [((0.9, 0.3), 2), ((3.0, 0.9), 1), ((-3.0, -4.0), 0)]
)
def test_corner_takes_the_slowest_of_all_mixtures(p: Any, held: int) -> None:
    """Where kinks meet, the velocity is the least-norm element of all subgradients."""
    # At w = 0: -dw/dt = p + Bᵀ(c s) with s in [-1, 1]², least norm by a fine grid.
    B, c = np.array([[1.0, 0.6], [0.2, 1.0]]), np.array([1.0, 2.0])
    run = solve(corner(B, c, p), [0.0, 0.0], [1e-4])
    grid = np.linspace(-1, 1, 801)
    s = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1)
    all_of_them = (np.array(p) + (s * c) @ B).reshape(-1, 2)
    least = all_of_them[np.argmin((all_of_them**2).sum(-1))]
    np.testing.assert_allclose(run.ys[-1][:2] / 1e-4, -least, atol=5e-3)
    # The row of B that is zero lies at zero too, and holds nothing.
    assert report(run)["most_held"] == held


def test_a_kink_that_turns_repelling_is_reported() -> None:
    """y |x| + y: y falls through zero while x is held, and then x may go either way."""
    problem = corner([[1.0]], [0.0], [0.0, 1.0], C=[[0.0, 1.0]])
    for t1, times in ((0.9, 0), (1.5, 1)):
        run = solve(problem, [0.0, 1.0], [t1])
        assert report(run)["undetermined"] == times
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


@eqx.filter_jit
def bare(problem: Any, w0: Any, t1: float) -> Any:
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, w, problem: problem.velocity(w)),
        SOLVER,
        0.0,
        t1,
        1e-3,
        w0,
        problem,
        saveat=diffrax.SaveAt(t1=True, solver_state=True),
        stepsize_controller=diffrax.PIDController(rtol=1e-7, atol=1e-10),
        max_steps=4000,
    )


def check_against_euler(net: Any, problem: Any, w0: Any, t1: float) -> dict[str, int]:
    run = bare(problem, w0, t1)
    w1 = jax.tree.map(lambda x: x[-1], run.ys)
    coarse, fine = by_euler(problem, w0, t1, (100_000, 200_000))
    limit = 2 * fine - coarse
    assert abs(float(problem.loss(w1)) - limit) < 1e-4 * limit
    for law in relu_invariants(net, (1.0, 0.5)).values():
        assert np.abs(law(w1) - law(w0)).max() < 1e-6
    assert report(run)["undetermined"] == report(run)["unresolved"] == 0
    return report(run)


@pytest.mark.parametrize("slopes", [(0.2, 1.0), (-1.0, 1.0)])
def test_two_layers_agree_with_the_limit_of_euler(slopes: tuple[float, float]) -> None:
    """Leaky and absolute-value units with two rates, on a small net."""
    X, y, w0 = instance(3, 12, 3, 4)
    net = TwoLayerReLU(3, 4, slopes=slopes)
    problem = net.problem(X, y, rates=(1.0, 0.5))
    assert check_against_euler(net, problem, w0, 1.5)["slides"] > 0


def test_deep_nets_agree_with_the_limit_of_euler() -> None:
    """Multipliers in two layers at once."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((10, 4)), rng.standard_normal(10)
    net = DeepReLU(4, (6, 5))
    problem, w0 = net.problem(X, y, rates=(1.0, 0.5)), net.init(key=jax.random.key(1))
    assert check_against_euler(net, problem, w0, 2.0)["most_held"] > 2


def test_a_resumed_run_has_the_same_bits() -> None:
    """Modes and multipliers are part of the state that a stopped run keeps."""
    X, y, w0 = instance(0, 50, 10, 8)
    net = TwoLayerReLU(10, 8)
    problem, laws = net.problem(X, y), relu_invariants(net)
    ts = [0.1, 0.5, 2.0]
    whole = flow(problem, w0, ts, 1e-4, invariants=laws)
    stopped = flow(
        problem, w0, ts, 1e-4, invariants=laws, stops=[gf.MaxSteps(60)], throw=False
    )
    assert stopped.result is gf.Outcome.max_steps
    rest = flow(problem, w0, ts, 1e-4, invariants=laws, resume=stopped)
    np.testing.assert_array_equal(rest.w1["w"], whole.w1["w"])
    assert report(rest) == report(whole)


def test_misuse_is_named() -> None:
    """A problem that declares nothing has no kinks to follow."""
    problem = gf.Objective(lambda w: jnp.sum(jnp.abs(w)))
    with pytest.raises(TypeError, match="declares its kinks"):
        bare(problem, jnp.ones(2), 1.0)
