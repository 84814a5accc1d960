"""What is measured at each saved time."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from closed_forms import closed_form

import gflow as gf


def test_everything_observed_leads_with_time_and_belongs_to_its_point() -> None:
    """Scalars, vectors, matrices, booleans: each at its own t and w."""
    run = closed_form("quartic").simulate(
        observables={
            "time": lambda t, w, p: t,
            "gradient": lambda t, w, p: p.grad(w),
            "outer": lambda t, w, p: jnp.outer(w, w),
            "late": lambda t, w, p: t > 1.0,
        },
        invariants={"direction": lambda w: w / jnp.linalg.norm(w)},
    )
    ws = run.ws
    norm2 = np.sum(ws**2, axis=1)
    np.testing.assert_array_equal(run.observed["time"], run.ts)
    np.testing.assert_array_equal(run.observed["late"], run.ts > 1.0)
    # ∇ ‖w‖⁴/4 = ‖w‖² w.
    expected = norm2[:, None] * ws
    np.testing.assert_allclose(run.observed["gradient"], expected, rtol=1e-13)
    outer = ws[:, :, None] * ws[:, None, :]
    np.testing.assert_allclose(run.observed["outer"], outer, rtol=1e-13)
    np.testing.assert_allclose(run.observed["loss"], norm2**2 / 4, rtol=1e-13)
    np.testing.assert_allclose(run.observed["grad_norm"], norm2**1.5, rtol=1e-13)
    assert run.invariants["direction"].shape == (201, 2)
    # The flow is radial, and a Runge-Kutta step of a radial field is radial.
    assert run.drift["direction"].relative < 1e-14
    assert run.drift["direction"].claimed is None


def test_drift_is_that_of_the_saved_values() -> None:
    """Absolute: the largest distance from the start; relative: to the scale."""

    def decay(w: Any) -> Any:
        return jnp.sum(w**2)

    laws = {
        "own": decay,
        "scaled": gf.Invariant(decay, formula="‖w‖²", scale=lambda w: 4 * w),
        "zero": lambda w: jnp.zeros(2),
        "from zero": lambda w: jnp.sum(w**2) - 1.0,
        "other": gf.Invariant(decay, formula="‖w‖²", conserved_by=("MirrorFlow",)),
    }
    run = closed_form("quartic").simulate(invariants=laws, rtol=1e-9)
    # ‖w‖² goes from 1 to 1/21; ‖4w‖ is 4 at most, and at the start.
    drop = 1 - 1 / 21
    np.testing.assert_allclose(run.drift["own"].absolute, drop, rtol=1e-7)
    np.testing.assert_allclose(run.drift["own"].relative, drop, rtol=1e-7)
    np.testing.assert_allclose(run.drift["scaled"].relative, drop / 4, rtol=1e-7)
    assert run.drift["scaled"].claimed is True
    zero = run.drift["zero"]
    assert (zero.absolute, zero.relative, zero.scale, zero.claimed) == (0, 0, 0, None)
    # Its value at w0 is 0 up to round-off, which is no scale: give one.
    assert run.drift["from zero"].relative > 1e10
    assert run.drift["other"].claimed is False
    assert "not claimed for this law" in repr(run)


@pytest.mark.parametrize("num", [1, 15, 16, 17])
def test_blocks_of_points_leave_no_copies(num: int) -> None:
    """Points are measured in blocks of 16: any number of them comes out right."""
    run = gf.iterate(
        closed_form("quartic").problem,
        gf.gradient_descent(0.1),
        jnp.array([1.0, 0.0]),
        num,
        save=gf.Save.steps(),
    )
    assert len(run.ts) == num + 1
    np.testing.assert_allclose(run.observed["loss"], run.ws[:, 0] ** 4 / 4, rtol=1e-13)
    assert np.all(np.diff(run.observed["loss"]) < 0)
