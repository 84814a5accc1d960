"""A problem from any loss."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf


class _Distance(eqx.Module):
    """½ ‖w - center‖², with the center as data."""

    center: jax.Array

    def __call__(self, w: Any) -> Any:
        return 0.5 * jnp.sum((w - self.center) ** 2)


def test_arrays_of_a_module_are_data_of_the_problem() -> None:
    """One compiled program serves losses that differ in their arrays."""
    grad = eqx.filter_jit(lambda problem, w: problem.grad(w))
    w, traces = jnp.ones(2), []

    @eqx.filter_jit
    def counted(problem: gf.Problem, w: Any) -> Any:
        traces.append(0)
        return grad(problem, w)

    for center in (0.0, 3.0):
        problem = gf.Objective(_Distance(jnp.full(2, center)))
        np.testing.assert_array_equal(counted(problem, w), np.full(2, 1 - center))
    assert len(traces) == 1


def test_predictions_are_there_if_given() -> None:
    """`predict` is the function that the parameters stand for; None without."""
    w = jnp.array(3.0)
    assert gf.Objective(jnp.square).predict(w) is None
    problem = gf.Objective(jnp.square, predict=lambda w: w * jnp.arange(2))
    np.testing.assert_array_equal(problem.predict(w), [0.0, 3.0])


def test_a_loss_is_a_function() -> None:
    """Anything else is told."""
    with pytest.raises(TypeError):
        gf.Objective(3.0)  # pyright: ignore[reportArgumentType]
