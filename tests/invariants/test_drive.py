"""The fields that push the parameters, against the flows that gflow simulates."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gflow as gf
from gflow.flows import MomentumState
from gflow.invariants._drive import Drive, drive
from gflow.invariants._exact_count import _generators
from gflow.invariants._polynomials import PRIME
from gflow.invariants._smooth_count import _field
from gflow.problem import Mirror

LIKE = {"u": np.array([0.003, -5.0, 0.0]), "v": np.array(700.0)}


def outputs(w: Any) -> Any:
    return {"sum": jnp.sum(w["u"]) * w["v"], "last": w["u"][-1] ** 2}


def loss(w: Any) -> Any:
    """½‖φ‖²: the coefficients of the fields are -φ."""
    return 0.5 * sum(jnp.sum(x**2) for x in jax.tree.leaves(outputs(w)))


def steered(driven: Drive, x: Any) -> Any:
    """The coefficients with which the fields add up to -G^-1 ∇L."""
    return -driven.outputs(x) / jnp.asarray(driven.weights)


@pytest.mark.parametrize(
    "rates", [None, {"u": 2.0, "v": 0.5}, Mirror(lambda w: 1 + w * w)]
)
def test_fields_are_those_of_the_flow(rates: Any) -> None:
    """Velocities of w are s times those of x = w/s."""
    driven = drive(outputs, LIKE, None, rates)
    problem = gf.Objective(loss, rates=rates)
    x = driven.draw(jax.random.key(1))
    velocity = driven.scales * driven.push(x, steered(driven, x))
    expected, _ = ravel_pytree(problem.velocity(driven.whole(x)))
    np.testing.assert_allclose(velocity, expected, rtol=1e-12)


@pytest.mark.parametrize("flow", [gf.flows.HeavyBall(0.7), gf.flows.Nesterov(2.5)])
def test_fields_with_inertia_are_those_of_the_flow(flow: Any) -> None:
    """The drift and the force add up to (v, -γ v - ∇L, 1)."""
    driven = drive(outputs, LIKE, None, None, flow)
    problem, t = gf.Objective(loss), 1.7
    x = driven.draw(jax.random.key(1))
    v = jax.random.normal(jax.random.key(2), x.shape)
    z = jnp.concatenate([x, v, jnp.full(1, t)])
    c = jnp.concatenate([jnp.ones(1), steered(driven, x)])
    scales = np.concatenate([driven.scales, driven.scales, [1.0]])
    moved = scales * _field(driven)(z, c)
    static = jax.tree.map(lambda _: None, LIKE)
    w, velocity = driven.whole(x), driven.whole(v)
    state = MomentumState(w, velocity, jnp.zeros(()))
    rate = flow.terms(static).vf(t, state, problem)
    expected = [ravel_pytree(part)[0] for part in (rate.w, rate.velocity)]
    np.testing.assert_allclose(
        moved, np.concatenate([*expected, [1.0]]), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("flow", [gf.flows.HeavyBall(0.5), gf.flows.Nesterov(3.0)])
def test_the_polynomial_drift(flow: Any) -> None:
    """(v, -γ v, 1) at γ = 1/2; of damping 3/t times t: (t v, -3 v, t)."""
    like = {"u": np.array(1.0), "v": np.array(1.0)}
    driven = drive(lambda w: w["u"] * w["v"], like, None, None, flow)
    (drift, force), _ = _generators(driven)
    point = [2, 3, 5, 7, 11]  # u, v, their velocities, t
    at = [int(drift[k](*point)) for k in range(5)]
    if isinstance(flow, gf.flows.HeavyBall):
        assert at[:2] == [5, 7]
        assert [2 * x % PRIME for x in at[2:]] == [PRIME - 5, PRIME - 7, 2]
    else:
        assert at == [55, 77, PRIME - 15, PRIME - 21, 11]
    assert {k: int(p(*point)) for k, p in force.items()} == {2: 3, 3: 2}


def test_draws_have_the_size_and_the_signs_of_like() -> None:
    """Zeros are drawn, of the mean size of the others; scales are powers of two."""
    driven = drive(outputs, LIKE, None, None)
    like = ravel_pytree(LIKE)[0]
    np.testing.assert_array_equal(driven.scales * driven.start, like)
    np.testing.assert_array_equal(np.log2(driven.scales) % 1, 0)
    draws = jax.vmap(driven.draw)(jax.random.split(jax.random.key(0), 500))
    ratio = np.asarray(draws)[:, [0, 1, 3]] / driven.start[[0, 1, 3]]
    assert ratio.min() > 0.1
    np.testing.assert_allclose(np.std(np.log(ratio), axis=0), 0.4, atol=0.05)
    assert 0.3 < np.mean(np.asarray(draws)[:, 2] > 0) < 0.7
    assert 100 < driven.scales[2] < 500
