"""Balancedness of deep linear networks."""

import jax
import numpy as np
import pytest

from gflow.invariants import deep_linear_invariants
from gflow.models import DeepLinear, MatrixCompletion

RNG = np.random.default_rng(6)


@pytest.mark.parametrize("widths", [(3, 3, 3), (4, 4, 4, 4), (3, 5, 4, 2)])
def test_balancedness_is_constant_to_first_order_at_a_generic_point(
    widths: tuple[int, ...],
):
    """<∇h, dw/dt> = 0 with no integration, for least squares and completion alike."""
    net = DeepLinear(widths)
    w = net.init(key=jax.random.key(0))
    least_squares = net.problem(
        RNG.standard_normal((6, widths[0])), RNG.standard_normal((6, widths[-1]))
    )
    completion = MatrixCompletion(net).problem(np.array([[0, 1], [1, 0]]), np.ones(2))
    laws = deep_linear_invariants(net)
    # A symmetric matrix for each hidden layer; stacked where widths are equal.
    assert len(laws) == (1 if net.is_uniform else net.depth - 1)
    for problem in (least_squares, completion):
        velocity = problem.velocity(w)
        for law in laws.values():
            value, change = jax.jvp(law, (w,), (velocity,))
            speed = max(float(np.abs(velocity[k]).max()) for k in range(net.depth))
            assert float(np.abs(change).max()) < 1e-13 * (1 + speed), law.formula
            assert float(np.abs(value).max()) > 1e-3


def test_value_is_the_formula():
    """W_2^T W_2 - W_1 W_1^T, by hand."""
    w = [RNG.standard_normal((3, 2)), RNG.standard_normal((4, 3))]
    law = deep_linear_invariants(DeepLinear([2, 3, 4]))["balance_1"]
    np.testing.assert_allclose(law(w), w[1].T @ w[1] - w[0] @ w[0].T, rtol=1e-12)


def test_one_factor_has_nothing_to_balance():
    """Depth 1: no law."""
    assert deep_linear_invariants(DeepLinear([3, 3])) == {}
