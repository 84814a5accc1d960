"""Whether quantities are conserved along a run, and if not, why."""

import dataclasses
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import gflow as gf
from gflow.invariants import Verification, verify
from gflow.problem import KinkedObjective, Problem

Quantity = Callable[[Any], Any]
RNG = np.random.default_rng(7)


@dataclasses.dataclass(frozen=True)
class Family:
    """A problem and a start, its laws, and near misses of them.

    Each law is a sum of pieces; a wrong one weighs a piece wrongly, leaves one out, or
    has another power.
    """

    problem: Problem
    w0: Any
    laws: Callable[[Any, float], Any]  # w, what the second piece counts -> all laws


def diagonal() -> Family:
    """x = u² - v²: u v, or log u + c log v with c = 1."""
    A, y = RNG.standard_normal((4, 6)), RNG.standard_normal(4)
    problem = gf.Objective(
        lambda w: 0.5 * jnp.sum((A @ (w["u"] ** 2 - w["v"] ** 2) - y) ** 2)
    )
    w0 = {k: jnp.asarray(0.5 + 0.3 * RNG.random(6)) for k in "uv"}
    return Family(problem, w0, lambda w, c: w["u"] * w["v"] ** c)


def linear() -> Family:
    """W = U V: UᵀU - c VVᵀ."""
    target = RNG.standard_normal((3, 4))
    problem = gf.Objective(lambda w: jnp.sum((w["u"] @ w["v"] - target) ** 2))
    w0 = {
        "u": jnp.asarray(RNG.standard_normal((3, 3))),
        "v": jnp.asarray(RNG.standard_normal((3, 4))),
    }
    return Family(problem, w0, lambda w, c: w["u"].T @ w["u"] - c * w["v"] @ w["v"].T)


def neurons() -> Family:
    """ReLU with biases at two rates: a²/5 - (‖w‖² + c b²)/2."""
    X, y = RNG.standard_normal((12, 3)), RNG.standard_normal(12)

    def loss(w: Any, activate: Any) -> Any:
        out = activate(X @ w["w"].T + w["b"]) @ w["a"]
        return 0.5 * jnp.mean((out - y) ** 2)

    problem = KinkedObjective(loss, rates={"w": 2.0, "b": 2.0, "a": 5.0})
    w0 = {
        "w": jnp.asarray(RNG.standard_normal((4, 3))),
        "b": jnp.asarray(RNG.standard_normal(4)),
        "a": jnp.asarray(RNG.standard_normal(4)),
    }

    def laws(w: Any, c: float) -> Any:
        into = jnp.sum(w["w"] ** 2, axis=1) + c * w["b"] ** 2
        return w["a"] ** 2 / 5 - into / 2

    return Family(problem, w0, laws)


def softmax() -> Family:
    """Cross-entropy of W x: column sums, with the last class weighed by c."""
    X, labels = RNG.standard_normal((20, 3)), RNG.integers(0, 4, 20)

    def loss(w: Any) -> Any:
        logits = X @ w.T
        own = logits[jnp.arange(20), labels]
        return jnp.mean(jax.nn.logsumexp(logits, axis=1) - own)

    def laws(w: Any, c: float) -> Any:
        return jnp.sum(w[:-1], axis=0) + c * w[-1]

    return Family(gf.Objective(loss), jnp.asarray(RNG.standard_normal((4, 3))), laws)


def scale() -> Family:
    """Loss of w/‖w‖: ‖w‖², with its first entry weighed by c."""
    target = RNG.standard_normal(5)

    def loss(w: Any) -> Any:
        return jnp.sum((w / jnp.linalg.norm(w) - target) ** 2)

    def laws(w: Any, c: float) -> Any:
        return jnp.sum(w[1:] ** 2)[None] + c * w[:1] ** 2

    return Family(gf.Objective(loss), jnp.asarray(1 + RNG.random(5)), laws)


FAMILIES = (diagonal, linear, neurons, softmax, scale)


def right(family: Family, mix: np.ndarray) -> Quantity:
    """A random combination of the laws, or a function of it."""

    def quantity(w: Any) -> Any:
        laws = jnp.ravel(family.laws(w, 1.0))
        combined = mix[0] * laws[0] + mix[1] * laws[-1]
        return combined if mix[2] > 0 else jnp.sin(combined)

    return quantity


def wrong(family: Family, mix: np.ndarray, miss: float) -> Quantity:
    """The same of laws whose second piece counts otherwise."""

    def quantity(w: Any) -> Any:
        laws = jnp.ravel(family.laws(w, miss))
        return mix[0] * laws[0] + mix[1] * laws[-1]

    return quantity


# What the second piece counts instead of 1: by accident, forgotten, of the wrong sign.
MISSES = (1.001, 1.01, 1.1, 0.999, 0.9, 0.5, 2.0, 0.0, -1.0)


@pytest.mark.parametrize("make", FAMILIES)
def test_mutations(make: Callable[[], Family]) -> None:
    """Of five families: ten laws each, none accused; nine near misses, all caught."""
    family = make()
    mixes = np.random.default_rng(1).standard_normal((10, 3))
    laws = {f"right {k}": right(family, mix) for k, mix in enumerate(mixes)}
    misses = {
        f"wrong {miss}": wrong(family, mix, miss)
        for mix, miss in zip(mixes[:9], MISSES, strict=True)
    }
    run = gf.simulate(family.problem, gf.GradientFlow(), family.w0, 2.0)
    found = verify(run, laws | misses)
    accused = [row.name for row in found.rows if not row.holds]
    assert accused == list(misses)
    assert not found.holds


def perturbed(problem: Problem, size: float) -> gf.Objective:
    """The loss with a gradient whose entries are off by up to `size` of themselves."""

    @jax.custom_vjp
    def loss(w: Any) -> Any:
        return problem.loss(w)

    def backward(w: Any, cotangent: Any) -> Any:
        flat, unravel = ravel_pytree(problem.grad(w))
        off = 1 + size * jnp.cos(jnp.arange(flat.size))
        return (unravel(cotangent * flat * off),)

    loss.defvjp(lambda w: (problem.loss(w), w), backward)
    return gf.Objective(loss)


@pytest.mark.parametrize("make", [diagonal, linear, softmax, scale])
def test_perturbed_gradients_are_caught(make: Callable[[], Family]) -> None:
    """With a gradient off by 1e-3 no law of the model is one of the run."""
    family = make()
    problem = perturbed(family.problem, 1e-3)
    run = gf.simulate(problem, gf.GradientFlow(), family.w0, 2.0, throw=False)
    mixes = np.random.default_rng(2).standard_normal((3, 3))
    found = verify(run, {str(k): right(family, mix) for k, mix in enumerate(mixes)})
    assert [row.verdict for row in found.rows] == ["violated"] * 3


def test_a_run_that_left_its_flow_is_caught() -> None:
    """Conserved by the velocity, and yet moved: not by the tolerance."""
    family = linear()
    run = gf.simulate(family.problem, gf.GradientFlow(), family.w0, 1.0)
    ws = jax.tree.map(lambda x: x * (1 + 1e-3 * run.ts[:, None, None]), run.ws)
    astray = dataclasses.replace(run, ws=ws)
    [row] = verify(astray, {"law": lambda w: family.laws(w, 1.0)}).rows
    assert row.verdict == "violated"
    assert row.rate < 1e-12
    assert row.reason.startswith("moves by")


def test_kinks_that_were_passed_are_told_of() -> None:
    """A plain ReLU net: laws hold at each point, and the solver does not see kinks."""
    problem = gf.Objective(
        lambda w: (w["a"] * jax.nn.relu(w["b"]) - 1.0) ** 2 + 0 * w["a"]
    )
    w0 = {"a": jnp.array(-0.5), "b": jnp.array(0.4)}
    run = gf.simulate(problem, gf.GradientFlow(), w0, 1.0)
    moved = jax.tree.map(lambda x: x * (1 + 1e-3 * run.ts), run.ws)
    rough = dataclasses.replace(run, ws=moved, result=gf.Outcome.reached_roughly)
    [row] = verify(rough, {"balance": lambda w: w["a"] ** 2 - w["b"] ** 2}).rows
    assert (row.verdict, row.holds) == ("kinks", True)


def test_gradients_that_are_round_off_accuse_nobody() -> None:
    """b has no effect: its gradient is what is left of 1 - 1."""
    x = jnp.linspace(0.1, 1.0, 7)
    problem = gf.Objective(
        lambda w: (
            jnp.sum((x * w["u"] + w["b"] - jnp.mean(x * w["u"] + w["b"])) ** 2)
            + (w["u"] - 3) ** 2
        )
    )
    w0 = {"u": jnp.array(0.3), "b": jnp.array(0.1)}
    law = {"b": lambda w: w["b"]}
    flow = gf.simulate(problem, gf.GradientFlow(), w0, 1.0)
    steps = gf.iterate(problem, gf.gradient_descent(0.1), w0, 20)
    for run in (flow, steps):
        assert verify(run, law)["b"].verdict == "conserved"


def descent(family: Family, eta: float) -> Verification:
    t1 = 0.5
    run = gf.iterate(
        family.problem,
        gf.gradient_descent(eta),
        family.w0,
        round(t1 / eta),
        save=gf.Save.at(np.linspace(0, t1, 101)[1:]),
    )
    return verify(run, {"law": lambda w: family.laws(w, 1.0)})


@pytest.mark.parametrize("make", [diagonal, linear, neurons, scale])
def test_gradient_descent_is_predicted(make: Callable[[], Family]) -> None:
    """At small η to 5 %: the change of h over ½ ∫ η vᵀ∇²h v dt."""
    [row] = descent(make(), 5e-4).rows
    assert row.verdict == "step size"
    assert row.moved[-1] / row.explained[-1] == pytest.approx(1, abs=0.05)


def test_the_prediction_in_closed_form() -> None:
    """L = ½ w² and h = log w, no law, but of a known bend: ½ η ∫ -1 dt = -η t/2.

    v = -w, ∇²h = -1/w², so vᵀ∇²h v = -1. The scale is |w ∂h| = 1.
    """
    problem = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
    run = gf.iterate(problem, gf.gradient_descent(0.01), jnp.array([3.0]), 100)
    [row] = verify(run, {"log": jnp.log}).rows
    np.testing.assert_allclose(row.explained[-1], 0.01 * 1.0 / 2, rtol=1e-12)
    assert row.verdict == "violated"


def test_steps_between_saved_points_count() -> None:
    """Both ends are still for a: at w0 by b = 0, at the end as L = 0."""
    problem = gf.Objective(lambda w: (w["a"] * w["b"] - 1.0) ** 2)
    w0 = {"a": jnp.array(1.0), "b": jnp.array(0.0)}
    gd = gf.gradient_descent(0.05)
    run = gf.iterate(problem, gd, w0, 400, save=gf.Save.at([20.0]))
    found = verify(
        run, {"a": lambda w: w["a"], "balance": lambda w: w["a"] ** 2 - w["b"] ** 2}
    )
    assert [row.verdict for row in found.rows] == ["violated", "step size"]
    assert found["a"].reason == "steps change it to first order"
    np.testing.assert_allclose(
        found["balance"].moved[-1], found["balance"].explained[-1], rtol=1e-9
    )


def test_late_changes_are_seen_beside_a_fast_start() -> None:
    """q dies down fast, then b passes it and a wakes up."""
    problem = gf.Objective(
        lambda w: 500 * w["q"] ** 2 + (w["a"] * jax.nn.relu(w["b"] - w["q"]) - 1) ** 2
    )
    w0 = {"q": jnp.array(1.0), "a": jnp.array(0.5), "b": jnp.array(0.005)}
    run = gf.iterate(problem, gf.gradient_descent(5e-4), w0, 10_000)
    [row] = verify(run, {"a": lambda w: w["a"]}).rows
    assert row.verdict == "violated"
    assert row.rate > 0.1


def test_what_has_no_slope_is_undecided() -> None:
    """Jumps that derivatives do not see are more than steps explain."""
    problem = gf.Objective(lambda w: (w["u"] * w["v"] - 1) ** 2)
    w0 = {"u": jnp.array(2.0), "v": jnp.array(0.1)}
    run = gf.iterate(problem, gf.gradient_descent(0.002), w0, 50)
    jumps = lambda w: w["u"] ** 2 - w["v"] ** 2 + 0.5 * jnp.round(10 * w["v"])  # noqa: E731
    [row] = verify(run, {"jumps": jumps}).rows
    assert (row.verdict, row.holds) == ("undecided", False)


def test_a_run_that_blew_up_is_undecided() -> None:
    """Its last points overflow."""
    problem = gf.Objective(lambda w: (w["u"] * w["v"] - 1) ** 2)
    w0 = {"u": jnp.array(2.0), "v": jnp.array(0.1)}
    run = gf.iterate(problem, gf.gradient_descent(0.45), w0, 60, throw=False)
    assert run.result is gf.Outcome.blow_up
    [row] = verify(run, {"balance": lambda w: w["u"] ** 2 - w["v"] ** 2}).rows
    assert (row.verdict, row.holds) == ("undecided", False)


def test_linear_laws_are_kept_by_any_step_size() -> None:
    """Sums of columns: conserved to round-off."""
    [row] = descent(softmax(), 0.01).rows
    assert row.verdict == "conserved"


def test_laws_of_a_higher_order_are_not_accused() -> None:
    """log u - log v of x = u² - v²: factors 1 - z, 1 + z change it by -2z + O(z³).

    Its second derivatives cancel: -g²/u² + g²/v² with v_u = -zu, v_v = zv.
    """
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((3, 6)), rng.standard_normal(3)
    Z = np.linalg.svd(A)[2][3:]
    problem = gf.Objective(
        lambda w: 0.5 * jnp.sum((A @ (w["u"] ** 2 - w["v"] ** 2) - y) ** 2)
    )
    w0 = {
        "u": jnp.asarray(rng.uniform(0.5, 1, 6)),
        "v": jnp.asarray(rng.uniform(0.5, 1, 6)),
    }
    run = gf.iterate(problem, gf.gradient_descent(4e-3), w0, 1000)
    [row] = verify(run, {"range": lambda w: Z @ jnp.log(w["u"] / w["v"])}).rows
    assert (row.verdict, row.holds) == ("step size", True)
    assert row.reason == "of higher order: the leading one vanishes"
    assert row.drift > 1e-6


def test_large_steps_are_not_accused() -> None:
    """Of a law that is no square, at steps that overshoot: far from leading."""
    problem = gf.Objective(lambda w: (w["u"] * w["v"] - 1.0) ** 2)
    w0 = {"u": jnp.array(2.0), "v": jnp.array(0.3)}
    run = gf.iterate(problem, gf.gradient_descent(0.23), w0, 40)
    [row] = verify(
        run, {"sine": lambda w: jnp.sin(3 * (w["u"] ** 2 - w["v"] ** 2))}
    ).rows
    assert (row.verdict, row.holds) == ("step size", True)
    assert row.drift > 0.01
    assert not 0.9 < row.moved[-1] / row.explained[-1] < 1.1


def test_step_sizes_may_vary() -> None:
    """Twice the step over the second half adds half as much again: by the closed form.

    h = log w of L = ½ w²: -½ Σ η_k² / η_k per unit time, so -½ Σ η_k².
    """
    problem = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
    etas = np.append(np.full(50, 0.01), np.full(25, 0.02))
    run = gf.iterate(
        problem, gf.gradient_descent(etas), jnp.array([3.0]), 75, save=gf.Save.at([1.0])
    )
    [row] = verify(run, {"log": jnp.log}).rows
    np.testing.assert_allclose(row.explained[-1], 0.5 * np.sum(etas**2), rtol=1e-12)


def test_what_has_no_theory_is_said_so() -> None:
    """Adam: a law of the velocity, moved by a method that is not known."""
    family = diagonal()
    adam = gf.from_optax(optax.adam(0.01), eta=0.01)
    run = gf.iterate(family.problem, adam, family.w0, 50)
    [row] = verify(run, {"law": lambda w: family.laws(w, 1.0)}).rows
    assert row.verdict == "undecided"
    assert not row.holds
    assert row.reason.startswith("there is no theory here of optax")
    assert np.isnan(row.explained).all()


def test_inertia_breaks_laws_of_the_velocity() -> None:
    """Heavy ball does not follow v: u v moves beyond the tolerance, if it has time."""
    family = diagonal()
    law = gf.Invariant(lambda w: family.laws(w, 1.0), formula="u v")
    for t1, verdict in ((2.0, "violated"), (1e-3, "undecided")):
        run = gf.simulate(family.problem, gf.flows.HeavyBall(1.0), family.w0, t1)
        [row] = verify(run, {"law": law}).rows
        assert row.verdict == verdict
        assert np.isnan(row.rate)
    assert "HeavyBall" in row.reason


def test_the_table() -> None:
    """A line each, in the order given, and access by name."""
    family = softmax()
    run = gf.simulate(family.problem, gf.GradientFlow(), family.w0, 1.0)
    found = verify(
        run,
        {
            "sums": lambda w: family.laws(w, 1.0),
            "misses": gf.Invariant(lambda w: family.laws(w, 0.5), formula="no law"),
        },
    )
    head, first, second = repr(found).splitlines()
    assert head.split() == ["name", "drift", "explained", "rate", "verdict", "why"]
    assert first.startswith("sums")
    assert "conserved  to round-off" in first
    assert "violated   the velocity itself changes it" in second
    assert found["misses"].formula == "no law"


def test_runs_without_parameters_are_turned_away() -> None:
    """With what is missing."""
    problem = gf.Objective(lambda w: jnp.sum(w**2))
    save = gf.Save.log(keep_params=False)
    run = gf.simulate(problem, gf.GradientFlow(), jnp.ones(2), 1.0, save=save)
    with pytest.raises(ValueError, match="kept none"):
        verify(run, {"sum": jnp.sum})


def test_quantities_that_do_not_fit_the_run() -> None:
    """No mapping, not defined, not finite: told, and not taken for laws."""
    problem = gf.Objective(lambda w: jnp.sum(w**2))
    run = gf.simulate(problem, gf.GradientFlow(), jnp.ones(2), 1.0)
    with pytest.raises(TypeError, match="invariants"):
        verify(run, jnp.sum)  # pyright: ignore
    with pytest.raises(ValueError, match="'third' cannot be evaluated at w0"):
        verify(run, {"third": lambda w: w["third"]})
    log, root = verify(
        run, {"log": lambda w: jnp.log(w - 0.5), "root": lambda w: jnp.sqrt(w - 1)}
    ).rows
    assert log.verdict == root.verdict == "undecided"
    assert log.reason.startswith("not finite, or no slope, at t = 0.")
    assert root.reason == "not finite, or no slope, at t = 0"
    with pytest.raises(ValueError, match="of floats, not int"):
        verify(run, {"count": lambda w: jnp.sum(w > 0)})


def test_what_only_a_projection_holds_is_violated() -> None:
    """It stands still to round-off, yet the velocity changes it."""
    problem = gf.Objective(lambda w: 0.5 * (w["u"] * w["v"] - 2.0) ** 2)
    w0 = {"u": jnp.asarray(1.0), "v": jnp.asarray(0.5)}

    def wrong(w: Any) -> Any:
        return w["u"] - w["v"]

    solver = gf.invariants.Projected(diffrax.Tsit5(), {"wrong": wrong})
    # The energy tells of it as well: this is no gradient flow any more.
    run = gf.simulate(problem, gf.GradientFlow(), w0, 0.5, solver=solver, throw=False)
    assert run.result is gf.Outcome.unbalanced
    told = verify(run, {"wrong": wrong})["wrong"]
    assert np.max(told.moved) < 1e-12
    assert told.verdict == "violated"
