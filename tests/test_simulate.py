"""simulate against closed forms, and what it asks of its arguments."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import NAMES, closed_form, flow

import gflow as gf
from gflow.solvers import BDF, RKC

RTOLS = 10.0 ** -np.arange(4, 11)


@pytest.mark.parametrize("name", NAMES)
def test_flow_meets_its_closed_form(name: str) -> None:
    """Every saved point is within 100 rtol of the exact flow, and so is the energy."""
    runs = [flow(name, rtol) for rtol in RTOLS]
    assert all(run.result is gf.Outcome.reached_end for run in runs)
    errors = [closed_form(name).error(run) for run in runs]
    defects = [run.energy_defect for run in runs]
    assert np.max(errors / RTOLS) <= 100, errors / RTOLS
    assert np.max(np.array(defects) / RTOLS) <= 100, np.array(defects) / RTOLS


@pytest.mark.parametrize("name", NAMES)
def test_error_follows_the_tolerance(name: str) -> None:
    """Log error against log rtol has slope 0.8 to 1.2 from 1e-4 to 1e-10."""
    errors = [closed_form(name).error(flow(name, rtol)) for rtol in RTOLS]
    slope = np.polyfit(np.log(RTOLS), np.log(errors), 1)[0]
    assert 0.8 <= slope <= 1.2, errors / RTOLS


@pytest.mark.parametrize("solver", [BDF(num_ritz=0), RKC()], ids=["BDF", "RKC"])
@pytest.mark.parametrize("name", ["quadratic", "quartic"])
def test_error_follows_the_tolerance_without_extrapolation(
    solver: Any, name: str
) -> None:
    """As above; of order 2, RKC with these as tolerances of a step has 2/3."""
    form, rtols = closed_form(name), RTOLS[:5:2]
    errors = [form.error(form.simulate(solver=solver, rtol=rtol)) for rtol in rtols]
    slope = np.polyfit(np.log(rtols), np.log(errors), 1)[0]
    assert 0.8 <= slope <= 1.2, errors / rtols


@pytest.mark.parametrize(
    "solver", [diffrax.Kvaerno5(), diffrax.Euler()], ids=["Kvaerno5", "Euler"]
)
def test_any_diffrax_solver_is_accepted(solver: Any) -> None:
    """An implicit one, and one without an error estimate of its own (step doubling)."""
    form = closed_form("quartic")
    run = form.simulate(solver=solver, rtol=1e-4)
    assert form.error(run) <= 100 * 1e-4
    assert type(solver).__name__ in run.plan.solver
    assert run.stats["num_gradients"] is None
    assert "gradients not counted" in repr(run)


class _Counted(eqx.Module):
    """½ ‖scale w‖², counting on the host how often it is traced."""

    scale: jax.Array
    traces: list[int] = eqx.field(static=True)

    def __call__(self, w: Any) -> Any:
        self.traces[0] += 1
        return 0.5 * jnp.sum((self.scale * w) ** 2)

    def __hash__(self) -> int:
        return id(self.traces)


class _Traces(list[int]):
    """A counter that is equal to itself alone, so that it can sit in a static field."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def test_new_numbers_do_not_compile_anew() -> None:
    """Tolerances, rates, data, thresholds, t1 and w0 are data of the one program."""
    traces = _Traces([0])

    def run(
        scale: float, rate: float, threshold: float, t1: float, w: float, **tol: Any
    ) -> int:
        before = traces[0]
        problem = gf.Objective(_Counted(jnp.asarray(scale), traces), rates=rate)
        stops = [gf.LossBelow(threshold)]
        gf.simulate(problem, gf.GradientFlow(), jnp.full(2, w), t1, stops=stops, **tol)
        return traces[0] - before

    first = run(1.0, 1.0, 1e-30, 1.0, 1.0)
    # The loss is traced once more a run, abstractly, to check it against w0.
    assert first > 1
    assert run(1.0, 1.0, 1e-30, 1.0, 1.0) == 1
    assert run(2.0, 3.0, 1e-29, 2.0, 2.0, rtol=1e-4, atol=1e-8) == 1


class _Layer(eqx.Module):
    """A weight, a static activation and a field that is empty."""

    weight: jax.Array
    activation: Callable[[Any], Any] = eqx.field(static=True)
    bias: None = None

    def __call__(self, x: Any) -> Any:
        return self.activation(self.weight * x)


def test_parameters_in_any_tree_move_at_the_rates_of_their_subtrees() -> None:
    """Modules, tuples, numbers and None; rate 0 keeps every bit of a subtree."""

    def loss(w: Any) -> Any:
        fit = w["net"]["layer"](w["net"]["input"]) - 1.0
        return 0.5 * jnp.sum(fit**2) + w["pair"][0] + 0.5 * w["pair"][1] ** 2

    w0 = {
        "net": {
            "layer": _Layer(jnp.zeros(2), jnp.positive),
            "input": np.array([1, 2.0]),
        },
        "pair": (jnp.array(3.0), 0.5),
        "none": None,
    }
    rates = {"net": {"layer": 2.0, "input": 0.0}, "pair": 3.0, "none": None}
    problem = gf.Objective(loss, rates=rates)
    run = gf.simulate(problem, gf.GradientFlow(), w0, t1=1.0, rtol=1e-8)
    np.testing.assert_array_equal(run.ws["net"]["input"], np.tile([1.0, 2.0], (201, 1)))
    # m' = -2 a (a m - 1), m(0) = 0: m = (1 - exp(-2 a² t))/a with a = 1, 2.
    expected = (1 - np.exp(-2 * np.array([1.0, 4.0]))) / np.array([1.0, 2.0])
    np.testing.assert_allclose(run.w1["net"]["layer"].weight, expected, rtol=1e-6)
    # p' = -3 and q' = -3 q.
    np.testing.assert_allclose(run.w1["pair"], (0.0, 0.5 * np.exp(-3)), atol=1e-6)
    assert run.w1["net"]["layer"].activation is jnp.positive
    assert run.ws["pair"][1].shape == (201,)
    assert run.w1["none"] is None


def test_float32_stays_float32() -> None:
    """Time, parameters and everything observed keep the type of w0, under x64 too."""
    form = closed_form("quartic")
    w0 = jnp.asarray(form.w0, jnp.float32)
    run = gf.simulate(form.problem, gf.GradientFlow(), w0, t1=10.0, rtol=1e-5)
    assert {run.ts.dtype, run.ws.dtype, run.observed["loss"].dtype} == {
        np.dtype(np.float32)
    }
    assert run.result.ok
    # 1e-5 is 84 units in the last place: round-off takes its share beside rtol.
    assert form.error(run) <= 100 * 1e-5


def test_tolerance_near_the_resolution_of_the_dtype_is_told() -> None:
    """Near eps: a warning; below: an error. float32 has eps = 2⁻²³ = 1.2e-7."""
    problem = closed_form("quartic").problem
    w0 = jnp.zeros(2, jnp.float32)
    with pytest.warns(UserWarning, match="near the resolution 1e-07 of float32"):
        gf.simulate(problem, gf.GradientFlow(), w0, 1.0, rtol=1e-6, throw=False)
    with pytest.raises(ValueError, match="rtol 1e-07 is below the resolution"):
        gf.simulate(problem, gf.GradientFlow(), w0, 1.0, rtol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"t1": 0.0}, ValueError, "t1 must be > 0"),
        ({"t1": -1.0}, ValueError, "t1 must be > 0"),
        ({"t1": float("inf")}, ValueError, "t1 must be > 0 and finite"),
        ({"t1": float("nan")}, ValueError, "t1 must be > 0"),
        ({"rtol": 0.0}, ValueError, "rtol must be > 0"),
        ({"atol": -1.0}, ValueError, "atol must be > 0"),
        ({"rtol": 1e-17}, ValueError, "below the resolution"),
        ({"solver": diffrax.Tsit5}, TypeError, "solver"),
        ({"w0": jnp.array([1, 2])}, TypeError, "w0 is integer"),
        ({"w0": jnp.array([1.0, jnp.nan])}, ValueError, "not finite"),
        ({"w0": {"u": jnp.ones(2)}}, ValueError, "cannot be evaluated at w0"),
        ({"problem": abs}, TypeError, "Problem"),
        ({"observables": {"x": lambda t, w, p: w["no"]}}, ValueError, "observable 'x'"),
        ({"observables": {"loss": lambda t, w, p: t}}, ValueError, "taken by gflow"),
        ({"invariants": {"h": lambda w: w @ w @ w}}, ValueError, "invariant 'h'"),
    ],
)
def test_misuse_is_told_before_the_run(
    arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    """What was expected and what came, without compiling anything."""
    form = closed_form("quartic")
    call: dict[str, Any] = {
        "problem": form.problem,
        "w0": form.w0,
        "t1": 1.0,
        **arguments,
    }
    with pytest.raises(error, match=words):
        gf.simulate(flow=gf.GradientFlow(), **call)


def test_large_gradients_of_single_precision_begin() -> None:
    """∇L = 1e10: ‖∇L‖² is finite in float32, its square is not. w = e^(-λt)."""
    problem = gf.Objective(lambda w: 0.5e10 * w**2)
    w0, flow = jnp.array(1.0, jnp.float32), gf.GradientFlow()
    solver = diffrax.Tsit5()
    run = gf.simulate(problem, flow, w0, 1e-11, rtol=1e-4, atol=1e-6, solver=solver)
    np.testing.assert_allclose(run.w1, np.exp(-0.1), rtol=1e-4)
