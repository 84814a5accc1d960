"""What linear solves leave for those of later steps."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.solvers import BDF

_AXES = np.linalg.qr(np.random.default_rng(3).standard_normal((40, 40)))[0]
_RATES = np.geomspace(1.0, 1e5, 40)


@jax.jit
def _end(scale: Any) -> Any:
    """w' = -s (H w + w³) to t = 1/s from all ones."""

    def field(t: Any, w: Any, scale: Any) -> Any:
        return -scale * (_AXES @ (_RATES * (_AXES.T @ w)) + w**3)

    run = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        BDF(num_ritz=10),
        jnp.zeros(()),
        1 / scale,
        1e-7 / scale,
        jnp.asarray(_AXES.sum(axis=1)),
        scale,
        stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-9),
        saveat=diffrax.SaveAt(t1=True, solver_state=True),
        max_steps=4096,
    )
    assert run.ys is not None
    memory: Any = run.solver_state
    return run.ys[0], run.stats["num_steps"], memory.memory.preconditioner.values


@pytest.mark.parametrize("power", [-60, 100])
def test_the_unit_of_the_loss_changes_nothing(power: int) -> None:
    """Scaled by a power of two all is the same to the bit, what is recycled too."""
    ys, steps, values = _end(jnp.asarray(2.0**power))
    expected, num, unscaled = _end(jnp.asarray(1.0))
    assert float(jnp.max(unscaled)) == pytest.approx(1e5, rel=1e-3)
    np.testing.assert_array_equal(ys, expected)
    np.testing.assert_array_equal(values, 2.0**power * unscaled)
    assert steps == num
