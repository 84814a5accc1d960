"""A linear classifier with batch normalization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import BatchNormLinear

X = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 1.0]])
Y = np.array([1.0, -1.0])


def test_predictions_have_the_mean_square_of_gamma() -> None:
    """Whatever the length of w, mean f² = γ²."""
    net = BatchNormLinear(3)
    w = net.init(7.0, key=jax.random.key(0))
    np.testing.assert_allclose(jnp.linalg.norm(w["w"]), 7.0, rtol=1e-14)
    w["gamma"] = jnp.array(3.0)
    np.testing.assert_allclose(jnp.mean(net(w, jnp.asarray(X)) ** 2), 9.0, rtol=1e-14)


def test_the_loss_is_logistic_and_its_gradient_orthogonal_to_w() -> None:
    """Scaling w changes nothing, so ⟨w, ∂L/∂w⟩ = 0."""
    net = BatchNormLinear(3)
    problem, w = net.problem(X, Y), net.init(2.0, key=jax.random.key(1))
    f = X @ np.asarray(w["w"])
    f = f / np.sqrt(np.mean(f**2))
    expected = np.mean(np.log1p(np.exp(-Y * f)))
    np.testing.assert_allclose(problem.loss(w), expected, rtol=1e-12)
    grad = problem.grad(w)["w"]
    assert abs(float(grad @ w["w"])) < 1e-14
    assert float(jnp.linalg.norm(grad)) > 1e-3


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        BatchNormLinear(2).problem(X, Y)
    with pytest.raises(ValueError, match="at least 1"):
        BatchNormLinear(0)
