"""Averages over directions."""

import math

import numpy as np
import pytest

from gflow.models._sphere_rule import sphere_rule


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_powers_of_a_component_along_any_vector(dim: int, order: int):
    """Mean of (a·v)^{2k} = |a|^{2k} (2k - 1)!!/(d (d + 2) … (d + 2k - 2)).

    For any vector a, so that monomials mixed of all components are tried as well, and
    for all degrees up to that of the rule.
    """
    v, weights = sphere_rule(dim, 2 * order)
    assert len(v) == (order + 1) ** (dim - 1)
    np.testing.assert_allclose(np.sum(v**2, axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-13)
    a = np.random.default_rng(dim).standard_normal(dim)
    for k in range(1, order + 1):
        mean = math.prod((2 * j - 1) / (dim + 2 * j - 2) for j in range(1, k + 1))
        np.testing.assert_allclose(
            weights @ (v @ a) ** (2 * k), mean * (a @ a) ** k, rtol=1e-12
        )
