"""How the singular values of an end-to-end map move."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.diagnostics import singular_dynamics
from gflow.models import DeepLinear

RNG = np.random.default_rng(8)
X, Y = RNG.standard_normal((6, 4)), RNG.standard_normal((6, 4))


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_speeds_are_those_of_a_small_step(depth: int):
    """Singular values after a small step along the velocity, central differences."""
    net = DeepLinear([4] * (depth + 1))
    problem, w = net.problem(X, Y), net.init(key=jax.random.key(depth))
    found = singular_dynamics(problem, w)
    velocity, h = problem.velocity(w), 1e-6
    ahead, behind = (
        np.linalg.svd(net.end_to_end(w + s * h * velocity), compute_uv=False)
        for s in (1, -1)
    )
    # Second order: h^2 times third derivatives, and rounding of 1e-16/h.
    np.testing.assert_allclose(found.speeds, (ahead - behind) / (2 * h), atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_law_of_balanced_factors(depth: int):
    """Equal to the speeds in balance, and not out of it (but at depth 1)."""
    net = DeepLinear([4] * (depth + 1))
    problem = net.problem(X, Y)
    found = singular_dynamics(problem, net.init_balanced(RNG.standard_normal((4, 4))))
    np.testing.assert_allclose(found.speeds, found.balanced, rtol=1e-9, atol=1e-10)
    loose = singular_dynamics(problem, net.init(key=jax.random.key(0)))
    gap = np.max(np.abs(loose.speeds - loose.balanced))
    assert (gap > 1e-2) == (depth > 1)


def test_other_models_are_refused():
    """It is about factors."""
    problem = gf.EmpiricalRisk(lambda w, x: x @ w, jnp.eye(2), jnp.ones(2))
    with pytest.raises(TypeError, match="deep linear net"):
        singular_dynamics(problem, jnp.ones(2))


@pytest.mark.parametrize("extra", ["rates", "penalty"])
def test_problems_under_another_law_are_refused(extra: str):
    net = DeepLinear([2, 2, 2])
    w0 = net.init(key=jax.random.key(0))
    given: dict[str, Any] = {
        "rates": [1.0, 2.0],
        "penalty": lambda w: jnp.sum(w[0] ** 2),
    }
    problem = gf.EmpiricalRisk(net, jnp.eye(2), jnp.eye(2), **{extra: given[extra]})
    with pytest.raises(ValueError, match="no rates and no penalty"):
        singular_dynamics(problem, w0)
