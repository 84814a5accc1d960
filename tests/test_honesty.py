"""Runs that must not pass, must not hang, or must be refused: found by reviews."""

import subprocess
import sys
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gflow as gf


def square(w: Any) -> Any:
    """½ ‖w‖² over a tree."""
    return 0.5 * sum(jnp.sum(x**2) for x in jax.tree.leaves(w))


PROBLEM = gf.Objective(square)
FLOW = gf.GradientFlow()


@pytest.mark.parametrize("t1", [0.7, 3.3])
def test_an_end_that_float32_rounds_is_reached(t1: float):
    """0.7 in float32 is below 0.7: the run ends there all the same."""
    run = gf.simulate(PROBLEM, FLOW, jnp.ones(2, jnp.float32), t1, rtol=1e-4)
    assert run.result is gf.Outcome.reached_end
    assert run.ts[-1] == np.float32(t1)
    assert np.all(np.diff(run.ts) > 0)


def test_python_scalars_are_parameters():
    """A float, alone or in a tree, is a 0-d parameter, for flows and for steps."""
    run = gf.simulate(PROBLEM, FLOW, 1.0, 1.0)
    assert float(run.w1) == pytest.approx(np.exp(-1), rel=1e-5)
    # ‖∇L‖ = ‖w‖ falls from √101 by a hundred in t = log 100, whatever w0 is made of.
    stops = [gf.Stationary(1e-2)]
    w0 = {"a": 10.0, "b": jnp.array(1.0)}
    gd = gf.iterate(PROBLEM, gf.gradient_descent(0.1), w0, 1000, stops=stops)
    assert gd.stats["num_steps"] == int(np.ceil(np.log(100) / -np.log(0.9)))


def test_a_loss_that_does_not_drop_though_the_gradient_says_so():
    """sum(w - stop_gradient(w)) is 0 everywhere with gradient 1: out of balance."""
    problem = gf.Objective(lambda w: jnp.sum(w - jax.lax.stop_gradient(w)))
    run = gf.simulate(problem, FLOW, jnp.ones(2), 1.0, throw=False)
    assert run.result is gf.Outcome.unbalanced


def test_a_stop_that_becomes_nan_is_no_success():
    """The run ends where its stop cannot be told, and others do not hide it."""
    # w = e^-t: log(w - ½) is nan from t = log 2 on.
    watch = gf.Target(lambda t, w, problem: jnp.log(w[0] - 0.5), 5.0)
    stops = [watch, gf.LossBelow(1e-9)]
    run = gf.simulate(PROBLEM, FLOW, jnp.ones(1), 5.0, stops=stops, throw=False)
    assert run.result is gf.Outcome.nonfinite_observable
    assert run.ts[-1] == pytest.approx(np.log(2), rel=1e-5)


# Here the annotations are checked as gflow is called, which would come before what
# gflow itself says; so this runs as users run it.
_MISUSE = """
import diffrax, jax.numpy as jnp, optax, gflow as gf
problem = gf.Objective(lambda w: 0.5 * jnp.sum(w**2))
flow, w0 = gf.GradientFlow(), jnp.ones(2)
target = lambda f, value: [gf.Target(lambda t, w, p: f(w), value)]
for attempt in (
    lambda: gf.simulate(problem, flow, w0, 1.0, stops=[1]),
    lambda: gf.simulate(problem, flow, w0, 1.0, stops=gf.LossBelow(1.0)),
    lambda: gf.simulate(problem, flow, w0, 1.0, save=[0.1]),
    lambda: gf.simulate(problem, gf.GradientFlow, w0, 1.0),
    lambda: gf.simulate(lambda w: w, flow, w0, 1.0),
    lambda: gf.simulate(problem, flow, w0, "1"),
    lambda: gf.simulate(problem, flow, w0, float("nan")),
    lambda: gf.simulate(problem, flow, w0, 1.0, solver=diffrax.Tsit5),
    lambda: gf.simulate(problem, flow, w0, 1.0, stops=target(lambda w: w, 0.1)),
    lambda: gf.simulate(problem, flow, w0, 1.0, stops=target(lambda w: 1 / 0, 0.1)),
    lambda: gf.simulate(problem, flow, w0, 1.0, stops=target(jnp.log, 1.0)),
    lambda: gf.simulate(problem, flow, w0, 1.0, atol=1e-60),
    lambda: gf.simulate(problem, flow, w0, 1e39),
    lambda: gf.simulate(problem, flow, w0, 10**400),
    lambda: gf.simulate(problem, flow, w0, w0),
    lambda: gf.simulate(problem, flow, jnp.zeros(0), 1.0),
    lambda: gf.solvers.BDF(num_ritz=-1),
    lambda: gf.solvers.RKC(max_stages=0),
    lambda: gf.iterate(problem, optax.sgd(0.1), w0, 3),
    lambda: gf.iterate(problem, gf.gradient_descent(0.1), w0, 2.5),
):
    try:
        attempt()
        print("accepted")
    except Exception as error:
        print(type(error).__name__, "|", error)
"""
_ANSWERS = (
    ("TypeError", "a stop must be an instance of Stop, not 1"),
    ("TypeError", "put the stop in a list"),
    ("TypeError", "save must be an instance of Save or None, not"),
    ("TypeError", "not the class GradientFlow"),
    ("TypeError", "problem must be an instance of Problem"),
    ("TypeError", "t1 must be a number"),
    ("ValueError", "t1 must be > 0"),
    ("TypeError", "diffrax solver instance"),
    ("ValueError", "must watch one real number"),
    ("ValueError", "ZeroDivisionError"),
    ("ValueError", "must watch one real number"),
    ("ValueError", "atol 1e-60 is beyond the numbers of float32"),
    ("ValueError", "t1 1e+39 is beyond the numbers of float32"),
    ("ValueError", "t1 must be > 0 and finite"),
    ("TypeError", "t1 must be a number"),
    ("ValueError", "no parameters"),
    ("ValueError", "num_ritz must be >= 0"),
    ("ValueError", "max_stages must be at least 2"),
    ("TypeError", "wrap optax: gf.from_optax"),
    ("ValueError", "whole number"),
)


def test_misuse_is_refused_in_one_line():
    """What was expected and what came, before anything runs."""
    done = subprocess.run(
        [sys.executable, "-c", _MISUSE], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    for line, (error, message) in zip(lines, _ANSWERS, strict=True):
        assert line.startswith(error), line
        assert message in line, line


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rtol", {"rtol": 1e-5}),
        ("save", {"save": gf.Save.log(num=7)}),
        ("solver", {"solver": diffrax.Dopri5()}),
        ("problem", {"problem": gf.Objective(lambda w: 2 * square(w))}),
    ],
)
def test_resume_refuses_what_would_mix_two_runs(name: str, change: dict[str, Any]):
    """Another tolerance, schedule, solver or loss is another run."""
    given: dict[str, Any] = {"problem": PROBLEM, "flow": FLOW, "w0": jnp.ones(2)}
    stops = [gf.MaxSteps(3)]
    part = gf.simulate(**given, t1=5.0, stops=stops, throw=False)
    with pytest.raises(ValueError, match=f"resume: {name} differ"):
        gf.simulate(**{**given, **change}, t1=5.0, resume=part)


def test_resume_past_divergence_begins_a_new_step():
    """The state found inside a step fits no solver state of its end."""
    # L = -‖w‖⁴/4, |w| = (1 - 2 t)^(-1/2): 2 at t = 3/8, 4 at t = 15/32.
    problem = gf.Objective(lambda w: -0.25 * jnp.sum(w**2) ** 2)
    given: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-12, "throw": False}
    part = gf.simulate(
        problem, FLOW, jnp.ones(1), 15 / 32, stops=[gf.Diverged(2.0)], **given
    )
    assert part.result is gf.Outcome.diverged
    assert part.ts[-1] == pytest.approx(3 / 8, rel=1e-6)
    run = gf.simulate(problem, FLOW, jnp.ones(1), 15 / 32, resume=part, **given)
    assert run.w1[0] == pytest.approx(4.0, rel=1e-5)


def test_resume_with_a_stop_already_met_ends_at_once():
    """The loss is below the threshold before the first new step."""
    part = gf.simulate(PROBLEM, FLOW, jnp.ones(2), 5.0, stops=[gf.LossBelow(0.1)])
    again = gf.simulate(
        PROBLEM, FLOW, jnp.ones(2), 5.0, stops=[gf.LossBelow(0.5)], resume=part
    )
    assert again.result is gf.Outcome.loss_reached
    assert again.stats["num_steps"] == part.stats["num_steps"]


def test_points_are_held_once():
    """What resume goes on from shares its memory with what the user sees."""
    run = gf.simulate(PROBLEM, FLOW, jnp.ones(3), 1.0)
    (block,) = run.checkpoint.record.blocks
    assert np.shares_memory(block["ws"], run.ws)


def test_different_methods_have_no_common_order():
    """One slope through gradient descent and momentum would mean nothing."""
    w0 = jnp.ones(2)
    flow = gf.simulate(PROBLEM, FLOW, w0, 1.0)
    heavy = gf.from_optax(optax.sgd(0.005, momentum=0.5), eta=0.01, name="momentum")
    runs = [
        gf.iterate(PROBLEM, gf.gradient_descent(0.02), w0, 50),
        gf.iterate(PROBLEM, heavy, w0, 100),
    ]
    assert gf.compare(flow, runs).order is None
