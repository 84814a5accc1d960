"""Loss rates on separable data."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.diagnostics import margin_rate


def trail(power: float, c: float, ts: np.ndarray) -> gf.Trajectory:
    """A trajectory with -dL/dt = c L² (log 1/L)^power, by its series for t(L).

    For power 0: L = 1/(c t). For power 2, m = log(1/L): dt = e^m/(c m²) dm, that is
    t = (Ei(m) - e^m/m)/c, here inverted on a grid in m.
    """
    if power == 0:
        loss = 1 / (c * ts)
    else:
        m = np.linspace(1, 90, 400_001)
        steps = (
            np.diff(m)
            * 0.5
            * (np.exp(m[1:]) / m[1:] ** 2 + np.exp(m[:-1]) / m[:-1] ** 2)
        )
        grown = np.log(np.cumsum(steps) / c)
        loss = np.exp(-np.interp(np.log(ts), grown, m[1:]))
    speed = c * loss**2 * np.log(1 / loss) ** power
    observed = {"loss": loss, "grad_norm": np.sqrt(speed)}
    return dataclasses.replace(_short_run(), ts=ts, observed=observed)


@functools.cache
def _short_run() -> gf.Trajectory:
    """Any trajectory, to put times and losses in."""
    problem = gf.Objective(lambda w: jnp.sum(w**2))
    descent = gf.gradient_descent(0.1)
    return gf.iterate(problem, descent, jnp.ones(1), 2, progress=False)


@pytest.mark.parametrize(("power", "c"), [(0.0, 3.0), (2.0, 0.5)])
def test_power_and_constant_are_recovered(power: float, c: float):
    """To round-off, as the law holds exactly."""
    found = margin_rate(trail(power, c, np.logspace(7, 30, 50)))
    assert found.log_power == pytest.approx(power, abs=1e-9)
    assert found.c == pytest.approx(c, rel=1e-8)
    assert found.num_points == 50


def test_what_it_is_for():
    """A line through log(t L) against log log t has slope -1.9 here, and not -2."""
    run = trail(2.0, 1.0, np.logspace(7, 30, 50))
    slope = np.polyfit(
        np.log(np.log(run.ts)), np.log(run.ts * run.observed["loss"]), 1
    )[0]
    assert abs(slope + 2) > 0.05
    assert "(log t)^2.000" in repr(margin_rate(run))


def test_too_few_points():
    """Refused, with what would help."""
    with pytest.raises(ValueError, match="run longer"):
        margin_rate(trail(0.0, 1.0, np.logspace(0, 5.9, 50)))


@pytest.mark.parametrize(
    ("rates", "message"),
    [(2.0, "with rates other than 1"), (1.0, "run longer"), (None, "run longer")],
)
def test_rates_are_refused(rates: float | None, message: str):
    """With rates -dL/dt is another quantity than the gradient's square."""
    problem = gf.Objective(lambda w: jnp.sum(w**2), rates=rates)
    run = gf.iterate(problem, gf.gradient_descent(0.1), jnp.ones(1), 3, progress=False)
    with pytest.raises(ValueError, match=message):
        margin_rate(run)
