"""Backward differentiation without matrices."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from closed_forms import closed_form, same_bits

import gflow as gf
from gflow import _march
from gflow.flows import FlowState
from gflow.solvers import BDF, NewtonKrylov
from gflow.solvers._bdf_history import History
from gflow.trajectory import _progress


def _solve(field: Any, w0: Any, t1: Any, rtol: Any, solver: Any, **options: Any) -> Any:
    return diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        solver,
        jnp.zeros_like(jnp.asarray(t1)),
        t1,
        None,
        w0,
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-3 * rtol),
        max_steps=4096,
        **options,
    )


def _quartic(t: Any, w: Any, args: Any) -> Any:
    return -(w**3)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_order_of_convergence(order: int) -> None:
    """w' = -w³ from an exact past in equal steps: errors fall as h^order, ±0.15."""
    finder = NewtonKrylov(
        rtol=1e-11, atol=1e-11, norm=optx.rms_norm, newton_tol=1e-3, krylov_tol=1e-4
    )
    solver = BDF(root_finder=finder, num_ritz=0)
    term = diffrax.ODETerm(_quartic)

    def exact(t: Any) -> Any:
        return 1 / jnp.sqrt(1 + 2 * t)

    @eqx.filter_jit
    def error(num: Any) -> Any:
        h = 1.0 / num
        y = exact(jnp.zeros(1))
        state = solver.init(term, jnp.asarray(0.0), h, y, None)
        times = -h * jnp.arange(6.0)
        past = exact(times)[:, None]
        history = History(times, past, -(past**3), jnp.asarray(6, jnp.int32))
        state = eqx.tree_at(lambda s: s.history, state, history)

        def body(i: Any, carry: Any) -> Any:
            y, state = carry
            state = eqx.tree_at(lambda s: s.order, state, jnp.asarray(order, jnp.int32))
            out = solver.attempt(term, i * h, (i + 1) * h, y, None, state, False)
            return out[0], out[3]

        y, _ = jax.lax.fori_loop(0, num, body, (y, state))
        return jnp.abs(y[0] - exact(1.0))

    coarse, fine = 128, 256
    ratio = float(error(jnp.asarray(coarse)) / error(jnp.asarray(fine)))
    assert abs(np.log2(ratio) - order) < 0.15


def _stiff(t: Any, w: Any, args: Any) -> Any:
    # -∇L for L = ½ (u² - v² - 1)² + 500 ‖z - u‖²: a saddle beside stiff modes.
    gap = w["u"] ** 2 - w["v"] ** 2 - 1
    pull = 1000 * (w["z"] - w["u"])
    return {
        "u": -2 * gap * w["u"] + jnp.sum(pull),
        "v": 2 * gap * w["v"],
        "z": -pull,
    }


_W0 = {"u": jnp.asarray(1e-3), "v": jnp.asarray(2e-3), "z": jnp.ones(3)}


@pytest.fixture(scope="module")
def reference() -> Any:
    """The end of the stiff saddle by an explicit Runge-Kutta method."""
    return diffrax.diffeqsolve(
        diffrax.ODETerm(_stiff),
        diffrax.Dopri8(),
        0.0,
        20.0,
        None,
        _W0,
        stepsize_controller=diffrax.PIDController(rtol=1e-11, atol=1e-13),
        max_steps=100_000,
    ).ys


@eqx.filter_jit
def _run(rtol: Any, w0: Any, t1: Any) -> Any:
    return _solve(_stiff, w0, t1, rtol, BDF(), throw=False)


def test_error_follows_the_tolerance_past_a_saddle(reference: Any) -> None:
    """From near a saddle, stiff: never off by more than 100 tolerances."""
    steps = []
    for rtol in 10.0 ** -np.arange(1, 10):
        run = _run(jnp.asarray(rtol), _W0, jnp.asarray(20.0))
        gap = jax.tree.map(lambda a, b: np.max(np.abs(a - b)), run.ys, reference)
        assert max(jax.tree.leaves(gap)) <= 100 * rtol
        steps.append(int(run.stats["num_steps"]))
    # Tsit5 needs 29,000 steps here at any tolerance.
    assert max(steps) < 600


def _ends(solver: Any) -> Any:
    """Scale of the start -> the end of the stiff saddle, and the steps to it."""

    def end(scale: Any) -> Any:
        w0 = jax.tree.map(lambda x: scale * x, _W0)
        run = _solve(_stiff, w0, 5.0, 1e-5, solver)
        return run.ys, run.stats["num_steps"]

    return end


def test_vmap_equals_loop() -> None:
    """Lanes that take their own steps end where each ends alone."""
    end, scales = _ends(BDF(num_ritz=0, num_secants=0)), jnp.array([0.5, 1.0, 3.0])
    together, alone = jax.jit(jax.vmap(end))(scales), jax.jit(end)
    for i, scale in enumerate(scales):
        for a, b in zip(
            jax.tree.leaves(together), jax.tree.leaves(alone(scale)), strict=True
        ):
            np.testing.assert_allclose(a[i], b, rtol=1e-12, atol=1e-14)


def test_lanes_that_recycle_do_not_touch_each_other() -> None:
    """What runs beside a lane changes no bit of it, nor its course much.

    What is recycled rests on small eigenproblems, whose round-off differs when they
    are batched; it decides when solves end. So beside the lane alone only the errors
    of both are small, and the steps alike.
    """
    end = _ends(BDF(num_ritz=4))
    together, alone = jax.jit(jax.vmap(end)), jax.jit(end)
    one, other = (together(jnp.array([0.5, x, 3.0])) for x in (1.0, 2.0))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a[::2], b[::2])
    (ys, steps), (ys_alone, steps_alone) = one, alone(3.0)
    assert int(steps[2]) == pytest.approx(int(steps_alone), abs=5)
    assert int(steps[2]) > int(steps[0]) + 5
    for a, b in zip(jax.tree.leaves(ys), jax.tree.leaves(ys_alone), strict=True):
        # A bare solve holds its steps to 1e-5, its end near a saddle to 5e-5 (Dopri8).
        np.testing.assert_allclose(a[2], b, rtol=0, atol=1e-4)


@pytest.mark.parametrize("exact", [False, True])
def test_work_is_counted_as_it_is_done(exact: bool) -> None:
    """Gradients and products told are those that the field saw."""
    calls = {"plain": 0, "total": 0}

    def look(w: Any) -> None:
        calls["total"] += 1

    def field(t: Any, w: Any, args: Any) -> Any:
        jax.debug.callback(look, jnp.zeros(()))
        return -jnp.array([1.0, 300.0]) * w

    finder = NewtonKrylov(rtol=1e-4, atol=1e-4, norm=optx.rms_norm, exact=exact)
    solver = BDF(root_finder=finder)
    term = diffrax.ODETerm(field)
    y, h = jnp.ones(2), jnp.asarray(0.01)
    state = solver.init(term, 0 * h, h, y, None)
    jax.effects_barrier()
    calls["total"] = 0
    *_, work = eqx.filter_jit(solver.attempt)(term, 0 * h, h, y, None, state, False)
    jax.effects_barrier()
    assert calls["total"] == int(work.gradients) + int(work.products)
    assert (int(work.products) > 0) == exact
    assert int(work.gradients) >= 1


def test_dense_output_has_the_order_of_the_method() -> None:
    """Between steps the quartic's closed form is met to some tolerances."""
    ts = jnp.linspace(0.0, 4.0, 57)
    run = _solve(_quartic, jnp.ones(1), 4.0, 1e-6, BDF(), saveat=diffrax.SaveAt(ts=ts))
    np.testing.assert_allclose(run.ys[:, 0], 1 / np.sqrt(1 + 2 * ts), rtol=3e-5)


def test_single_precision_keeps_its_type() -> None:
    """In float32 at a loose tolerance, with exact products."""
    w0 = jnp.ones(2, jnp.float32)
    rate = jnp.array([1.0, 1e4], jnp.float32)
    t1 = jnp.asarray(1.0, jnp.float32)
    run = _solve(lambda t, w, args: -rate * w, w0, t1, 1e-3, BDF())
    assert run.ys.dtype == jnp.float32
    np.testing.assert_allclose(run.ys[0], [np.exp(-1), 0], atol=3e-3)
    assert int(run.stats["num_steps"]) < 120


def test_rates_enter_by_their_weights() -> None:
    """A flow with rates and a frozen group: the closed form of a coupled quadratic."""
    # w' = -R H w with R = diag(1, 4) and H = [[2, 1], [1, 3]], and one frozen at 5.
    H, rates = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 4.0])

    def field(t: Any, w: Any, args: Any) -> Any:
        a, b, frozen = w
        return -(2 * a + b), -4.0 * (a + 3 * b), 0.0 * frozen

    w0 = (jnp.asarray(1.0), jnp.asarray(1.0), jnp.asarray(5.0))
    run = _solve(field, w0, 1.0, 1e-7, BDF(weights=(1.0, 0.25, 1.0)))
    values, vectors = np.linalg.eig(rates[:, None] * H)
    exact = vectors @ (np.exp(-values) * np.linalg.solve(vectors, np.ones(2)))
    np.testing.assert_allclose([run.ys[0][0], run.ys[1][0]], exact, rtol=1e-5)
    assert float(run.ys[2][0]) == 5.0


@pytest.mark.parametrize("name", ["quadratic", "quartic", "regression"])
def test_simulate_agrees_with_closed_forms(name: str) -> None:
    """Within gflow, guard and energy included."""
    form = closed_form(name)
    run = form.simulate(solver=BDF(), rtol=1e-6)
    assert form.error(run) <= 1e-4
    assert run.energy_defect is not None
    assert run.energy_defect < 1e-4


def test_energy_is_integrated_without_an_equation() -> None:
    """L = ½ w²: the energy is (1 - e^-2t)/2, and the controller does not see it."""
    term = diffrax.ODETerm(lambda t, y, args: FlowState(-y.w, jnp.sum(y.w**2)))
    controller = diffrax.PIDController(
        rtol=1e-7, atol=1e-10, norm=lambda e: optx.rms_norm(e.w)
    )
    y0 = FlowState(jnp.ones(3), jnp.asarray(0.0))
    run = diffrax.diffeqsolve(
        term, BDF(), 0.0, 2.0, None, y0, stepsize_controller=controller
    )
    assert run.ys is not None
    np.testing.assert_allclose(run.ys.energy[0], 1.5 * (1 - np.exp(-4.0)), rtol=2e-5)


def test_stretches_and_resumption_change_no_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However a run is cut, and where it is resumed, it is the same run."""
    form, solver = closed_form("regression"), BDF(num_ritz=4)
    whole = form.simulate(solver=solver)
    part = form.simulate(solver=solver, stops=[gf.MaxSteps(30)], throw=False)
    assert same_bits(form.simulate(solver=solver, resume=part), whole)
    monkeypatch.setattr(_march, "FIRST_BUDGET", 7)
    monkeypatch.setattr(_progress, "_LARGEST_BUDGET", 7)
    assert same_bits(form.simulate(solver=solver), whole)


def test_cut_steps_do_no_harm() -> None:
    """A step cut to a thousandth and then free again: the error stays in bounds."""
    # Points saved in windows cut steps; a clip controller cuts them anywhere.
    cuts = jnp.sort(jnp.concatenate([jnp.linspace(0.5, 9, 23)] * 2))
    cuts = cuts.at[1::2].add(1e-7)
    controller = diffrax.ClipStepSizeController(
        diffrax.PIDController(rtol=1e-6, atol=1e-9), step_ts=cuts
    )
    run = diffrax.diffeqsolve(
        diffrax.ODETerm(_stiff),
        BDF(),
        0.0,
        10.0,
        None,
        {**_W0, "u": jnp.asarray(0.1)},
        stepsize_controller=controller,
    )
    free = _run(jnp.asarray(1e-9), {**_W0, "u": jnp.asarray(0.1)}, jnp.asarray(10.0))
    gap = jax.tree.map(lambda a, b: np.max(np.abs(a - b)), run.ys, free.ys)
    assert max(jax.tree.leaves(gap)) < 1e-4
    # Some steps to grow again after each of 23 cuts; a restart would take more.
    assert int(run.stats["num_steps"]) < 800


def test_orders_beyond_five_are_refused() -> None:
    """BDF of order 6 is unstable for some decaying modes, and 0 is no method."""
    for order in (0, 6):
        with pytest.raises(ValueError, match="max_order"):
            BDF(max_order=order)
