"""A flow as a law in the variable of a clock."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import closed_form

import gflow as gf
from gflow.flows import Clocked, clocked


@pytest.mark.parametrize("t_ref", [1e-3, 1e3])
def test_terms_work_in_a_plain_diffeqsolve(t_ref: float):
    """L = ‖w‖⁴/4 in arc length from norm 1: after s = 0.9 the norm is 0.1.

    ‖w‖⁻² = 1 + 2t, so t = (100 - 1)/2 = 49.5; the energy is ¼ (1 - 10⁻⁴). And
    nothing of it rests on the reference time of tau.
    """
    form = closed_form("quartic")
    flow = Clocked(gf.GradientFlow(), gf.ArcLength(), jnp.asarray(t_ref))
    solution = diffrax.diffeqsolve(
        flow.terms(None),
        diffrax.Tsit5(),
        0.0,
        0.9,
        1e-3,
        flow.init(form.w0),
        form.problem,
        stepsize_controller=diffrax.PIDController(rtol=1e-11, atol=1e-14),
    )
    assert solution.ys is not None
    end = jax.tree.map(lambda x: x[-1], solution.ys)
    np.testing.assert_allclose(flow.params(end), 0.1 * form.w0, rtol=1e-9)
    np.testing.assert_allclose(flow.time(end), 49.5, rtol=1e-8)
    np.testing.assert_allclose(flow.energy(end), 0.25 * (1 - 1e-4), rtol=1e-9)
    np.testing.assert_allclose(flow.tau(49.5), end.tau, rtol=1e-8)


def test_reference_time_is_that_of_the_start():
    """‖w‖/‖ẇ‖ = 1 and L/‖∇L‖² = ¼ at norm 1 of the quartic: the shorter."""
    form = closed_form("quartic")
    flow = clocked(gf.GradientFlow(), gf.LogTime(), form.problem, form.w0)
    np.testing.assert_allclose(flow.t_ref, 0.25, rtol=1e-12)
    # At w = 0 the norm gives none, and the logistic loss log 2 / ¼.
    logistic = closed_form("logistic").problem
    flow = clocked(gf.GradientFlow(), gf.LogTime(), logistic, jnp.zeros(()))
    np.testing.assert_allclose(flow.t_ref, 4 * np.log(2), rtol=1e-12)


def test_state_has_the_type_of_the_parameters():
    """float32 parameters give a float32 state and a float32 field, under x64 too."""
    form, w0 = closed_form("quartic"), jnp.array([0.6, 0.8], jnp.float32)
    for clock in (gf.LogTime(), gf.ArcLength(), gf.LossTime()):
        flow = clocked(gf.GradientFlow(), clock, form.problem, w0)
        state = flow.init(w0)
        rate = flow.terms(None).vf(0.0, state, form.problem)
        for leaf in (*jax.tree.leaves((state, rate)), flow.time(state)):
            assert leaf.dtype == np.float32
