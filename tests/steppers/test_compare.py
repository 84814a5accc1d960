"""The gap between gradient descent and its flow."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import closed_form, flow

import gflow as gf

# L = ½ Σ λ w²: gradient descent is (1 - ηλ)^k, the flow exp(-λ η k).
RATE = np.array([1.0, 3.0])
W0 = jnp.array([2.0, 1.0])
PROBLEM = gf.Objective(
    lambda w: 0.5 * jnp.sum(RATE * w**2), predict=lambda w: 2.0 * jnp.stack([w, w])
)


def _descent(eta: float, num: int, **options: Any) -> gf.Trajectory:
    return gf.iterate(PROBLEM, gf.gradient_descent(eta), W0, num, **options)


@pytest.fixture(scope="module")
def exact() -> gf.Trajectory:
    """The flow to t = 1."""
    return gf.simulate(PROBLEM, gf.GradientFlow(), W0, 1.0, rtol=1e-10, atol=1e-13)


def test_gap_is_that_of_the_closed_forms(exact: gf.Trajectory) -> None:
    """In parameters, loss and predictions (‖f‖² = 8 ‖w‖²), at each step's own time."""
    gap = gf.compare(exact, _descent(0.05, 20, save=gf.Save.steps())).gaps[0]
    k = np.arange(21)[:, None]
    steps, true = W0 * (1 - 0.05 * RATE) ** k, W0 * np.exp(-0.05 * RATE * k)
    distance = np.linalg.norm(steps - true, axis=1)
    np.testing.assert_allclose(gap.ts, 0.05 * k[:, 0], rtol=1e-14)
    np.testing.assert_allclose(gap.params, distance, atol=1e-9)
    assert gap.predictions is not None
    np.testing.assert_allclose(gap.predictions, np.sqrt(8) * distance, atol=1e-8)
    losses = 0.5 * np.sum(RATE * (steps**2 - true**2), axis=1)
    np.testing.assert_allclose(gap.loss, losses, atol=1e-9)


@pytest.mark.parametrize("name", ["quartic", "regression"])
def test_gap_is_of_first_order_in_eta(name: str) -> None:
    """Slope 1.0 ± 0.05 of log gap against log η at a fixed time."""
    form, whole = closed_form(name), flow(name, 1e-9)
    runs = [
        gf.iterate(
            form.problem, gf.gradient_descent(1 / n), form.w0, n, save=gf.Save.log(2)
        )
        for n in (200, 400, 800)
    ]
    comparison = gf.compare(whole, runs)
    assert comparison.order is not None
    assert abs(comparison.order - 1.0) <= 0.05
    assert comparison.order_time == pytest.approx(1.0, rel=1e-12)
    assert f"order in eta at t = 1: {comparison.order:.3f}" in repr(comparison)


def test_order_needs_several_etas_and_a_common_time(exact: gf.Trajectory) -> None:
    """One run, one eta, or ends at different times: no order."""
    tenth = _descent(0.1, 10)
    assert gf.compare(exact, tenth).order is None
    assert gf.compare(exact, [tenth, tenth]).order is None
    assert gf.compare(exact, [tenth, _descent(np.pi / 40, 10)]).order is None


def test_only_common_time_is_compared(exact: gf.Trajectory) -> None:
    """A discrete run that goes past the flow's end is cut there."""
    gap = gf.compare(exact, _descent(0.1, 25, save=gf.Save.steps())).gaps[0]
    np.testing.assert_allclose(gap.ts, 0.1 * np.arange(11), rtol=1e-14)


def test_runs_that_cannot_be_compared_are_told(exact: gf.Trajectory) -> None:
    """Another start, no parameters, no common time, nothing at all."""
    other = gf.iterate(PROBLEM, gf.gradient_descent(0.1), 2 * W0, 10)
    with pytest.raises(ValueError, match="do not begin at the same w0"):
        gf.compare(exact, other)
    with pytest.raises(ValueError, match="kept no parameters"):
        gf.compare(exact, _descent(0.1, 10, save=gf.Save.log(keep_params=False)))
    with pytest.raises(ValueError, match="first discrete step is past the flow's end"):
        gf.compare(exact, _descent(1.5, 10))
    with pytest.raises(ValueError, match="at least one"):
        gf.compare(exact, [])


def test_problem_without_predictions_has_no_such_gap() -> None:
    """None, and a dash in the table."""
    form = closed_form("quartic")
    run = gf.iterate(form.problem, gf.gradient_descent(0.5), form.w0, 20)
    comparison = gf.compare(flow("quartic"), run)
    assert comparison.gaps[0].predictions is None
    assert repr(comparison).endswith(" -")
