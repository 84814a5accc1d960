"""Separable data."""

import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import DiagonalNet, WeightNormalized, separable_gaussian
from gflow.problem import exponential_loss


def test_every_example_has_the_margin():
    """y ⟨a, normal⟩ ≥ margin with a unit normal, and both classes occur."""
    data = separable_gaussian(200, 4, margin=0.7, seed=3)
    assert data.A.shape == (200, 4)
    assert np.linalg.norm(data.normal) == pytest.approx(1.0)
    assert np.min(data.y * (data.A @ data.normal)) >= 0.7
    assert set(data.y) == {-1.0, 1.0}


def test_same_seed_same_data():
    """And another seed, other data."""
    first, again = (separable_gaussian(5, 3, seed=1).A for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, separable_gaussian(5, 3, seed=2).A)


@pytest.mark.parametrize("given", [(0, 2, 0.1), (2, 0, 0.1), (2, 2, 0.0), (2, 2, 4.0)])
def test_out_of_range(given: tuple[int, int, float]):
    """Refused with what was expected."""
    samples, features, margin = given
    with pytest.raises(ValueError, match="expected num_samples"):
        separable_gaussian(samples, features, margin=margin, seed=0)


def test_nets_as_classifiers():
    """Both kinds of net take a criterion: mean exp(-y a·w) at the same weights w."""
    data = separable_gaussian(6, 3, seed=0)
    net = DiagonalNet(3, depth=1)
    normalized = WeightNormalized(net, "exponential")
    w = np.array([0.5, -0.2, 0.1])
    expected = np.mean(np.exp(-data.y * (data.A @ w)))
    for model in (net, normalized):
        problem = model.problem(data.A, data.y, criterion=exponential_loss)
        assert float(problem.loss(model.init(jnp.asarray(w)))) == pytest.approx(
            expected
        )
