"""What both stabilized explicit Runge-Kutta methods promise of their errors."""

import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from closed_forms import closed_form

import gflow as gf
from gflow.solvers import RKC, ROCK4

SOLVERS = [RKC(), ROCK4()]
both = pytest.mark.parametrize("solver", SOLVERS, ids=["RKC", "ROCK4"])


def _solve(
    solver: Any, field: Any, y0: Any, t1: Any, rtol: Any, atol: Any, **options: Any
) -> diffrax.Solution:
    """A plain `diffeqsolve` with a plain controller."""
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        solver,
        0.0,
        t1,
        None,
        y0,
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        max_steps=options.pop("max_steps", 100_000),
        adjoint=diffrax.ForwardMode(),
        **options,
    )


def _riccati(t: Any, y: Any, args: Any) -> Any:
    """a' = a² cos t and b' = -2 b + a: nonlinear, coupled, and time enters."""
    return {"a": y["a"] ** 2 * jnp.cos(t), "b": -2 * y["b"] + y["a"]}


def _riccati_at_1() -> tuple[float, float]:
    # 1/a' = -cos t, so a = 1/(2 - sin t) from a = 1/2; b by 60-point quadrature of
    # b(1) = e⁻² (b(0) + ∫ e^{2t} a dt).
    x, w = np.polynomial.legendre.leggauss(60)
    t = (x + 1) / 2
    integral = np.sum(w / 2 * np.exp(2 * t) / (2 - np.sin(t)))
    return 1 / (2 - np.sin(1)), float(np.exp(-2) * (1 + integral))


def _with_stages(solver: Any, s: Any, num_steps: Any) -> Any:
    """The error at t = 1 of equal steps with a given number of stages."""
    term = diffrax.ODETerm(_riccati)
    h = 1 / jnp.asarray(num_steps, float)

    def step(i: Any, y: Any) -> Any:
        t = i * h
        slope = term.vf(t, y, None)
        swept = solver.sweep(term, t, h, y, slope, None, s)
        return jax.tree.map(jnp.add, y, swept.increment)

    y0 = {"a": jnp.asarray(0.5), "b": jnp.asarray(1.0)}
    y1 = jax.lax.fori_loop(0, num_steps, step, y0)
    a, b = _riccati_at_1()
    return jnp.hypot(y1["a"] - a, y1["b"] - b)


@pytest.mark.parametrize(
    ("solver", "stages", "order"),
    [(RKC(), (2, 3, 6, 20, 61), 2), (ROCK4(), (5, 6, 9, 20, 63), 4)],
    ids=["RKC", "ROCK4"],
)
def test_order_of_convergence(solver: Any, stages: Any, order: int) -> None:
    """On a nonlinear problem, whatever the number of stages, to ±0.15."""
    error = jax.jit(functools.partial(_with_stages, solver))
    for s in stages:
        coarse, fine = (float(error(s, n)) for n in (24, 48))
        assert abs(np.log2(coarse / fine) - order) < 0.15, s


@both
def test_error_follows_the_tolerance(solver: Any) -> None:
    """On a nonlinear, partly stiff problem; RKC's as tolerance^(2/3), as theory has.

    The error of a step is held at the tolerance. RKC's estimate falls as h³ and the
    error at the end as h², ROCK4's both as h⁴.
    """

    # a = cos t + e^{-300t}/2 and, with that gap g = a - cos t, b' = g b - b². By
    # u = 1/b: u' = 1 - g u, so with G = ∫g, u(2) = e^{-G(2)} (u(0) + ∫ e^G dt).
    def field(t: Any, y: Any, args: Any) -> Any:
        a, b = y
        gap = a - jnp.cos(t)
        return jnp.stack([-jnp.sin(t) - 300 * gap, gap * b - b**2])

    x, w = np.polynomial.legendre.leggauss(60)
    pieces = [(0, 0.05), (0.05, 0.15), (0.15, 2)]
    nodes = np.concatenate([(hi + lo) / 2 + (hi - lo) / 2 * x for lo, hi in pieces])
    weights = np.concatenate([(hi - lo) / 2 * w for lo, hi in pieces])
    lift = np.exp((1 - np.exp(-300 * nodes)) / 600)
    exact = np.array([np.cos(2), np.exp(1 / 600) / (1 + weights @ lift)])
    y0 = jnp.array([1.5, 1.0])
    scale = 1.0 if solver.order(None) == 2 else 0.1
    rtols = scale * np.array([1e-3, 1e-4, 1e-5, 1e-6])
    solve = jax.jit(lambda tol: _solve(solver, field, y0, 2.0, tol, tol).ys)
    errors = [np.abs(np.asarray(solve(tol))[0] - exact).max() for tol in rtols]
    slope = np.polyfit(np.log(rtols), np.log(errors), 1)[0]
    low, high = (0.6, 0.9) if solver.order(None) == 2 else (0.75, 1.2)
    assert low < slope < high
    assert errors[-1] < 30 * rtols[-1]


@both
def test_an_underestimated_radius_costs_steps_not_accuracy(solver: Any) -> None:
    """With ρ taken for a third of itself, the error estimate rejects what grows."""
    rates = jnp.array([1.0, 30.0, 2000.0])

    solver = type(solver)(safety=0.3)
    solution = _solve(
        solver, lambda t, y, args: -rates * y, jnp.ones(3), 1.0, 1e-4, 1e-6
    )
    assert solution.ys is not None
    error = np.abs(np.asarray(solution.ys[0]) - np.exp(-np.asarray(rates)))
    assert error.max() < 1e-3
    # With the right ρ none is rejected once the fast modes are gone.
    assert solution.stats["num_rejected_steps"] > 5


@both
def test_vmapped_equals_looped(solver: Any) -> None:
    """Lanes with other stage counts and other steps do not touch each other."""

    def end(top: Any) -> Any:
        rates = jnp.array([1.0, 7.0, 1.0]) * jnp.array([1.0, 1.0, top])
        field = lambda t, y, args: -rates * y + jnp.sin(t) * y[0] * y[1]  # noqa: E731
        return _solve(solver, field, jnp.ones(3), 1.0, 1e-5, 1e-8).ys

    # ROCK4 magnifies rounding by (h ρ)⁴/100, so h ρ is kept modest here.
    tops = jnp.array([1.0, 50.0, 3000.0 if solver.order(None) == 2 else 200.0])
    together = np.asarray(jax.jit(jax.vmap(end))(tops))
    alone = jax.jit(end)
    for lane, top in zip(together, tops, strict=True):
        np.testing.assert_allclose(lane, np.asarray(alone(top)), rtol=1e-12, atol=1e-13)


@both
def test_saved_points_and_events_lie_on_the_flow(solver: Any) -> None:
    """Between steps the interpolation is as good as the steps."""

    # y = tan(t) where the second leaf decays fast; y passes 1 at π/4.
    def field(t: Any, y: Any, args: Any) -> Any:
        return (1 + y[0] ** 2, -400.0 * (y[1] - y[0]))

    event = diffrax.Event(
        lambda t, y, args, **_: y[0] - 1.0,
        optx.Bisection(rtol=1e-10, atol=1e-10),
        direction=True,
    )
    ts = jnp.linspace(0.05, 0.75, 29)
    solution = _solve(
        solver,
        field,
        (jnp.zeros(()), jnp.zeros(())),
        1.2,
        1e-6,
        1e-9,
        saveat=diffrax.SaveAt(
            subs=[diffrax.SubSaveAt(ts=ts), diffrax.SubSaveAt(t1=True)]
        ),
        event=event,
    )
    assert solution.ys is not None
    assert solution.ts is not None
    saved, last = solution.ys
    np.testing.assert_allclose(saved[0], np.tan(ts), rtol=0, atol=5e-5)
    np.testing.assert_allclose(solution.ts[1], [np.pi / 4], atol=5e-5)
    np.testing.assert_allclose(last[0], [1.0], atol=5e-5)


@pytest.mark.parametrize("name", ["regression", "linear_net"])
def test_agrees_with_closed_forms_to_1e_7(name: str) -> None:
    """ROCK4 along gradient flows: decay, a saddle left, modes that grow in turn."""
    form = closed_form(name)
    flow = gf.GradientFlow()
    params, static = form.problem.split(form.w0)
    term = flow.terms(static)
    solution = diffrax.diffeqsolve(
        term,
        ROCK4(),
        0.0,
        form.t1,
        None,
        flow.init(params),
        form.problem,
        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-11),
        max_steps=None,
        adjoint=diffrax.ForwardMode(),
    )
    assert solution.ys is not None
    exact = form.exact(np.array([form.t1]))
    for found, true in zip(
        jax.tree.leaves(solution.ys.w), jax.tree.leaves(exact), strict=True
    ):
        np.testing.assert_allclose(found, true, rtol=0, atol=1e-7)


@both
def test_in_simulate_through_growing_stiffness(solver: Any) -> None:
    """u² - v² from near its saddle at 0: the sharpness goes from 2 through 0 to 4.

    The last is told, and the work of all steps, through all that wraps the solver.
    """
    form = closed_form("regression")
    run = form.simulate(solver=solver, rtol=1e-5)
    assert run.result is gf.Outcome.reached_end
    assert form.error(run) < 2e-4
    assert run.energy_defect is not None
    assert run.energy_defect < 1e-3
    assert run.plan.solver == type(solver).__name__
    assert run.stats["solver"]["rho"] == pytest.approx(4.0, rel=0.02)
    least = int(solver.stages(jnp.zeros(())))
    assert run.stats["num_gradients"] > least * run.stats["num_steps"]


def _of_a_step(solver: Any, z: Any, s: Any) -> tuple[Any, Any]:
    """Estimate and true error of a unit step with s stages on y' = z y from 1."""

    def one(z: Any) -> tuple[Any, Any]:
        term = diffrax.ODETerm(lambda t, y, args: z * y)
        zero, unit = jnp.zeros(()), jnp.ones(())
        swept = solver.sweep(term, zero, unit, unit, z, None, s)
        return jnp.abs(swept.error), jnp.abs(swept.increment - jnp.expm1(z))

    told, error = jax.jit(jax.vmap(one))(z)
    return np.asarray(told), np.asarray(error)


@pytest.mark.parametrize(
    ("solver", "least", "short"),
    [(RKC(), 1.19, 0.0), (ROCK4(), 0.0, 0.05)],
    ids=["RKC", "ROCK4"],
)
def test_estimate_against_the_true_error_of_a_step(
    solver: Any, least: float, short: float
) -> None:
    """On modes with h|λ| from 1e-3 to 1e4: RKC's is never below, ROCK4's for few.

    The stages are those for the stiffest mode, from h ρ = 1 to the last that it has.
    ROCK4's estimate passes through zero at single modes between 3 and 100; its root
    mean square over the modes is above the error's.
    """
    for top in 10.0 ** np.arange(5):
        z = -jnp.geomspace(1e-3, top, 400)
        s = solver.stages(jnp.asarray(solver.safety * top))
        assert s > 0
        told, error = _of_a_step(solver, z, s)
        ratio = told / error
        assert ratio.min() >= least
        assert np.mean(ratio < 1) <= short
        assert np.linalg.norm(told) >= 1.3 * np.linalg.norm(error)
