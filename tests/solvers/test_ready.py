"""Solvers made ready for a loop of one's own."""

import diffrax
import equinox as eqx
import jax.numpy as jnp
import optimistix as optx

from gflow.solvers import Balance, Guard, controller, ready

RTOL, ATOL = jnp.asarray(1e-3), jnp.asarray(1e-5)


def guard(solver: object) -> Guard:
    return Guard(  # pyright: ignore[reportCallIssue] (rtol and so on are properties)
        inner=controller(solver, RTOL, ATOL, optx.rms_norm),
        balance=Balance(
            loss=lambda y, args: y,
            energy=lambda y: y,
            energy_rate=lambda t, y, args: y,
            elapsed=lambda h, y0, y1: h,
            tolerance=RTOL,
            size=1,
        ),
        monotone=True,
        loss_scale=RTOL,
        budget=jnp.asarray(1),
    )


def test_root_finder_gets_the_tolerances_of_the_controller():
    """Where it asks for them, also inside a wrapper; others keep their own."""
    solver = diffrax.Kvaerno5()
    for made in (
        ready(solver, guard(solver)),
        ready(diffrax.HalfSolver(solver), guard(solver)).solver,
    ):
        assert (made.root_finder.rtol, made.root_finder.atol) == (RTOL, ATOL)
        assert made.root_finder.norm is optx.rms_norm
        assert made.scan_kind == "lax"
    own = diffrax.Kvaerno5(root_finder=diffrax.VeryChord(rtol=1e-7, atol=1e-9))
    assert ready(own, guard(own)).root_finder.rtol == 1e-7


def test_explicit_solver_takes_the_same_step():
    """Only how its stages are looped over changes, not a bit of what they give."""
    term = diffrax.ODETerm(lambda t, y, args: -y)
    solver = diffrax.Tsit5()
    given = (term, 0.0, 0.1, jnp.ones(2), None)
    steps = [
        s.step(*given, s.init(*given[:2], 0.1, *given[3:]), False)
        for s in (solver, ready(solver, guard(solver)))
    ]
    assert eqx.tree_equal(steps[0][:2], steps[1][:2])
