"""Stops are found where they are, and each has its outcome."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf

Outcome = gf.Outcome
W0 = jnp.array([0.6, 0.8])


class _Quartic(eqx.Module):
    """sign ‖w‖⁴/4: from ‖w0‖ = 1, ‖w‖² = 1/(1 + 2 sign t)."""

    sign: Any

    def __call__(self, w: Any) -> Any:
        return self.sign * 0.25 * jnp.sum(w**2) ** 2


def _problem(sign: float = 1.0) -> gf.Objective:
    return gf.Objective(_Quartic(jnp.asarray(sign)))


def _first(t: Any, w: Any, problem: gf.Problem) -> Any:
    return w[0]


def _minus_first(t: Any, w: Any, problem: gf.Problem) -> Any:
    return -w[0]


def _time(t: Any, w: Any, problem: gf.Problem) -> Any:
    return t


def _stops(
    loss: float = -1e9,
    gradient: float = 1e-9,
    first: float = 1e9,
    minus_first: float = 1e9,
    time: float = 1e9,
    norm: float = 1e9,
) -> list[Any]:
    """One stop of each kind, out of reach unless set: a single program for them all."""
    return [
        gf.LossBelow(loss),
        gf.Stationary(gradient),
        gf.Target(_first, first),
        gf.Target(_minus_first, minus_first),
        gf.Target(_time, time),
        gf.Diverged(norm),
    ]


def _run(stops: list[Any], sign: float = 1.0, **options: Any) -> gf.Trajectory:
    return gf.simulate(
        _problem(sign),
        gf.GradientFlow(),
        W0,
        t1=10.0,
        rtol=1e-9,
        atol=1e-12,
        stops=stops,
        throw=False,
        **options,
    )


# With s = 1 + 2t: ‖w‖² = 1/s, L = 1/(4 s²), ‖∇L‖ = s^(-3/2), w[0] = 0.6 s^(-1/2).
@pytest.mark.parametrize(
    ("where", "outcome", "s"),
    [
        ({"loss": 0.01}, Outcome.loss_reached, 5.0),
        ({"gradient": 0.1}, Outcome.stationary, 10 ** (2 / 3)),
        ({"first": 0.3}, Outcome.target_reached, 4.0),
        ({"minus_first": -0.3}, Outcome.target_reached, 4.0),
        ({"time": 1.25}, Outcome.target_reached, 3.5),
    ],
)
def test_stop_is_located_inside_its_step(
    where: dict[str, float], outcome: Outcome, s: float
) -> None:
    """The time is that of the closed form, from whichever side the value comes."""
    run = _run(_stops(**where))
    assert run.result is outcome
    assert run.result.ok
    np.testing.assert_allclose(run.ts[-1], (s - 1) / 2, rtol=1e-7)
    assert np.all(np.diff(run.ts) > 0)
    # At the value to the last digits, whatever the error of the flow there.
    norm2 = float(np.sum(run.w1**2))
    reached = {
        "loss": 0.25 * norm2**2,
        "gradient": norm2**1.5,
        "first": run.w1[0],
        "minus_first": -run.w1[0],
        "time": run.ts[-1],
    }
    name, value = next(iter(where.items()))
    np.testing.assert_allclose(reached[name], value, rtol=1e-10)


def test_divergence_is_no_success() -> None:
    """Up the quartic ‖w‖² = 1/(1 - 2t): the norm is 10 at t = 0.495."""
    run = _run(_stops(norm=10.0), sign=-1.0)
    assert run.result is Outcome.diverged
    assert not run.result.ok
    np.testing.assert_allclose(run.ts[-1], 0.495, rtol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(run.w1), 10.0, rtol=1e-10)


def test_the_earlier_of_two_stops_wins() -> None:
    """Though both lie in one step, and the later one is given first."""
    # Loss 0.01 at s = 5, where w[0] = 0.6/√5 = 0.26833. 0.26834 is earlier by
    # Δs/s = 5e-5, far less than a step; 0.26832 is later.
    earlier = _run(_stops(loss=0.01, first=0.26834))
    assert earlier.result is Outcome.target_reached
    np.testing.assert_allclose(earlier.w1[0], 0.26834, rtol=1e-10)
    later = _run(_stops(loss=0.01, first=0.26832))
    assert later.result is Outcome.loss_reached


def test_stop_that_is_never_met_changes_nothing() -> None:
    """The run reaches its end; looks at the gradient are counted, one a step."""
    watched, plain = _run(_stops()), _run([])
    assert watched.result is Outcome.reached_end
    np.testing.assert_array_equal(watched.ws, plain.ws)
    extra = watched.stats["num_gradients"] - plain.stats["num_gradients"]
    assert extra == watched.stats["num_steps"]


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [
        (gf.LossBelow(0.25), Outcome.loss_reached),
        (gf.LossBelow(3.0), Outcome.loss_reached),
        (gf.Target(_first, 0.6), Outcome.target_reached),
        (gf.Stationary(1.0), Outcome.stationary),
        (gf.Diverged(1.0), Outcome.diverged),
    ],
)
def test_stop_met_at_the_start_ends_the_run_there(stop: Any, outcome: Outcome) -> None:
    """L(w0) = 1/4, ‖w0‖ = 1: nothing is integrated."""
    run = _run([stop])
    assert run.result is outcome
    np.testing.assert_array_equal(run.ts, [0.0])
    assert run.stats["num_steps"] == 0
    assert "already at w0" in run.verdict


def test_discrete_method_stops_at_the_first_step_that_meets_it() -> None:
    """w_k = 0.9^k: ½ w² ≤ 0.1 first at k = 8, as 0.9^8 = 0.43 and √0.2 = 0.45."""
    problem = gf.Objective(lambda w: 0.5 * w**2)
    run = gf.iterate(
        problem,
        gf.gradient_descent(0.1),
        jnp.array(1.0),
        100,
        stops=[gf.LossBelow(0.1)],
    )
    assert run.result is Outcome.loss_reached
    assert run.stats["num_steps"] == 8
    np.testing.assert_allclose(run.w1, 0.9**8, rtol=1e-14)
    np.testing.assert_allclose(run.ts[-1], 0.8, rtol=1e-14)


@pytest.mark.parametrize(
    "make",
    [
        lambda: gf.Stationary(0.0),
        lambda: gf.Stationary(float("nan")),
        lambda: gf.LossBelow(float("nan")),
        lambda: gf.Target(_first, float("inf")),
        lambda: gf.Diverged(-1.0),
        lambda: gf.WallClock(0.0),
        lambda: gf.MaxSteps(0),
    ],
)
def test_stops_that_make_no_sense_are_told(make: Any) -> None:
    """Thresholds that nothing can meet, or everything does."""
    with pytest.raises(ValueError, match="needs"):
        make()
