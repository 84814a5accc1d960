"""Each entry of the catalogue holds where it says so, and fails where it does not."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gflow as gf
from gflow.invariants import CATALOGUE, Entry, Example
from gflow.problem import Problem

FLOWS: dict[str, Any] = {
    "GradientFlow": gf.GradientFlow(),
    "ModifiedFlow": gf.flows.ModifiedFlow(0.1),
    "HeavyBall": gf.flows.HeavyBall(0.7),
    "Nesterov": gf.flows.Nesterov(),
}
DECAY, TIME = 0.3, 1.3
KEYS = (1, 2)

BY_NAME = pytest.mark.parametrize("name", list(CATALOGUE))
OF_W = [n for n, e in CATALOGUE.items() if "GradientFlow" in e.conserved_by]
INERTIAL = [n for n in CATALOGUE if n not in OF_W]


@functools.cache
def made(name: str, key: int, flow: str | None = None) -> Example:
    """Each example once."""
    given = None if flow is None else FLOWS[flow]
    return CATALOGUE[name].example(key=jax.random.key(key), flow=given)


class Flat:
    """An example in flat parameters: its laws as one, and how w may move."""

    def __init__(self, example: Example) -> None:
        self.example = example
        params, self.static = eqx.partition(example.w0, eqx.is_inexact_array)
        self.w, self.unravel = ravel_pytree(params)

    def tree(self, w: Any) -> Any:
        return eqx.combine(self.unravel(w), self.static)

    def h(self, w: Any) -> Any:
        laws = self.example.invariants.values()
        return jnp.concatenate([jnp.ravel(law(self.tree(w))) for law in laws])

    def velocity(self, w: Any, problem: Problem | None = None) -> Any:
        problem = problem or self.example.problem
        return ravel_pytree(problem.velocity(self.tree(w)))[0]

    def field(self, flow: Any, w: Any) -> Any:
        """Of a flow of the first order."""
        state = flow.init(self.unravel(w))
        moved = flow.terms(self.static).vf(0.0, state, self.example.problem)
        return ravel_pytree(moved.w)[0]

    def decaying(self) -> Problem:
        """The loss with weight decay."""
        problem = self.example.problem

        def loss(w: Any) -> Any:
            flat = ravel_pytree(eqx.filter(w, eqx.is_inexact_array))[0]
            return problem.loss(w) + DECAY / 2 * jnp.sum(flat**2)

        return gf.Objective(loss, rates=problem.metric)

    def sign(self, w: Any) -> Any:
        """What Adam tends to for small steps without noise."""
        return -jnp.sign(ravel_pytree(self.example.problem.grad(self.tree(w)))[0])

    def rate(self, h: Callable[[Any], Any], w: Any, v: Any) -> np.ndarray:
        """<∇h, v> over ‖∇h‖ ‖v‖, of each entry."""
        slopes = np.asarray(jax.jacrev(h)(w)).reshape(-1, len(w))
        lengths = np.linalg.norm(slopes, axis=1) * np.linalg.norm(v)
        return np.abs(slopes @ np.asarray(v)) / lengths

    def curvature(self, w: Any, v: Any) -> Any:
        """<v, ∇²h v>."""
        along = lambda w: jax.jvp(self.h, (w,), (v,))[1]  # noqa: E731
        return jax.jvp(along, (w,), (v,))[1]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("name", OF_W)
def test_a_law_of_w_holds_for_each_flow_that_it_claims(name: str, key: int) -> None:
    """<∇h, w'> is 0 to round-off.

    With inertia from rest, w' is a sum of pushes at other parameters: any will do.
    """
    flat = Flat(made(name, key))
    for flow in CATALOGUE[name].conserved_by:
        if flow in ("GradientFlow", "ModifiedFlow"):
            v = flat.field(FLOWS[flow], flat.w)
        else:
            v = flat.velocity(0.8 * flat.w) - 2 * flat.velocity(1.1 * flat.w + 0.01)
        assert np.linalg.norm(v) > 1e-3
        assert np.max(flat.rate(flat.h, flat.w, v)) < 1e-12


@pytest.mark.parametrize("name", OF_W)
def test_a_law_of_w_does_not_hold_for_others(name: str) -> None:
    """Of signs of gradients, as with Adam, and of the flows that are not claimed."""
    flat = Flat(made(name, 1))
    assert np.max(flat.rate(flat.h, flat.w, flat.sign(flat.w))) > 1e-3
    claimed = CATALOGUE[name].conserved_by
    if "ModifiedFlow" not in claimed:
        v = flat.field(FLOWS["ModifiedFlow"], flat.w)
        assert np.max(flat.rate(flat.h, flat.w, v)) > 1e-6
        v = flat.velocity(0.8 * flat.w) - 2 * flat.velocity(1.1 * flat.w + 0.01)
        assert np.max(flat.rate(flat.h, flat.w, v)) > 1e-4


@pytest.mark.parametrize("name", OF_W)
def test_weight_decay(name: str) -> None:
    """h' = -p λ h with the degree that the entry gives, or no such p."""
    ratios: list[np.ndarray] = []
    for key in KEYS:
        flat = Flat(made(name, key))
        v = flat.velocity(flat.w, flat.decaying())
        h, change = jax.jvp(flat.h, (flat.w,), (v,))
        degree = CATALOGUE[name].degree
        if degree is not None:
            np.testing.assert_allclose(
                change, -degree * DECAY * h, rtol=1e-11, atol=1e-12
            )
            assert np.max(np.abs(change)) > 1e-3
        ratios.append(np.asarray(change / (-DECAY * h)))
    if CATALOGUE[name].degree is None:
        assert np.ptp(np.concatenate(ratios)) > 0.1


@pytest.mark.parametrize("name", OF_W)
def test_a_step_of_gradient_descent(name: str) -> None:
    """h(w + ηv) - h(w) = (η²/2) <v, ∇²h v> + O(η³), which is 0 for some."""
    flat = Flat(made(name, 1))
    v = flat.velocity(flat.w)
    eta = 1e-3 / np.linalg.norm(v)
    moved = (flat.h(flat.w + eta * v) - flat.h(flat.w)) / (eta**2 / 2)
    predicted = flat.curvature(flat.w, v)
    size = np.max(np.abs(predicted))
    if CATALOGUE[name].steps == "stays":
        assert size == 0
        assert np.max(np.abs(moved)) * eta**2 < 1e-14
    else:
        assert size > 1e-3
        np.testing.assert_allclose(moved, predicted, atol=2e-2 * size)


@pytest.mark.parametrize("name", OF_W)
def test_with_inertia(name: str) -> None:
    """h'' + γ h' = <v, ∇²h v> at any velocity."""
    flat = Flat(made(name, 1))
    flow, v = FLOWS["HeavyBall"], jax.random.normal(jax.random.key(9), flat.w.shape)
    rate = lambda w, v: jax.jvp(flat.h, (w,), (v,))[1]  # noqa: E731
    dv_dt = flat.velocity(flat.w) - flow.friction * v
    change, acceleration = jax.jvp(rate, (flat.w, v), (v, dv_dt))
    expected = flat.curvature(flat.w, v) - flow.friction * change
    np.testing.assert_allclose(acceleration, expected, rtol=1e-11, atol=1e-11)


def momentum_rate(flat: Flat, v: Any, dv_dt: Any, problem: Problem) -> np.ndarray:
    """d/dt of the value, and what is dissipated, over the size of its parts."""
    (law,) = flat.example.momenta.values()

    def value(t: Any, w: Any, v: Any) -> Any:
        return law.value(t, flat.tree(w), flat.unravel(v), problem)

    _, rate = jax.jvp(value, (TIME, flat.w, v), (1.0, v, dv_dt))
    if law.dissipated is not None:
        rate += law.dissipated(TIME, flat.tree(flat.w), flat.unravel(v), problem)
    return np.abs(np.ravel(rate))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("flow", ["HeavyBall", "Nesterov"])
@pytest.mark.parametrize("name", INERTIAL)
def test_a_law_of_momentum(name: str, flow: str, key: int) -> None:
    """It is constant along the field of its flow at any velocity.

    Also under weight decay if the entry says that it stays; not with other friction,
    and not along signs of gradients.
    """
    flat = Flat(made(name, key, flow))
    v = jax.random.normal(jax.random.key(key), flat.w.shape)
    example, law_of_motion = flat.example, FLOWS[flow]

    def dv_dt(problem: Problem, v: Any) -> Any:
        state = law_of_motion.init(flat.unravel(flat.w))
        state = eqx.tree_at(lambda s: s.velocity, state, flat.unravel(v))
        moved = law_of_motion.terms(flat.static).vf(TIME, state, problem)
        return ravel_pytree(moved.velocity)[0]

    push = dv_dt(example.problem, v)
    # Terms are of this size.
    size = 10 * float(np.linalg.norm(v) * (1 + np.linalg.norm(push)))
    assert np.max(momentum_rate(flat, v, push, example.problem)) < 1e-13 * size
    other = momentum_rate(flat, v, push - 0.1 * v, example.problem)
    assert np.max(other) > 1e-4 * size
    still = jnp.zeros_like(v)
    signs = momentum_rate(flat, flat.sign(flat.w), still, example.problem)
    assert np.max(signs) > 1e-2
    decaying = flat.decaying()
    rate = momentum_rate(flat, v, dv_dt(decaying, v), decaying)
    if CATALOGUE[name].degree == 0:
        assert np.max(rate) < 1e-13 * size
    else:
        assert np.max(rate) > 1e-4 * size


def test_balance_decays_along_a_run() -> None:
    """exp(-2 λ t) to the tolerance of the solver."""
    flat = Flat(made("balance", 1))
    run = gf.simulate(
        flat.decaying(), gf.GradientFlow(), flat.example.w0, 1.0, rtol=1e-9
    )
    for law in flat.example.invariants.values():
        start, end = law(flat.example.w0), law(run.w1)
        np.testing.assert_allclose(end, np.exp(-2 * DECAY) * start, rtol=1e-6)


def test_sums_stay_with_inertia_from_rest() -> None:
    """Of the last layer under cross-entropy, along a heavy-ball run."""
    example = made("softmax", 1, "HeavyBall")
    run = gf.simulate(
        example.problem,
        example.flow,
        example.w0,
        2.0,
        rtol=1e-8,
        invariants=example.invariants,
    )
    assert len(run.drift) == 2
    assert all(drift.absolute < 1e-12 for drift in run.drift.values())


def test_momentum_laws_need_inertia() -> None:
    """What came, and what was expected."""
    with pytest.raises(TypeError, match="with inertia, not GradientFlow"):
        CATALOGUE["energy"].example(key=jax.random.key(0), flow=gf.GradientFlow())


@BY_NAME
def test_an_entry_in_words(name: str) -> None:
    """Formula, flows, and what becomes of it else, in the table and by itself."""
    entry: Entry = CATALOGUE[name]
    (line,) = [x for x in repr(CATALOGUE).splitlines() if x.startswith(f"{name}  ")]
    assert entry.formula in line
    assert line.endswith(entry.decay)
    text = repr(entry)
    for part in (entry.formula, entry.reference, entry.steps, *entry.conserved_by):
        assert part in text
    assert (
        entry.decay
        == {
            2: "exp(-2 lambda t)",
            1: "exp(-lambda t)",
            0: "stays",
            -1: "exp(lambda t)",
            None: "broken",
        }[entry.degree]
    )
