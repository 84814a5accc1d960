"""The spectral radius: bounds that hold, and what they cost."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.linalg import spectral_radius

N, LANES = 100, 200
RNG = np.random.default_rng(1)
STARTS = jnp.asarray(RNG.normal(size=(LANES, N)))
SPECTRA = {
    "normal": RNG.normal(size=N),
    "geometric": np.geomspace(1e-6, 1.0, N),
    "gap": np.r_[1e6, RNG.uniform(size=N - 1)],
    "minus": np.r_[-1.0, np.linspace(0, 0.95, N - 1)],
    "even": np.linspace(-1.0, 1.0, N),
    "crowd below the top": np.r_[1.0, np.full(3, 0.9), np.linspace(0, 0.1, N - 4)],
    "rank 2": np.r_[1.0, 0.5, np.zeros(N - 2)],
}


@partial(jax.jit, static_argnames="most")
def diagonal(
    d: jax.Array, start: jax.Array, overlap: float = 0.0, most: int = 20
) -> Any:
    """For a random start, a diagonal matrix is as good as any with its spectrum."""
    return spectral_radius(lambda x: d * x, start, max_products=most, overlap=overlap)


@pytest.mark.parametrize("name", SPECTRA)
def test_bounds_from_random_starts(name: str):
    """Lower bounds always hold; upper ones in 98 of 100 runs, and are tight."""
    d = jnp.asarray(SPECTRA[name])
    rho = float(np.max(np.abs(SPECTRA[name])))
    bounds = jax.vmap(diagonal, (None, 0, None))(d, STARTS, 0.02 / np.sqrt(N))
    assert np.all(np.asarray(bounds.lower) <= rho * (1 + 1e-14))
    held = np.asarray(bounds.upper) >= rho
    # 2 in 100 are expected to fail before the safety factor, which saves most of them.
    assert np.mean(held) >= 0.98
    wide = np.asarray(bounds.upper) > 1.1 * 1.05 * np.asarray(bounds.lower)
    assert np.all(~wide | (np.asarray(bounds.products) == 20))


def test_a_start_without_the_leading_vector_hides_it_unless_overlap_is_asked_for():
    """The residual bound is blind to 2 where the start has 1e-3 of it."""
    d = jnp.r_[2.0, jnp.ones(N - 1)]
    start = jnp.ones(N).at[0].set(1e-3 * np.sqrt(N - 1))
    assert diagonal(d, start).upper < 1.1
    assert diagonal(d, start, 0.5e-3).upper > 2


def test_a_warm_start_is_cheap_while_the_matrix_moves():
    """At most 3 products a refresh along a slow rotation; the bounds hold."""
    half = RNG.normal(size=(2, N, N)) / np.sqrt(2 * N)
    base, drift = half + half.transpose(0, 2, 1)

    @jax.jit
    def refresh(s: Any, start: jax.Array, overlap: float) -> Any:
        matrix = base + s * drift
        return spectral_radius(lambda x: matrix @ x, start, overlap=overlap)

    bound = refresh(0.0, STARTS[0], 0.02 / np.sqrt(N))
    cold, products = int(bound.products), []
    for s in np.linspace(0, 1, 60):
        bound = refresh(s, bound.vector, 0.0)
        products.append(int(bound.products))
        rho = np.max(np.abs(np.linalg.eigvalsh(base + s * drift)))
        assert bound.lower <= rho * (1 + 1e-14)
        assert bound.upper >= rho, s
    assert np.mean(products) <= 3 < cold


def test_a_crossing_is_seen():
    """The second eigenvalue, of the other sign, overtakes the first slowly."""

    @jax.jit
    def refresh(s: Any, start: jax.Array) -> Any:
        d = jnp.linspace(-0.5, 0.5, N).at[0].set(1.0).at[1].set(-s)
        return spectral_radius(lambda x: d * x, start)

    vector = STARTS[0]
    for s in np.linspace(0.8, 3.0, 60):
        bound = refresh(s, vector)
        vector = bound.vector
        assert bound.lower <= max(1, s) * (1 + 1e-14)
        assert bound.upper >= max(1, s), s


def test_the_wrong_inner_product_overestimates():
    """-R S with rates 1 to 100: right with the weighing, above ρ without."""
    rates = jnp.asarray(np.r_[np.full(N // 2, 1.0), np.full(N // 2, 100.0)])
    half = RNG.normal(size=(N, N // 4))
    symmetric = jnp.asarray(half @ half.T)
    root = np.sqrt(rates)
    rho = np.linalg.eigvalsh(root[:, None] * symmetric * root)[-1]

    def bound(weigh: Any) -> Any:
        return spectral_radius(
            lambda x: -rates * (symmetric @ x),
            STARTS[0],
            max_products=40,
            rtol=0.01,
            overlap=0.02 / np.sqrt(N),
            weigh=weigh,
        )

    right, wrong = bound(lambda x: x / rates), bound(None)
    assert right.lower <= rho * (1 + 1e-12) <= right.upper <= 1.07 * rho
    norm = np.linalg.norm(np.asarray(rates)[:, None] * symmetric, 2)
    assert rho <= wrong.upper <= 1.07 * norm
    assert wrong.upper > right.upper


def test_vmapped_equals_looped():
    """Lanes that need different numbers of products agree with runs of their own."""
    spectra = jnp.asarray(np.stack(list(SPECTRA.values())))
    together = jax.vmap(lambda d: diagonal(d, STARTS[0]))(spectra)
    assert len(set(together.products.tolist())) > 1
    for i, d in enumerate(spectra):
        alone = diagonal(d, STARTS[0])
        assert together.products[i] == alone.products
        np.testing.assert_allclose(together.upper[i], alone.upper, rtol=1e-12)
        np.testing.assert_allclose(together.vector[i], alone.vector, atol=1e-12)


def test_float32_pytrees_and_few_dimensions():
    """Types are kept; more products than dimensions are not taken."""
    start = {"a": jnp.ones(2, jnp.float32), "b": jnp.ones((), jnp.float32)}
    bound = spectral_radius(
        lambda x: {"a": -3 * x["a"], "b": x["b"]}, start, rtol=0.0, safety=1.0
    )
    assert bound.upper.dtype == bound.vector["b"].dtype == jnp.float32
    assert bound.products == 2  # two distinct eigenvalues
    np.testing.assert_allclose([bound.lower, bound.upper], 3.0, rtol=1e-6)
    one = spectral_radius(lambda x: 7.0 * x, jnp.ones(1), max_products=1)
    np.testing.assert_allclose(one.upper, 7.0 * 1.05)


def test_zero_and_nonfinite_operators():
    """ρ(0) = 0; a NaN is passed on."""
    zero = diagonal(jnp.zeros(N), STARTS[0], 1e-3)
    assert zero.lower == zero.upper == 0
    broken = diagonal(jnp.full(N, jnp.nan), STARTS[0])
    assert jnp.isnan(broken.upper)
    assert broken.products == 1
