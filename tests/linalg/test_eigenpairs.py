"""Extremal eigenpairs against dense eigenvalues, cold and warm."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.linalg import eigenpairs

N, K = 60, 4
RNG = np.random.default_rng(2)
Q = np.linalg.qr(RNG.normal(size=(N, N)))[0]
KEY = jax.random.key(0)
SPECTRA = {
    "normal": RNG.normal(size=N),
    "cluster": np.r_[1 + 1e-5 * np.arange(4), np.linspace(0, 0.5, N - 4)],
    "multiple": np.r_[3.0, 3.0, 3.0, 2.0, 2.0, np.linspace(0, 1, N - 5)],
    "gap": np.r_[1e6, 1e6, np.linspace(0.1, 1, N - 2)],
    "rank 2": np.r_[1.0, -2.0, np.zeros(N - 2)],
    "zero": np.zeros(N),
}


@partial(jax.jit, static_argnames=("which", "rtol", "most"))
def run(
    matrix: jax.Array,
    vectors: Any = None,
    which: Any = "largest",
    rtol: float = 1e-6,
    most: int = 500,
) -> Any:
    return eigenpairs(
        lambda x: matrix @ x,
        jnp.zeros(len(matrix), matrix.dtype),
        K,
        key=KEY,
        vectors=vectors,
        which=which,
        rtol=rtol,
        max_products=most,
    )


def expected(matrix: Any, which: str) -> np.ndarray:
    """From numpy, the outermost first."""
    values = np.linalg.eigvalsh(matrix)
    rank = {"largest": -values, "smallest": values, "modulus": -np.abs(values)}[which]
    return values[np.argsort(rank)][:K]


@pytest.mark.parametrize("which", ["largest", "smallest", "modulus"])
@pytest.mark.parametrize("name", SPECTRA)
def test_values_with_their_multiplicity_and_true_residuals(name: str, which: str):
    """Values to the square of the tolerance or its size; vectors orthonormal."""
    matrix = (Q * SPECTRA[name]) @ Q.T
    scale = max(np.max(np.abs(SPECTRA[name])), 1e-300)
    pairs = run(jnp.asarray(matrix), which=which)
    assert pairs.converged
    np.testing.assert_allclose(
        pairs.values, expected(matrix, which), rtol=0, atol=1e-6 * scale
    )
    vectors = np.asarray(pairs.vectors)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(K), atol=1e-12)
    true = np.linalg.norm(
        vectors @ matrix - np.asarray(pairs.values)[:, None] * vectors, axis=1
    )
    assert np.all(true <= 1.001e-6 * scale)
    np.testing.assert_allclose(pairs.residuals, true, rtol=1e-6, atol=1e-13 * scale)


def test_a_warm_start_costs_fewer_products():
    """The matrix moves by 1e-3 and its vectors turn: a third of the products."""
    matrix = (Q * SPECTRA["normal"]) @ Q.T
    noise = RNG.normal(size=(N, N)) * 1e-3 / np.sqrt(N)
    moved = jnp.asarray(matrix + noise + noise.T)
    cold = run(jnp.asarray(matrix), rtol=1e-3)
    warm = run(moved, cold.vectors, rtol=1e-3)
    again = run(moved, rtol=1e-3)
    assert warm.converged
    assert K <= warm.products <= again.products / 3
    np.testing.assert_allclose(warm.values, expected(moved, "largest"), atol=1e-5)
    exact = run(jnp.asarray(matrix), run(jnp.asarray(matrix)).vectors)
    assert exact.products == K


@pytest.mark.parametrize("given", ["zero", "dependent", "invariant"])
def test_poor_starts_are_completed_by_random_vectors(given: str):
    """Zero, repeated, or inside of an invariant subspace of other pairs."""
    matrix = (Q * SPECTRA["multiple"]) @ Q.T
    starts = {
        "zero": np.zeros((K, N)),
        "dependent": np.tile(RNG.normal(size=N), (K, 1)),
        "invariant": Q.T[:2],
    }
    pairs = run(jnp.asarray(matrix), jnp.asarray(starts[given]))
    assert pairs.converged
    np.testing.assert_allclose(pairs.values, [3, 3, 3, 2], atol=1e-6)


def test_every_start_is_heard():
    """The first k vectors are pairs already; the fifth is the one that is larger."""
    matrix = (Q * np.arange(N)) @ Q.T
    given = jnp.asarray(Q.T[[-2, -3, -4, -5, -1]])
    pairs = run(jnp.asarray(matrix), given)
    assert pairs.products == K + 1
    np.testing.assert_allclose(pairs.values, N - 1 - np.arange(K), rtol=1e-12)


def test_a_budget_too_small_is_told():
    """Not converged; the residuals say by how much; pairs not reached have inf."""
    matrix = jnp.asarray((Q * SPECTRA["normal"]) @ Q.T)
    short = run(matrix, most=8)
    assert short.products == 8
    assert not short.converged
    assert np.all(np.asarray(short.residuals) > 1e-3)
    assert np.isinf(run(matrix, most=2).residuals[-1])


def test_the_whole_space_float32_and_vmap():
    """n = k is a dense problem; lanes agree with runs of their own."""
    half = RNG.normal(size=(3, K, K))
    lanes = jnp.asarray(half + half.transpose(0, 2, 1))
    together = jax.vmap(run)(lanes)
    for i, matrix in enumerate(lanes):
        np.testing.assert_allclose(
            together.values[i], np.linalg.eigvalsh(matrix)[::-1], atol=1e-12
        )
    big = jnp.asarray(
        np.stack([(Q * SPECTRA[name]) @ Q.T for name in ("normal", "multiple")])
    )
    together = jax.vmap(run)(big)
    for i, matrix in enumerate(big):
        alone = run(matrix)
        assert together.products[i] == alone.products
        np.testing.assert_allclose(together.values[i], alone.values, rtol=1e-12)
    single = run(big[0].astype(jnp.float32), rtol=1e-4)
    assert single.converged
    assert single.values.dtype == jnp.float32
    np.testing.assert_allclose(single.values, expected(big[0], "largest"), rtol=1e-5)


def test_another_inner_product_and_pytrees():
    """R S with rates R: eigenvalues of R^½ S R^½, vectors orthonormal in R^-1."""
    rates = np.r_[np.full(20, 1e-3), np.full(N - 20, 10.0)]
    half = RNG.normal(size=(N, N))
    symmetric, root = half @ half.T, np.sqrt(rates)

    def matvec(x: Any) -> Any:
        y = rates * (symmetric @ jnp.concatenate([x["a"], x["b"]]))
        return {"a": y[:20], "b": y[20:]}

    pairs = eigenpairs(
        matvec,
        {"a": jnp.zeros(20), "b": jnp.zeros(N - 20)},
        K,
        key=KEY,
        weigh=lambda x: {"a": x["a"] / 1e-3, "b": x["b"] / 10.0},
    )
    values = np.linalg.eigvalsh(root[:, None] * symmetric * root)[::-1][:K]
    np.testing.assert_allclose(pairs.values, values, rtol=1e-9)
    flat = np.concatenate([pairs.vectors["a"], pairs.vectors["b"]], axis=1)
    np.testing.assert_allclose(flat / rates @ flat.T, np.eye(K), atol=1e-12)


@pytest.mark.parametrize(("k", "m"), [(0, None), (5, None), (2, 2)])
def test_sizes_that_do_not_fit_are_refused(k: int, m: int | None):
    """No pairs, more than parameters, or a space with no room."""
    with pytest.raises(ValueError, match="k must lie between"):
        eigenpairs(lambda x: x, jnp.ones(4), k, key=KEY, num_vectors=m)
