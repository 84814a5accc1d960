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
from gflow.invariants import CATALOGUE, Entry, MomentumLaw, energy_law
from gflow.problem import Problem

FLOWS: dict[str, Any] = {
    "GradientFlow": gf.GradientFlow(),
    "ModifiedFlow": gf.flows.ModifiedFlow(0.1),
    "HeavyBall": gf.flows.HeavyBall(0.7),
    "Nesterov": gf.flows.Nesterov(),
}
DECAY, TIME, STEP = 0.3, 1.3, 1e-3

OF_W = [n for n, e in CATALOGUE.items() if "GradientFlow" in e.conserved_by]
INERTIAL = [n for n in CATALOGUE if n not in OF_W]

# A program is compiled for each of a hundred calls: that is what takes the time.
QUICK: Any = {"xla_backend_optimization_level": 0}

Figures = dict[str, np.ndarray]


class Flat:
    """An example in flat parameters: its laws as one, and how w may move."""

    def __init__(self, name: str, key: int, flow: str | None = None) -> None:
        given = None if flow is None else FLOWS[flow]
        self.example = CATALOGUE[name].example(key=jax.random.key(key), flow=given)
        params, self.static = eqx.partition(self.example.w0, eqx.is_inexact_array)
        self.w0, self.unravel = ravel_pytree(params)

    def tree(self, w: Any) -> Any:
        return eqx.combine(self.unravel(w), self.static)

    def h(self, w: Any) -> Any:
        laws = self.example.invariants.values()
        return jnp.concatenate([jnp.ravel(law(self.tree(w))) for law in laws])

    def grad(self, w: Any) -> Any:
        return ravel_pytree(self.example.problem.grad(self.tree(w)))[0]

    def descent(self, w: Any, grad: Any) -> Any:
        moved = self.example.problem.descent(self.tree(w), self.unravel(grad))
        return ravel_pytree(moved)[0]

    def modified(self, w: Any) -> Any:
        """w' under the flow of that name."""
        flow = FLOWS["ModifiedFlow"]
        state = flow.init(self.unravel(w))
        field = flow.terms(self.static).vf(0.0, state, self.example.problem)
        return ravel_pytree(field.w)[0]

    def starts(self) -> list[Any]:
        """Random parameters of the signs of w0, which may have to be positive."""
        normal = np.random.default_rng(5).standard_normal((3, len(self.w0)))
        return [self.w0 * np.exp(0.2 * x) for x in normal]


def rate(h: Callable[[Any], Any], w: Any, v: Any) -> Any:
    """|<∇h, v>| over ‖∇h‖ ‖v‖, of each entry."""
    slopes = jax.jacrev(h)(w)
    return jnp.abs(slopes @ v) / jnp.linalg.norm(slopes, axis=1) / jnp.linalg.norm(v)


def of_w(flat: Flat, w: Any, v: Any) -> dict[str, Any]:
    """All that is asked of laws of w, at parameters w with a velocity v."""
    along = lambda w, v: jax.jvp(flat.h, (w,), (v,))[1]  # noqa: E731
    bent = lambda w, v: jax.jvp(lambda w: along(w, v), (w,), (v,))[1]  # noqa: E731
    elsewhere = np.exp(0.3 * np.random.default_rng(7).standard_normal((2, len(w))))
    points = jnp.concatenate([w[None], elsewhere * w])
    grads = jax.vmap(flat.grad)(points)
    down, *pushes = jax.vmap(flat.descent)(points, grads)
    eta, friction = STEP / jnp.linalg.norm(down), FLOWS["HeavyBall"].friction
    velocities = {
        "GradientFlow": down,
        "ModifiedFlow": flat.modified(w),
        # With inertia w' is, from rest, a sum of pushes on the way.
        "HeavyBall": pushes[0] + 2 * pushes[1],
        "Nesterov": pushes[0] - 3 * pushes[1],
        # What Adam's tends to for small steps without noise.
        "Adam": -jnp.sign(grads[0]),
    }
    return {name: rate(flat.h, w, v) for name, v in velocities.items()} | {
        "h": flat.h(w),
        "decay": along(w, flat.descent(w, grads[0] + DECAY * w)),
        "step": 2 * (flat.h(w + eta * down) - flat.h(w)) / eta**2,
        "bend": bent(w, down),
        # h'' + γ h' - <v, ∇²h v>
        "inertia": jax.jvp(along, (w, v), (v, down - friction * v))[1]
        + friction * along(w, v)
        - bent(w, v),
        "eta": eta,
    }


@functools.cache
def made(name: str) -> Flat:
    """Each example once."""
    return Flat(name, 1)


@functools.cache
def figures_of_w(name: str) -> list[Figures]:
    """At several parameters, by one program."""
    flat = made(name)
    v = np.random.default_rng(6).standard_normal(len(flat.w0))
    run = jax.jit(lambda w: of_w(flat, w, v), compiler_options=QUICK)
    return [jax.tree.map(np.asarray, run(w)) for w in flat.starts()]


@pytest.mark.parametrize("name", OF_W)
def test_a_law_of_w_holds_for_the_flows_that_it_claims_and_not_for_others(
    name: str,
) -> None:
    """<∇h, w'> is 0 to round-off, and not if w' are signs of the gradient (Adam)."""
    claims = {law.conserved_by for law in made(name).example.invariants.values()}
    assert claims == {CATALOGUE[name].conserved_by}
    for figures in figures_of_w(name):
        for flow in FLOWS:
            if flow in CATALOGUE[name].conserved_by:
                assert np.max(figures[flow]) < 1e-12
            else:
                assert np.max(figures[flow]) > 1e-6
        assert np.max(figures["Adam"]) > 1e-4


@pytest.mark.parametrize("name", OF_W)
def test_weight_decay(name: str) -> None:
    """h' = -p λ h with the degree p that the entry gives, or no such p."""
    degree, ratios = CATALOGUE[name].degree, []
    for figures in figures_of_w(name):
        if degree is not None:
            expected = -degree * DECAY * figures["h"]
            np.testing.assert_allclose(
                figures["decay"], expected, rtol=1e-11, atol=1e-12
            )
            assert np.max(np.abs(expected)) > 1e-3
        ratios.append(figures["decay"] / (-DECAY * figures["h"]))
    if degree is None:
        assert np.ptp(np.concatenate(ratios)) > 0.1


@pytest.mark.parametrize("name", OF_W)
def test_a_step_of_gradient_descent(name: str) -> None:
    """h(w + ηv) - h(w) = (η²/2) <v, ∇²h v> + O(η³), which is 0 for some."""
    for figures in figures_of_w(name):
        step, bend = figures["step"], figures["bend"]
        size = np.max(np.abs(bend))
        if CATALOGUE[name].steps == "stays":
            assert size == 0
            assert np.max(np.abs(step)) * figures["eta"] ** 2 < 1e-14
        else:
            assert size > 1e-5
            np.testing.assert_allclose(step, bend, atol=2e-2 * size)


@pytest.mark.parametrize("name", OF_W)
def test_with_inertia(name: str) -> None:
    """h'' + γ h' = <v, ∇²h v> at any velocity."""
    for figures in figures_of_w(name):
        size = 1 + np.max(np.abs(figures["bend"]))
        assert np.max(np.abs(figures["inertia"])) < 1e-11 * size


def of_momentum(flat: Flat, flow: Any, w: Any, v: Any) -> dict[str, Any]:
    """The rate of a law with what is dissipated, under several laws of motion."""
    ((name, law),) = flat.example.momenta.items()
    problem = flat.example.problem

    def change(law: MomentumLaw, v: Any, dv_dt: Any) -> Any:
        def value(t: Any, w: Any, v: Any) -> Any:
            return law(t, flat.tree(w), flat.unravel(v))

        _, rate = jax.jvp(value, (TIME, w, v), (1.0, v, dv_dt))
        if law.dissipated is not None:
            rate += law.dissipated(TIME, flat.tree(w), flat.unravel(v))
        return jnp.max(jnp.abs(rate))

    def decaying(w: Any) -> Any:
        flat_w = ravel_pytree(eqx.filter(w, eqx.is_inexact_array))[0]
        return problem.loss(w) + DECAY / 2 * jnp.sum(flat_w**2)

    with_decay = gf.Objective(decaying, rates=problem.metric)
    # Energy is that of the loss with its decay.
    decay_law = energy_law(flow, with_decay) if name == "energy" else law

    def push(problem: Problem) -> Any:
        state = flow.init(flat.unravel(w))
        state = eqx.tree_at(lambda s: s.velocity, state, flat.unravel(v))
        field = flow.terms(flat.static).vf(TIME, state, problem)
        return ravel_pytree(field.velocity)[0]

    return {
        "claimed": change(law, v, push(problem)),
        "other friction": change(law, v, push(problem) - 0.1 * v),
        "signs": change(law, -jnp.sign(flat.grad(w)), jnp.zeros_like(v)),
        "decay": change(decay_law, v, push(with_decay)),
    }


@pytest.mark.parametrize("flow", ["HeavyBall", "Nesterov"])
@pytest.mark.parametrize("name", INERTIAL)
def test_a_law_of_momentum(name: str, flow: str) -> None:
    """It is constant along the field of its flow at any velocity.

    Also under weight decay if the entry says that it stays; not with other friction,
    and not along signs of gradients.
    """
    assert flow in CATALOGUE[name].conserved_by
    flat = Flat(name, 1, flow)
    v = np.random.default_rng(6).standard_normal(len(flat.w0))
    run = jax.jit(
        lambda w: of_momentum(flat, FLOWS[flow], w, v), compiler_options=QUICK
    )
    for w in flat.starts():
        figures = run(w)
        assert figures["claimed"] < 1e-12
        assert figures["other friction"] > 1e-3
        assert figures["signs"] > 1e-3
        if CATALOGUE[name].degree == 0:
            assert figures["decay"] < 1e-12
        else:
            assert figures["decay"] > 1e-3


def test_sums_stay_with_inertia_from_rest() -> None:
    """Along a heavy-ball run, by more than its tolerance."""
    example = Flat("translation", 1, "HeavyBall").example
    run = gf.simulate(example.problem, example.flow, example.w0, 2.0, rtol=1e-4)
    found = gf.invariants.drift(run, example.invariants)["sum"]
    assert found.absolute < 1e-13


def test_momentum_laws_need_inertia() -> None:
    """What came, and what was expected."""
    with pytest.raises(TypeError, match="with inertia, not GradientFlow"):
        CATALOGUE["energy"].example(key=jax.random.key(0), flow=gf.GradientFlow())


@pytest.mark.parametrize("name", list(CATALOGUE))
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
