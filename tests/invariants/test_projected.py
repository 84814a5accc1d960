"""Solvers that stay on the leaf of given laws."""

import functools
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import closed_form
from scipy.special import ellipj

import gflow as gf
from gflow.invariants import Projected, deep_linear_invariants, relu_invariants
from gflow.models import DeepLinear, TwoLayerReLU
from gflow.solvers import BDF, RKC, ROCK4, Auto, Filippov

PRODUCT = {"u v": lambda w: w["u"] * w["v"]}
# uv = 0.02 leaves 16 (2 + 1) units in the last place of itself, 1e-14.
ROUND_OFF = 2e-14
PROJECTED = Projected(BDF(), PRODUCT)


def field(t: Any, w: Any, args: Any) -> Any:
    """The flow of the closed form `regression`, ½ (u² - v² - 1)²."""
    miss = w["u"] ** 2 - w["v"] ** 2 - 1.0
    return {"u": -2 * miss * w["u"], "v": 2 * miss * w["v"]}


def turning(t: Any, w: Any, args: Any) -> Any:
    """Euler's equations of a rigid body, scaled."""
    return jnp.array([w[1] * w[2], -w[0] * w[2], -0.3 * w[0] * w[1]])


@pytest.mark.parametrize(
    ("solver", "order", "num"),
    [
        (diffrax.Tsit5(), 5, 20),
        (diffrax.Heun(), 2, 80),
        (RKC(), 2, 160),
        (ROCK4(), 4, 20),
    ],
    ids=["Tsit5", "Heun", "RKC", "ROCK4"],
)
def test_order_is_kept(solver: Any, order: int, num: int) -> None:
    """Of steps of one length, against w = (sn, cn, dn)(t | 0.3), where w₁² + w₂² = 1.

    And every end is on the leaf to round-off.
    """
    on_leaf = Projected(solver, {"sphere": lambda w: w[0] ** 2 + w[1] ** 2})

    @eqx.filter_jit
    def end(dt: Any) -> Any:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(turning),
            on_leaf,
            0.0,
            1.0,
            dt,
            jnp.array([0.0, 1.0, 1.0]),
            adjoint=diffrax.ForwardMode(),
        )
        assert solution.ys is not None
        return solution.ys[-1]

    ends = [np.asarray(end(jnp.asarray(1 / n))) for n in (num, 2 * num)]
    for w in ends:
        assert abs(w[0] ** 2 + w[1] ** 2 - 1) < 2e-14
    errors = [np.linalg.norm(w - ellipj(1.0, 0.3)[:3]) for w in ends]
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.15


class _CountedFlow(gf.Flow):
    """Gradient flow that counts evaluations of its right side on the host."""

    seen: list[int] = eqx.field(static=True)
    monotone: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True

    def init(self, w0: Any) -> Any:
        return gf.GradientFlow().init(w0)

    def terms(self, static: Any) -> Any:
        inner = gf.GradientFlow().terms(static)

        def counted(t: Any, state: Any, problem: gf.Problem) -> Any:
            jax.debug.callback(lambda: self.seen.append(0))
            return inner.vf(t, state, problem)

        return diffrax.ODETerm(counted)  # pyright: ignore[reportArgumentType]

    def params(self, state: Any) -> Any:
        return state.w

    def energy(self, state: Any) -> Any:
        return state.energy


@pytest.mark.parametrize("solver", [diffrax.Tsit5(), RKC()], ids=["Tsit5", "RKC"])
def test_gradients_are_counted(solver: Any) -> None:
    """One more a step where a slope is not to be used again; each as evaluated."""
    form, flow = closed_form("regression"), _CountedFlow([])
    run = gf.simulate(
        form.problem,
        flow,
        form.w0,
        t1=1.0,
        rtol=1e-4,
        solver=Projected(solver, PRODUCT),
    )
    jax.effects_barrier()
    assert run.stats["num_gradients"] == len(flow.seen)
    assert run.plan.solver == f"Projected({type(solver).__name__})"
    if isinstance(solver, diffrax.Tsit5):
        taken = run.stats["num_gradients"] - 6 * run.stats["num_steps"]
        assert 3 + 3 < taken <= 3 + run.stats["num_steps"]


@functools.cache
def regressed(rtol: float) -> gf.Trajectory:
    return closed_form("regression").simulate(
        solver=PROJECTED, rtol=rtol, invariants=PRODUCT, t1=20.0
    )


def test_bdf_goes_on_from_projected_points() -> None:
    """Errors follow the tolerance; and the limit, which the law decides, is exact.

    BDF by itself drifts by 1e-6 here, relative, and ends 7e-10 from the limit.
    """
    form, run = closed_form("regression"), regressed(1e-6)
    assert form.error(run) < 1e-5
    assert run.drift["u v"].relative < ROUND_OFF
    limit = form.exact(np.array([20.0]))
    assert abs(float(run.w1["u"]) - limit["u"][0]) < 1e-14


def test_corrections_of_a_law_fall_with_the_tolerance() -> None:
    """As it does, to within the factor of ten by which steps differ."""
    totals = [
        regressed(rtol).stats["solver"]["correction_total"] for rtol in (1e-4, 1e-8)
    ]
    assert 1e-5 < totals[1] / totals[0] < 1e-3
    # What is corrected does not come back with older points.
    assert totals[1] < 1e-8
    told = regressed(1e-8).stats["solver"]
    assert 0 < told["correction_largest"] < totals[1]
    assert 0 < told["off_leaf"] < ROUND_OFF * 0.02
    assert told["order"] >= 1


@functools.cache
def misled(rtol: float) -> gf.Trajectory:
    wrong = {"u + v": lambda w: w["u"] + w["v"]}
    return closed_form("regression").simulate(
        solver=Projected(diffrax.Tsit5(), wrong), rtol=rtol, t1=2.0, throw=False
    )


def test_corrections_of_what_is_not_conserved_do_not_fall() -> None:
    """u + v = 0.3 moves by order one, and holding it takes as much at any tolerance.

    The flow on the plane is the field less its part across, (1, 1)(u' + v')/2, so the
    corrections add up to ∫ |u' + v'|/√2 dt along it.
    """
    runs = [misled(rtol) for rtol in (1e-3, 1e-5)]
    # And the audit shows that this is not the flow of the loss.
    assert {run.result for run in runs} == {gf.Outcome.unbalanced}
    totals = [run.stats["solver"]["correction_total"] for run in runs]
    # With s = u + v and m = u² - v² - 1 = s(2u - s) - 1: u' = -s m, hence
    # u = u∞ + (u(0) - u∞) exp(-2s²t), and (u' + v')/2 of the field is -m (2u - s).
    s, t = 0.3, np.linspace(0.0, 2.0, 2001)
    far = (1 + s**2) / (2 * s)
    u = far + (0.1 - far) * np.exp(-2 * s**2 * t)
    across = np.sqrt(2.0) * np.abs((s * (2 * u - s) - 1) * (2 * u - s))
    expected = np.trapezoid(across, t)
    assert expected > 0.5
    np.testing.assert_allclose(totals, expected, rtol=0.05)


def test_balancedness_of_a_linear_net_is_held() -> None:
    """All entries of a symmetric matrix, redundant as they are."""
    rng = np.random.default_rng(2)
    model = DeepLinear([3, 4, 2])
    problem = model.problem(rng.standard_normal((8, 3)), rng.standard_normal((8, 2)))
    laws = deep_linear_invariants(model)
    run = gf.simulate(
        problem,
        gf.GradientFlow(),
        model.init(key=jax.random.key(1)),
        20.0,
        rtol=1e-4,
        solver=Projected(diffrax.Tsit5(), laws),
        invariants=laws,
    )
    (drift,) = run.drift.values()
    assert drift.relative < 1e-13
    told = run.stats["solver"]
    assert told["correction_total"] > told["correction_largest"] > 1e-6
    assert abs(run.energy_defect or 1.0) < 1e-3


def test_neurons_under_two_rates_are_held() -> None:
    """a_j²/η₂ - ‖w_j‖²/η₁ of each unit, through kinks."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((7, 3)), rng.standard_normal(7)
    model, rates = TwoLayerReLU(3, 5), (2.0, 5.0)
    laws = relu_invariants(model, rates)
    w0 = model.init(key=jax.random.key(0))
    problem = model.problem(X, Y, rates=rates)
    solver = Projected(diffrax.Heun(), laws)
    run = gf.simulate(
        problem, gf.GradientFlow(), w0, 0.5, rtol=1e-3, solver=solver, invariants=laws
    )
    assert run.drift["neurons"].relative < 1e-13
    assert solver.placed(problem, None).metric is problem.metric
    # The state of an explicit method without a last stage that is the next one's first
    # takes no gradient: three at the start, two a step.
    assert run.stats["num_gradients"] == 3 + 2 * run.stats["num_steps"]


def test_dense_output_and_stops_are_on_the_leaf_and_resume_keeps_it() -> None:
    """Between steps as at their ends; and what was told goes on."""
    form = closed_form("regression")
    options = {
        "solver": Projected(diffrax.Tsit5(), PRODUCT),
        "rtol": 1e-4,
        "invariants": PRODUCT,
        "save": gf.Save.at(np.linspace(0.05, 5.0, 99)),
    }
    first = form.simulate(stops=[gf.LossBelow(0.2)], **options)
    assert first.result is gf.Outcome.loss_reached
    assert len(first.ts) > 1.5 * first.stats["num_accepted"]
    assert first.drift["u v"].relative < ROUND_OFF
    assert form.error(first) < 1e-4
    run = form.simulate(resume=first, **options)
    assert run.result.ok
    assert run.drift["u v"].relative < ROUND_OFF
    totals = [r.stats["solver"]["correction_total"] for r in (first, run)]
    assert 0 < totals[0] < totals[1]


def test_a_fresh_start_keeps_the_first_leaf() -> None:
    """And what was told of it; laws stand in one order, compiled or not."""
    laws = {"v": lambda w: w["v"], "u": lambda w: w["u"]}
    solver = Projected(RKC(), laws)
    starts = [{"u": jnp.asarray(1.0), "v": jnp.asarray(v)} for v in (2.0, 3.0)]
    init = functools.partial(solver.init, diffrax.ODETerm(field), 0.0, 1.0, args=None)
    old, fresh = init(y0=starts[0]), eqx.filter_jit(init)(y0=starts[1])
    np.testing.assert_array_equal(old.target, [1.0, 2.0])
    np.testing.assert_array_equal(fresh.target, [1.0, 3.0])
    old = eqx.tree_at(lambda s: s.total, old, jnp.asarray(0.5))
    kept = solver.carried(fresh, old)
    np.testing.assert_array_equal(kept.target, [1.0, 2.0])
    assert float(solver.report(kept)["correction_total"]) == 0.5
    assert eqx.tree_equal(kept.inner.slope, fresh.inner.slope)


def test_under_a_clock_by_leaves_that_do_not_move() -> None:
    """Flow time is found inside a step, on the leaf as well.

    `simulate` hands over what of w is no parameter, here a function; the law is of all.
    """
    form = closed_form("regression")
    w0 = {**form.w0, "f": jnp.square}
    problem = gf.Objective(lambda w: 0.5 * (w["f"](w["u"]) - w["f"](w["v"]) - 1) ** 2)
    law = {"u² v²": lambda w: w["f"](w["u"]) * w["f"](w["v"])}
    run = gf.simulate(
        problem,
        gf.GradientFlow(),
        w0,
        5.0,
        rtol=1e-4,
        solver=Projected(diffrax.Tsit5(), law),
        invariants=law,
        clock=gf.LogTime(),
    )
    assert run.drift["u² v²"].relative < 2 * ROUND_OFF
    assert run.stats["solver"]["correction_total"] > 1e-8
    exact = form.exact(run.ts)
    np.testing.assert_allclose(run.ws["u"], exact["u"], rtol=1e-3)


def test_plain_solves_batched_and_dense_in_float32() -> None:
    """Each lane keeps its own leaf, also between steps; no leaf of w is widened."""

    @jax.vmap
    def middle(u: Any) -> Any:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            Projected(diffrax.Tsit5(), PRODUCT),
            jnp.float32(0.0),
            jnp.float32(1.0),
            jnp.float32(0.1),
            {"u": u, "v": jnp.float32(0.2)},
            stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-5),
            saveat=diffrax.SaveAt(dense=True),
            max_steps=64,
        )
        return jax.vmap(solution.evaluate)(jnp.linspace(0.01, 0.99, 7, dtype="float32"))

    us = jnp.array([0.1, 0.3, 0.5], jnp.float32)
    w = jax.jit(middle)(us)
    assert {x.dtype.name for x in w.values()} == {"float32"}
    # 48 units in the last place of u v.
    np.testing.assert_allclose(
        w["u"] * w["v"], np.outer(us, np.full(7, 0.2)), rtol=6e-6
    )
    assert np.ptp(w["u"]) > 0.1


def solve(law: Any, **options: Any) -> diffrax.Solution:
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, w, args: jnp.ones_like(w)),
        Projected(diffrax.Heun(), {"law": law}),
        0.0,
        10.0,
        5.0,
        jnp.zeros(()),
        throw=False,
        **options,
    )


def test_a_step_without_a_point_of_the_leaf_is_not_made() -> None:
    """arctan w = 0 from w = 5: Newton diverges from beyond 1.39.

    With the error heeded the step is shortened; steps of one length end the solve.
    """
    held = solve(
        jnp.arctan, stepsize_controller=diffrax.PIDController(rtol=1e-3, atol=1e-3)
    )
    assert held.result == diffrax.RESULTS.successful
    assert held.ys is not None
    assert float(abs(held.ys[0])) < 1e-15
    assert held.stats["num_rejected_steps"] > 0
    assert solve(jnp.arctan).result == diffrax.RESULTS.nonlinear_divergence


@pytest.mark.parametrize(
    "solver",
    [
        Auto(),
        diffrax.Kvaerno5(),
        diffrax.Euler(),
        diffrax.HalfSolver(diffrax.Tsit5()),
        Filippov(),
        PROJECTED,
    ],
    ids=["Auto", "Kvaerno5", "Euler", "HalfSolver", "Filippov", "Projected"],
)
def test_other_solvers_are_turned_away(solver: Any) -> None:
    """With what to use instead."""
    with pytest.raises(ValueError, match="use Tsit5, or BDF"):
        Projected(solver, PRODUCT)


def test_misuse_is_told() -> None:
    """No law, and a flow that conserves none."""
    with pytest.raises(ValueError, match="at least one"):
        Projected(diffrax.Tsit5(), {})
    with pytest.raises(TypeError, match="invariants"):
        Projected(diffrax.Tsit5(), lambda w: w["u"])  # pyright: ignore
    with pytest.raises(TypeError, match="the class Tsit5"):
        Projected(diffrax.Tsit5, PRODUCT)
    form = closed_form("regression")
    with pytest.raises(ValueError, match="momentum flow"):
        gf.simulate(
            form.problem,
            gf.flows.HeavyBall(1.0),
            form.w0,
            1.0,
            solver=Projected(diffrax.Tsit5(), PRODUCT),
        )
    with pytest.raises(ValueError, match="BDF cannot run under a clock"):
        form.simulate(solver=PROJECTED, clock=gf.LogTime())
    with pytest.raises(ValueError, match="'x' cannot be evaluated at w0"):
        form.simulate(solver=Projected(diffrax.Tsit5(), {"x": lambda w: w["none"]}))
    undefined = {"x": lambda w: jnp.log(-jnp.abs(w["u"]))}
    with pytest.raises(RuntimeError, match="a law is not finite at w0"):
        form.simulate(solver=Projected(diffrax.Tsit5(), undefined))
