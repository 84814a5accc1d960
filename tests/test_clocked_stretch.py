"""Flows under a clock: the same flow, told at the same times."""

import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import ClosedForm, closed_form, same_bits

import gflow as gf
from gflow import _march
from gflow.trajectory import _progress

Outcome = gf.Outcome

# More times than a window holds, from t1 1e-6 on, most of them between two steps.
NUM = 400
CLOCKS = {
    "LogTime": gf.LogTime(),
    "ArcLength": gf.ArcLength(),
    "LossTime": gf.LossTime(),
}


def simulate(form: ClosedForm, clock: str, **options: Any) -> gf.Trajectory:
    return form.simulate(
        clock=CLOCKS[clock], **{"save": gf.Save.log(num=NUM), **options}
    )


@functools.cache
def quartic(clock: str, rtol: float = 1e-6) -> gf.Trajectory:
    return simulate(closed_form("quartic"), clock, rtol=rtol)


@pytest.mark.parametrize("clock", CLOCKS)
def test_saved_points_meet_the_closed_form(clock: str):
    """Between steps too, w and energy are within 100 rtol, at the times asked for."""
    form = closed_form("quartic")
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        run = quartic(clock, rtol)
        assert run.result is Outcome.reached_end
        assert len(run.ts) == NUM + 1 > 4 * run.stats["num_accepted"]
        np.testing.assert_array_equal(run.ts[1:], gf.Save.log(num=NUM).schedule(0, 10))
        assert form.error(run) <= 100 * rtol
        assert run.energy_defect is not None
        assert run.energy_defect <= 100 * rtol


@pytest.mark.parametrize(
    ("name", "clock"), [("linear_net", gf.LossTime(-1e-3)), ("logistic", gf.LogTime())]
)
def test_transitions_keep_their_time(name: str, clock: gf.Clock):
    """Modes learned one after the other, and a slow tail, are where they belong."""
    form = closed_form(name)
    for rtol in (1e-4, 1e-6, 1e-8):
        assert form.error(form.simulate(clock=clock, rtol=rtol)) <= 100 * rtol


def test_long_times_cost_little_and_are_right():
    """To t = 1e12 the quartic flow takes under 300 steps; also w √(1 + 2t) = w0."""
    form = closed_form("quartic")
    for clock in CLOCKS:
        run = simulate(form, clock, t1=1e12, rtol=1e-6, atol=1e-18)
        assert run.ts[-1] == 1e12
        assert run.stats["num_steps"] < 300
        assert form.error(run) <= 100 * 1e-6


@pytest.mark.parametrize("clock", CLOCKS)
def test_resumed_runs_equal_the_uninterrupted_one(clock: str):
    """Stopped by the step budget anywhere: the same bits, on to the same end."""
    form, whole = closed_form("quartic"), quartic(clock)
    for cut in (1, 2, 5, whole.stats["num_steps"] - 1):
        part = simulate(form, clock, stops=[gf.MaxSteps(cut)], throw=False)
        assert part.result is Outcome.max_steps
        assert part.stats["num_steps"] == cut
        assert same_bits(simulate(form, clock, resume=part), whole)


def test_length_of_stretches_changes_no_bit(monkeypatch: pytest.MonkeyPatch):
    """However a run is cut for the progress line, it is the same run."""
    whole = quartic("ArcLength")
    monkeypatch.setattr(_march, "FIRST_BUDGET", 1)
    monkeypatch.setattr(_progress, "_LARGEST_BUDGET", 1)
    assert same_bits(simulate(closed_form("quartic"), "ArcLength"), whole)


def test_resume_goes_on_to_a_later_end():
    """The step that went past the first end is taken anew from there."""
    form, whole = closed_form("quartic"), quartic("LogTime")
    longer = simulate(form, "LogTime", t1=1e4, resume=whole)
    assert longer.ts[-1] == 1e4
    assert np.all(np.diff(longer.ts) > 0)
    np.testing.assert_array_equal(longer.ws[: NUM + 1], whole.ws)
    assert form.error(longer) <= 100 * 1e-6


# L = 1/(4 (1 + 2t)²) falls to 1/100 at t = 2, and to 1/1764 at t = 10.
@pytest.mark.parametrize("clock", ["LogTime", "ArcLength"])
def test_stops_are_located_in_flow_time(clock: str):
    """The first of stop and end, the times before it saved, and none behind it."""
    form = closed_form("quartic")
    run = simulate(form, clock, rtol=1e-9, stops=[gf.LossBelow(0.01)])
    assert run.result is Outcome.loss_reached
    np.testing.assert_allclose(run.ts[-1], 2.0, rtol=1e-7)
    schedule = gf.Save.log(num=NUM).schedule(0, 10)
    np.testing.assert_array_equal(run.ts[1:-1], schedule[schedule < run.ts[-1]])
    # A stop just behind the end, in the step that goes past it, is not met.
    late = [gf.LossBelow(1 / 1764 * (1 - 1e-4))]
    past = simulate(form, clock, rtol=1e-9, stops=late)
    assert past.result is Outcome.reached_end
    assert past.ts[-1] == 10.0
    # And a run goes on from where it stopped.
    on = simulate(form, clock, rtol=1e-9, stops=late, resume=run)
    assert on.ts[-1] == 10.0
    assert form.error(on) <= 100 * 1e-9


def test_steps_are_saved_where_they_end():
    """One point a step, in flow time; the last lies at t1, inside the last step."""
    form = closed_form("quartic")
    run = simulate(form, "ArcLength", save=gf.Save.steps())
    assert len(run.ts) == 1 + run.stats["num_accepted"]
    assert np.all(np.diff(run.ts) > 0)
    assert run.ts[-1] == 10.0
    assert form.error(run) <= 100 * 1e-6


def test_float32_stays_float32():
    """Time to 1e12 and parameters keep the type of w0; errors are of a few eps."""
    form = closed_form("quartic")
    w0 = jnp.asarray(form.w0, jnp.float32)
    options: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-14, "clock": gf.LogTime()}
    run = gf.simulate(form.problem, gf.GradientFlow(), w0, t1=1e12, **options)
    assert run.result is Outcome.reached_end
    assert {run.ts.dtype, run.ws.dtype, run.observed["loss"].dtype} == {
        np.dtype(np.float32)
    }
    assert form.error(run) <= 100 * 1e-5


FAULTS: dict[str, tuple[Any, Outcome, float]] = {
    "blow-up": (lambda w: -(w[0] ** 4), Outcome.blow_up, 0.125),
    "loss that becomes nan": (
        lambda w: jnp.where(w[0] < 0.5, jnp.nan, w[0]),
        Outcome.nonfinite_state,
        0.5,
    ),
    "minimum": (lambda w: jnp.sum((w - 1) ** 2), Outcome.zero_gradient, 0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_have_their_outcome_and_time(name: str):
    """As without a clock; though s is fine, flow time ends there."""
    loss, outcome, last = FAULTS[name]
    run = gf.simulate(
        gf.Objective(loss),
        gf.GradientFlow(),
        jnp.ones(1),
        3.0,
        clock=gf.ArcLength(),
        throw=False,
    )
    assert run.result is outcome
    assert np.all(np.isfinite(run.ws))
    assert abs(run.ts[-1] - last) <= 1e-4


def test_implicit_solver_keeps_its_tolerances_under_a_clock():
    """Its Newton iteration takes them from the controller, as in plain time."""
    form = closed_form("quartic")
    run = form.simulate(clock=gf.LogTime(), solver=diffrax.Kvaerno5(), rtol=1e-5)
    assert form.error(run) <= 100 * 1e-5


def test_misuse_is_told_before_the_run():
    """A clock that is none, that cannot start, or that is not the stopped run's."""
    form = closed_form("quartic")
    with pytest.raises(TypeError, match="clock"):
        form.simulate(clock=gf.LogTime)
    with pytest.raises(ValueError, match="lower loss_min"):
        form.simulate(clock=gf.LossTime(1.0))
    with pytest.raises(ValueError, match="resume: clock differ"):
        simulate(form, "ArcLength", resume=quartic("LogTime"))


# Four points z_i = y_i x_i in the plane. The maximal margin direction is (1, 0): the
# first two lie on the margin 1 and (1, 0) = 2/3 (1, 1) + 1/3 (1, -2); the others lie
# beyond it. So w = (log t, 0) + (const, b) + o(1), where exp(-z·(0, b)) of the two
# stand like their weights (Soudry et al. 2018, theorem 4): exp(-3 b) = 2.
POINTS = np.array([[1.0, 1.0], [1.0, -2.0], [2.0, 0.5], [3.0, -2.5]])
B = -np.log(2) / 3


class _Logistic:
    """Mean of log(1 + exp(-z·w)), from a start off the axis of symmetry."""

    problem = gf.Objective(
        lambda w: jnp.mean(jax.nn.softplus(-(jnp.asarray(POINTS) @ w)))
    )
    w0 = jnp.array([0.0, 0.5])


@functools.cache
def separable(clock: str | None, t1: float) -> gf.Trajectory:
    return gf.simulate(
        _Logistic.problem,
        gf.GradientFlow(),
        _Logistic.w0,
        t1,
        rtol=1e-8,
        atol=1e-11,
        save=gf.Save.log(num=300, first=1e-3),
        clock=None if clock is None else CLOCKS[clock],
    )


@pytest.mark.parametrize("clock", CLOCKS)
def test_separable_classification_reaches_the_end_of_times(clock: str):
    """t = 1e30 in under 2,000 steps, with the directions of plain time within 1e-6."""
    plain, run = separable(None, 1e30), separable(clock, 1e30)
    assert run.result is Outcome.reached_end
    assert run.ts[-1] == 1e30
    assert run.stats["num_steps"] < 2000
    units = [w / np.linalg.norm(w, axis=1, keepdims=True) for w in (plain.ws, run.ws)]
    assert np.max(np.abs(units[0] - units[1])) <= 1e-6


def test_maximal_margin_direction_is_approached_like_one_over_log_t():
    """The distance of w/‖w‖ from it is |b|/log t, with the known constant b."""
    run = separable("LossTime", 1e30)
    late = run.ts >= 1e10
    w = run.ws[late]
    gap = np.linalg.norm(w / np.linalg.norm(w, axis=1)[:, None] - [1.0, 0.0], axis=1)
    # log t is w's first component but for a constant: exp(-w) ~ 1/t by the loss.
    np.testing.assert_allclose(w[:, 1], B, rtol=1e-4)
    np.testing.assert_allclose(gap * w[:, 0], -B, rtol=1e-3)
    offset = w[:, 0] - np.log(run.ts[late])
    np.testing.assert_allclose(offset, offset[-1], atol=1e-4)
