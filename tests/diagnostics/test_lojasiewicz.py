"""Exponents and rates against losses whose exponents and rates are known."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.diagnostics import lojasiewicz, rate


class Power(eqx.Module):
    """|w|^p/p with p as data: one program for every p."""

    p: jax.Array

    def __call__(self, w: Any) -> Any:
        """Sum over the coordinates."""
        return jnp.sum(jnp.abs(w) ** self.p) / self.p


@pytest.fixture(scope="module")
def flows() -> dict[float, gf.Trajectory]:
    """Flows on |w|^p/p from w = 1."""
    return {
        p: gf.simulate(
            gf.Objective(Power(jnp.asarray(p))),
            gf.GradientFlow(),
            jnp.ones(2),
            t1,
            rtol=1e-9,
            atol=1e-14,
        )
        for p, t1 in ((2.0, 12.0), (3.0, 1e5), (4.0, 1e5), (6.0, 1e6))
    }


@pytest.mark.parametrize("p", [2.0, 3.0, 4.0, 6.0])
def test_exponent_of_a_power(flows: dict[float, gf.Trajectory], p: float):
    """On |w|^p/p the exponent is 1 - 1/p, and the line through the points is exact."""
    # L = |w|^p/p, |L'| = |w|^(p-1) = (p L)^(1 - 1/p): theta = 1 - 1/p. With two equal
    # coordinates L = 2 a/p for a = |w|^p and the norm is sqrt(2) a^(1 - 1/p), so
    # c = sqrt(2) (p/2)^theta.
    found = lojasiewicz(flows[p])
    theta = 1 - 1 / p
    assert found.theta == pytest.approx(theta, abs=1e-6)
    assert found.c == pytest.approx(np.sqrt(2) * (p / 2) ** theta, rel=1e-4)
    assert found.r_squared > 1 - 1e-9


def test_rate_of_a_quadratic_is_exponential(flows: dict[float, gf.Trajectory]):
    """Loss of w' = -w falls as exp(-2t)."""
    found = rate(flows[2.0])
    assert found.kind == "exponential"
    assert found.rate == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize(("p", "exponent"), [(3.0, 3.0), (4.0, 2.0), (6.0, 1.5)])
def test_rate_of_a_power_is_a_power(
    flows: dict[float, gf.Trajectory], p: float, exponent: float
):
    """On |w|^p/p the loss falls as t^(-p/(p-2)) in the end."""
    # w = (1 + (p-2) t)^(-1/(p-2)), so L ~ t^(-p/(p-2)).
    found = rate(flows[p])
    assert found.kind == "power"
    assert found.rate == pytest.approx(exponent, rel=0.02)


def test_a_loss_that_oscillates_has_no_rate():
    """Gradient descent beyond the edge of stability: no law fits, and none is given."""
    # 0.25 w^4 - 0.5 w^2 has its minimum at 1 with curvature 2; eta = 1.05 > 2/2, so the
    # iterates settle on a cycle around it, on which the loss goes up and down.
    problem = gf.Objective(lambda w: 0.25 * w**4 - 0.5 * w**2 + 0.26)
    gd = gf.iterate(
        problem,
        gf.gradient_descent(1.3),
        jnp.array(0.5),
        num_steps=60,
        save=gf.Save.steps(),
    )
    found = rate(gd)
    assert found.kind == "undecided"
    assert np.isnan(found.rate)
    assert "no law fits" in repr(found)


def test_tail_stays_above_what_the_tolerance_resolves():
    """A tight quadratic run's tail ends above 1e4 rtol^2 of the first loss."""
    run = gf.simulate(
        gf.Objective(Power(jnp.asarray(2.0))), gf.GradientFlow(), jnp.ones(2), 40.0
    )
    # rtol 1e-6: down to 1e-8 of the first loss, exp(-2t) passes that at t = 9.2.
    found = lojasiewicz(run)
    assert found.window[1] < 9.3
    assert run.observed["loss"][-1] < 1e-16


def test_loss_min_above_the_loss_is_refused(flows: dict[float, gf.Trajectory]):
    """With L* above nearly every loss there is nothing to fit."""
    with pytest.raises(ValueError, match="loss_min above the infimum"):
        lojasiewicz(flows[4.0], loss_min=10.0)
