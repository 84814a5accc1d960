"""The spectral radius, estimated along a run."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.solvers._spectral import SpectralState, advance, begin, refresh


def _spread(n: int) -> Any:
    """A symmetric matrix with eigenvalues from -100 to -0.1, log-spaced."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return jnp.asarray((Q * -np.geomspace(0.1, 100, n)) @ Q.T)


@pytest.mark.parametrize("exact", [False, True])
def test_found_from_nothing_and_then_kept(exact: bool) -> None:
    """Within 10 % from below at first; later two products, and none until it is due."""
    A = _spread(60)
    y = jnp.asarray(np.random.default_rng(1).standard_normal(60))

    @jax.jit
    def estimate(state: SpectralState, h: Any) -> Any:
        return refresh(lambda y: A @ y, y, A @ y, state, h, exact=exact)

    h = jnp.asarray(0.1)
    state, work = estimate(begin(A @ y), h)
    first = int(work.gradients) + int(work.products)
    assert 90 < float(state.rho) < 100.001
    assert first <= 30
    assert int(work.gradients if exact else work.products) == 0
    products = []
    for _ in range(40):
        state, work = estimate(advance(state, h), h)
        products.append(int(work.gradients) + int(work.products))
    assert 95 < float(state.rho) < 100.001
    assert max(products) <= 3
    assert sum(p > 0 for p in products) <= 5
    # A step much shorter than the last accepted one was rejected before.
    _, work = estimate(advance(state, h), h / 2)
    assert int(work.gradients) + int(work.products) > 0


def test_a_growing_radius_is_followed() -> None:
    """Where another mode overtakes and grows threefold, it is seen while it does."""
    h = jnp.asarray(0.1)
    base = jnp.array([10.0, 1.0, 0.5])
    y = jnp.array([0.1, 0.2, 0.3])

    @jax.jit
    def estimate(state: SpectralState, k: Any) -> Any:
        rates = base + jnp.array([0.0, 1.0, 0.0]) * 0.3 * k
        state, _ = refresh(lambda y: -rates * y, y, -rates * y, state, h, exact=False)
        return advance(state, h), jnp.max(rates)

    state, truth = begin(-base * y), 0.0
    for k in range(100):
        state, truth = estimate(state, float(k))
        assert float(state.rho) > 0.6 * float(truth)
    assert float(state.rho) > 0.95 * float(truth)


def test_quadratures_are_left_out() -> None:
    """A leaf that the field does not read adds zero eigenvalues, however fast it is."""
    y = {"w": jnp.array([1.0, 2.0]), "energy": jnp.zeros(())}

    def field(y: Any) -> Any:
        return {"w": -jnp.array([3.0, 1.0]) * y["w"], "energy": 1e8 * jnp.sum(y["w"])}

    slope = field(y)
    state, _ = refresh(field, y, slope, begin(slope), jnp.ones(()), exact=False)
    assert 2.8 < float(state.rho) < 3.001
    assert float(state.vector["energy"]) == 0


def test_a_point_of_rest_has_a_radius_too() -> None:
    """Where the slope is zero the method starts from another vector."""
    field = lambda y: -jnp.array([1.0, 50.0]) * y  # noqa: E731
    y = jnp.zeros(2)
    state, _ = refresh(field, y, field(y), begin(field(y)), jnp.ones(()), exact=False)
    assert 49 < float(state.rho) < 50.001
    still = lambda y: jnp.zeros_like(y)  # noqa: E731
    state, work = refresh(still, y, y, begin(y), jnp.ones(()), exact=True)
    assert float(state.rho) == 0
    assert int(work.products) <= 2
