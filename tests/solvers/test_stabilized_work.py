"""What stabilized explicit Runge-Kutta methods take, and what they tell of it."""

import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.solvers import RKC, ROCK4, Work


@functools.cache
def _decayed(solver: Any) -> Any:
    """(largest rate, tolerance) -> the state at 1, evaluations, and what it reports."""

    @jax.jit
    def run(top: Any, rtol: Any) -> Any:
        rates = jnp.exp(jnp.linspace(0.0, jnp.log(top), 30))

        def field(t: Any, y: Any, args: Any) -> Any:
            return {"y": -rates * y["y"], "count": jnp.zeros(())}

        return _tallied(
            solver, field, {"y": jnp.ones(30), "count": jnp.zeros(())}, rtol
        )

    return run


def _tallied(solver: Any, field: Any, y0: Any, rtol: Any) -> Any:
    """Integrates to 1 by hand, as diffrax does, and adds up the work of all steps."""
    term, control = (
        diffrax.ODETerm(field),
        diffrax.PIDController(rtol=rtol, atol=1e-3 * rtol),
    )
    order = solver.error_order(term)
    zero = jnp.zeros(())
    one = jnp.ones(())
    first, memory = control.init(term, zero, one, y0, None, None, solver.func, order)
    state = solver.init(term, zero, first, y0, None)
    tally = Work(jnp.asarray(1, jnp.int32), jnp.zeros((), jnp.int32))

    def body(carry: Any) -> Any:
        t, t_next, y, state, memory, tally, steps = carry
        t_next = jnp.minimum(t_next, 1.0)
        y1, error, _, new, _, work = solver.attempt(
            term, t, t_next, y, None, state, False
        )
        kept, t, t_next, _, memory, _ = control.adapt_step_size(
            t, t_next, y, y1, None, error, order, memory
        )
        y, state = jax.tree.map(
            lambda a, b: jnp.where(kept, a, b), (y1, new), (y, state)
        )
        return (
            t,
            t_next,
            y,
            state,
            memory,
            jax.tree.map(jnp.add, tally, work),
            steps + 1,
        )

    carry = (zero, first, y0, state, memory, tally, 0)
    out = jax.lax.while_loop(lambda c: (c[0] < 1.0) & (c[6] < 100_000), body, carry)
    return out[2], out[5], solver.report(out[3])


@pytest.mark.parametrize("solver", [RKC(), ROCK4()], ids=["RKC", "ROCK4"])
def test_cost_grows_as_the_root_of_stiffness(solver: Any) -> None:
    """On a linear problem, up to ρT = 1e6; stiff modes have decayed and ρ is known.

    ROCK4 is held to 1e4 by its round-off, beyond which it pays as h ρ stays bounded.
    """
    tops = [1e2, 1e3, 1e4] + ([1e5, 1e6] if solver.order(None) == 2 else [])
    counts = []
    for top in tops:
        y, work, report = _decayed(solver)(top, 1e-3)
        rates = np.geomspace(1, top, 30)
        error = np.abs(np.asarray(y["y"]) - np.exp(-rates)).max()
        assert error < 5e-3
        assert np.abs(np.asarray(y["y"])[rates > 100]).max(initial=0) < 1e-3
        assert 0.9 * top < float(report["rho"]) < 1.001 * top
        assert int(work.products) == 0
        counts.append(int(work.gradients))
    growth = np.polyfit(np.log(tops), np.log(counts), 1)[0]
    assert growth < 0.5


@pytest.mark.parametrize(
    ("solver", "exact"), [(RKC(), False), (RKC(), True), (ROCK4(), False)]
)
def test_work_is_what_is_evaluated(solver: Any, exact: bool) -> None:
    """Evaluations are counted as they are run, rejected steps and differences too."""
    calls = []

    def field(t: Any, y: Any, args: Any) -> Any:
        jax.debug.callback(lambda: calls.append(1))
        # Its rate jumps, so that steps are rejected.
        return -jnp.where(t < 0.5, 10.0, 500.0) * (y - jnp.cos(3 * t))

    solver = type(solver)(exact=exact)
    run = jax.jit(lambda y: _tallied(solver, field, y, 1e-4))
    _, work, _ = jax.block_until_ready(run(jnp.ones(2)))
    jax.effects_barrier()
    # The controller takes two to choose the first step. A product by `jax.jvp` runs
    # the field once.
    assert len(calls) == int(work.gradients) + int(work.products) + 2
    assert (int(work.products) > 0) is exact


def test_a_step_beyond_the_last_stage_count_is_not_made() -> None:
    """It costs nothing but the estimate of ρ, and its error is infinite."""
    rates = jnp.array([1e9, 1e3, 1.0])
    term = diffrax.ODETerm(lambda t, y, args: -rates * y)
    solver = ROCK4()
    zero, one = jnp.zeros(()), jnp.ones(())
    y0 = jnp.ones(3)
    state = solver.init(term, zero, one, y0, None)
    y1, error, _, _, _, work = solver.attempt(term, zero, one, y0, None, state, False)
    np.testing.assert_array_equal(y1, y0)
    assert np.all(np.isinf(np.asarray(error)))
    assert int(work.gradients) <= 5
