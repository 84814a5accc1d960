"""Losses of the margin."""

import jax.numpy as jnp
import numpy as np
import pytest

from gflow.problem import exponential_loss, logistic_loss

SIGNS = jnp.array([1.0, -1.0])


def test_values():
    """Margins y f = (2, 3): means of e^-m and of log(1 + e^-m)."""
    scores = jnp.array([2.0, -3.0])
    e2, e3 = np.exp(-2.0), np.exp(-3.0)
    assert float(exponential_loss(scores, SIGNS)) == pytest.approx((e2 + e3) / 2)
    expected = (np.log(1 + e2) + np.log(1 + e3)) / 2
    assert float(logistic_loss(scores, SIGNS)) == pytest.approx(expected)


def test_logistic_neither_overflows_nor_vanishes():
    """At margin -1000 it is 1000, at +700 the exponential loss e^-700."""
    far = jnp.array([-1000.0, 1000.0])
    assert float(logistic_loss(far, SIGNS)) == 1000.0
    near = jnp.array([700.0, -700.0])
    assert float(logistic_loss(near, SIGNS)) == pytest.approx(np.exp(-700.0))
