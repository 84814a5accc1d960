"""Laws of flows with inertia, along simulated flows and in closed form."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.flows import HeavyBall, Nesterov
from gflow.invariants import MomentumLaw, angular_momentum, energy_law, shift_momentum
from gflow.problem import Mirror

W0 = {"u": jnp.array([[1.0, 0.3], [-0.5, 0.8]]), "v": jnp.array([[0.7, -0.4]])}


def moving(flow: Any, problem: Any) -> Any:
    """(t, w, w', ∫ of what is dissipated) at 0.5 and at 2, from a start with speed."""
    start = eqx.tree_at(lambda s: s.velocity, flow.init(W0), jax.tree.map(jnp.cos, W0))
    ts = jnp.array([0.5, 2.0])
    states = diffrax.diffeqsolve(
        flow.terms(jax.tree.map(lambda _: None, W0)),
        diffrax.Tsit5(),
        ts[0],
        ts[1],
        0.01,
        start,
        args=problem,
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-10),
    ).ys
    assert states is not None
    return ts, states.w, states.velocity


@pytest.mark.parametrize("rates", [None, {"u": 2.0, "v": 0.5}])
def test_energy_of_a_flow_without_friction(rates: Any) -> None:
    """½⟨v, G v⟩ + L stays, G one over the rates; all of it is kinetic or L."""
    problem = gf.Objective(
        lambda w: 0.5 * jnp.sum((w["v"] @ w["u"] - 1.0) ** 2), rates=rates
    )
    law = energy_law(HeavyBall(0.0), problem)
    values = jax.vmap(law)(*moving(HeavyBall(0.0), problem))
    np.testing.assert_allclose(values[1], values[0], rtol=1e-8)
    weights = {"u": 1.0, "v": 1.0} if rates is None else {"u": 0.5, "v": 2.0}
    v = {"u": 2 * jnp.ones((2, 2)), "v": jnp.ones((1, 2))}
    kinetic = 0.5 * (16 * weights["u"] + 2 * weights["v"])
    expected = kinetic + float(problem.loss(W0))
    np.testing.assert_allclose(law(0.0, W0, v), expected, rtol=1e-12)
    damped = energy_law(Nesterov(3.0), problem)
    assert damped.dissipated is not None
    np.testing.assert_allclose(damped.dissipated(2.0, W0, v), 3.0 * kinetic)
    assert damped.dissipated(0.0, W0, jax.tree.map(jnp.zeros_like, v)) == 0


@pytest.mark.parametrize("flow", [HeavyBall(0.7), Nesterov(2.5)])
def test_momenta_along_a_flow(flow: Any) -> None:
    """Of rotations of the hidden units, and of a shift."""
    problem = gf.Objective(lambda w: 0.5 * jnp.sum((w["v"] @ w["u"] - 1.0) ** 2))
    law = angular_momentum(flow, lambda w: w["u"], lambda w: w["v"].T)
    values = jax.vmap(law)(*moving(flow, problem))
    assert abs(values[0][0, 1]) > 0.1
    np.testing.assert_allclose(values[1], values[0], rtol=1e-7, atol=1e-9)
    differences = gf.Objective(
        lambda w: jnp.sum((w["u"][0] - w["u"][1]) ** 2) + jnp.sum(w["v"] ** 2)
    )
    total = gf.Invariant(lambda w: jnp.sum(w["u"]), formula="sum u")
    shift = jax.vmap(shift_momentum(flow, total))(*moving(flow, differences))
    assert abs(shift[0]) > 0.1
    np.testing.assert_allclose(shift[1], shift[0], rtol=1e-7)


def test_misuse() -> None:
    """Other flows, metrics that move, rows that do not pair."""
    problem = gf.Objective(jnp.sum, rates=Mirror())
    flow: Any = gf.GradientFlow()
    total = gf.Invariant(jnp.sum, formula="s")
    makes: list[Any] = [
        lambda: energy_law(flow, gf.Objective(jnp.sum)),
        lambda: angular_momentum(flow, jnp.sum, jnp.sum),
        lambda: shift_momentum(flow, total),
    ]
    for make in makes:
        with pytest.raises(TypeError):
            make()
    with pytest.raises(ValueError, match="do not depend on w"):
        energy_law(HeavyBall(1.0), problem)
    law: MomentumLaw = angular_momentum(
        HeavyBall(1.0), lambda w: w["u"], lambda w: w["v"]
    )
    with pytest.raises(ValueError, match="a row for each hidden feature"):
        law(0.0, W0, W0)
