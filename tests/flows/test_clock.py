"""The rates of clocks."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf

# L = ½ ‖w‖² with rate 2: at w = (3, 4) the loss is 12.5 and the speed 2 · 5 = 10.
PROBLEM = gf.Objective(lambda w: 0.5 * jnp.sum(w**2), rates=2.0)
W = jnp.array([3.0, 4.0])


@pytest.mark.parametrize(
    ("clock", "rate"),
    [
        (gf.LogTime(), 1 + 7),
        (gf.LogTime(0.5), 0.5 + 7),
        (gf.ArcLength(), 1 / 10),
        (gf.ArcLength(30.0), 1 / 40),
        (gf.LossTime(), 1 / 12.5),
        (gf.LossTime(-12.5), 1 / 25),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rate_is_the_inverse_of_what_the_clock_counts(
    clock: gf.Clock, rate: float, dtype: Any
):
    """t_ref + t, 1 / (speed + floor), 1 / (L - loss_min), in the type of w."""
    w, t = W.astype(dtype), jnp.asarray(7.0, dtype)
    found = clock.rate(t, w, PROBLEM.velocity(w), PROBLEM)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, rate, rtol=1e-6)


@pytest.mark.parametrize("clock", [gf.ArcLength(), gf.LossTime()])
def test_rate_is_a_number_where_nothing_moves(clock: gf.Clock):
    """At the minimum: finite, so that the rate times a velocity of zero is zero."""
    w = jnp.zeros(2)
    rate = clock.rate(jnp.zeros(()), w, PROBLEM.velocity(w), PROBLEM)
    assert np.isfinite(rate)
    assert rate > 1e300


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: gf.LogTime(0.0), "LogTime cannot have t_ref = 0"),
        (lambda: gf.LogTime(float("inf")), "LogTime cannot have t_ref = inf"),
        (lambda: gf.ArcLength(-1.0), "ArcLength cannot have floor = -1"),
        (lambda: gf.LossTime(float("nan")), "LossTime cannot have loss_min = nan"),
    ],
)
def test_senseless_settings_are_refused(make: Any, words: str):
    """A clock must run forward, at a finite rate."""
    with pytest.raises(ValueError, match=words):
        make()


def test_loss_time_needs_a_loss_above_its_least():
    """L(w0) = 12.5 under loss_min = 20 would run backward."""
    with pytest.raises(ValueError, match="pass a lower loss_min"):
        gf.LossTime(20.0).check(W, PROBLEM)
