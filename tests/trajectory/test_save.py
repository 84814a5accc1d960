"""When to save, and what is kept."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import closed_form, flow

import gflow as gf
from gflow.trajectory import next_window

Save = gf.Save


def test_log_schedule_is_geometric_and_ends_at_the_end() -> None:
    """`num` times from `first`, t1 the last of them."""
    times = Save.log(5, first=0.01).schedule(0.0, 100.0)
    np.testing.assert_allclose(times, [0.01, 0.1, 1.0, 10.0, 100.0], rtol=1e-14)
    assert Save.log().schedule(0.0, 2.0)[0] == pytest.approx(2e-6)
    # `first` past the end: all of them at the end, which is saved once.
    np.testing.assert_array_equal(Save.log(3, first=9.0).schedule(0.0, 2.0), [2.0])


def test_given_times_outside_the_run_are_left_out() -> None:
    """The start is saved anyway, and so is the end."""
    save = Save.at([0.0, 1.0, 2.0, 3.0])
    np.testing.assert_array_equal(save.schedule(0.0, 2.5), [1.0, 2.0, 2.5])
    np.testing.assert_array_equal(Save.steps().schedule(0.0, 2.5), [2.5])


def test_discrete_steps_are_the_nearest_to_the_times() -> None:
    """Each step at most once, the last one always."""
    np.testing.assert_array_equal(Save.steps().indices(3, 0.1), [1, 2, 3])
    np.testing.assert_array_equal(
        Save.at([0.0, 0.31, 0.34, 1.0]).indices(7, 0.1), [3, 7]
    )
    indices = Save.log(50).indices(1000, 0.1)
    assert indices[0] == 1
    assert indices[-1] == 1000
    assert np.all(np.diff(indices) > 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Save.log(0),
        lambda: Save.log(first=0.0),
        lambda: Save.log(first=float("inf")),
        lambda: Save.at([1.0, 1.0]),
        lambda: Save.at([2.0, 1.0]),
        lambda: Save.at([0.0, float("nan")]),
    ],
)
def test_schedules_that_make_no_sense_are_told(make: Any) -> None:
    """No points, no order, not finite."""
    with pytest.raises(ValueError, match="Save"):
        make()


def test_windows_lie_at_fixed_places_of_a_schedule() -> None:
    """Begun anywhere inside, a window ends where it always ends, filled up."""
    schedule = np.arange(600.0)
    for begin, end in ((0, 256), (100, 256), (255, 256), (256, 512), (520, 600)):
        window, count = next_window(schedule, begin, 8)
        assert len(window) == 256
        np.testing.assert_array_equal(window[:count], schedule[begin:end])
        assert np.all(window[count:] == schedule[end - 1])
    # 64 MiB of states of 1 MiB: 64 of them.
    assert len(next_window(schedule, 0, 2**20)[0]) == 64


def test_both_ends_are_saved_without_padding() -> None:
    """w0 at t = 0, w1 at t1, all times finite and increasing."""
    form = closed_form("quartic")
    times = [0.5, 1.0, 20.0]
    run = form.simulate(save=Save.at(times))
    np.testing.assert_array_equal(run.ts, [0.0, 0.5, 1.0, 10.0])
    np.testing.assert_array_equal(run.ws[0], form.w0)
    np.testing.assert_array_equal(run.ws[-1], run.w1)
    assert len(flow("quartic").ts) == 201


def test_accepted_steps_can_be_saved() -> None:
    """Every step is there, however many stretches it took, and each is on the flow."""
    form = closed_form("quartic")
    run = form.simulate(save=Save.steps())
    assert len(run.ts) == 1 + run.stats["num_accepted"]
    assert np.all(np.diff(run.ts) > 0)
    assert run.ts[-1] == form.t1
    assert form.error(run) <= 100 * 1e-6
    # Where it is saved does not change where it goes.
    assert run.stats["num_steps"] == flow("quartic").stats["num_steps"]


def test_more_times_than_a_window_holds_are_the_same_run() -> None:
    """600 saved times in three windows: the values at common times agree to the bit."""
    form, times = closed_form("quartic"), np.linspace(0.01, 10.0, 600)
    many = form.simulate(save=Save.at(times))
    few = form.simulate(save=Save.at(times[[299, 450, 599]]))
    assert len(many.ts) == 601
    assert form.error(many) <= 100 * 1e-6
    # Windows end inside steps, which are cut there: the last bits differ, no more.
    np.testing.assert_allclose(many.ws[[300, 451, 600]], few.ws[1:], rtol=1e-6)


def test_parameters_that_do_not_fit_the_budget_are_dropped_and_it_is_said() -> None:
    """201 points of 2 × 8 bytes are 3216; the ends and what is observed stay."""
    form, whole = closed_form("quartic"), flow("quartic")
    fits = form.simulate(save=Save.log(max_bytes=3216))
    assert fits.ws is not None
    run = form.simulate(save=Save.log(max_bytes=3215))
    assert run.ws is None
    assert "ws not kept" in run.notes[0]
    assert "ws not kept" in repr(run)
    np.testing.assert_array_equal(run.w0, whole.w0)
    np.testing.assert_array_equal(run.w1, whole.w1)
    np.testing.assert_array_equal(run.observed["loss"], whole.observed["loss"])


def test_parameters_can_be_left_out() -> None:
    """Not kept because nobody asked: no note."""
    run = closed_form("quartic").simulate(save=Save.log(keep_params=False))
    assert run.ws is None
    assert run.notes == ()
    assert jnp.shape(run.w1) == (2,)
