"""Lanczos: Ritz pairs against dense eigenvalues."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.linalg import lanczos

N = 30
RNG = np.random.default_rng(0)
Q = jnp.asarray(np.linalg.qr(RNG.normal(size=(N, N)))[0])
START = jnp.asarray(RNG.normal(size=N))
SPECTRA = {
    "spread": np.linspace(-1.0, 1.0, N),
    "clusters": np.r_[np.full(5, 1.0) + 1e-9 * np.arange(5), np.linspace(0, 0.5, 25)],
    "gap": np.r_[1e6, np.linspace(0.1, 1.0, N - 1)],
    "indefinite": np.r_[-3.0, np.geomspace(1e-3, 1.0, N - 1)],
    "rank 4": np.r_[np.zeros(N - 4), 1.0, 2.0, 3.0, -4.0],
    "multiple": np.r_[np.full(10, 2.0), np.full(20, -1.0)],
}


def dense(spectrum: np.ndarray) -> jax.Array:
    return (Q * spectrum) @ Q.T


@partial(jax.jit, static_argnames=("steps", "rtol", "largest", "smallest"))
def run(
    matrix: jax.Array,
    start: jax.Array,
    steps: int,
    rtol: float = 0.0,
    largest: int = 1,
    smallest: int = 0,
) -> Any:
    return lanczos(
        lambda x: matrix @ x,
        start,
        steps,
        rtol=rtol,
        num_largest=largest,
        num_smallest=smallest,
    )


@pytest.mark.parametrize("name", SPECTRA)
def test_the_whole_space_gives_each_distinct_eigenvalue_once(name: str):
    """Full space: every distinct eigenvalue, no ghosts, an early end at breakdown."""
    spectrum = np.sort(SPECTRA[name])
    pairs = run(dense(spectrum), START, N + 3)
    values = np.asarray(pairs.values)[np.asarray(pairs.found)]
    scale = np.max(np.abs(spectrum))
    # What lies closer together than round-off is one eigenvalue to the iteration.
    distinct = spectrum[np.r_[True, np.diff(spectrum) > 1e-8 * scale]]
    assert pairs.products == len(values) <= N
    if name == "clusters":  # 1e-9 apart: seen as one, two, ..., but each near to one
        assert np.max(np.min(np.abs(values[:, None] - spectrum), axis=1)) < 1e-9
        return
    assert pairs.products == len(distinct)
    np.testing.assert_allclose(values, distinct, rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("steps", [1, 6, 15])
def test_residuals_are_true_and_bound_the_distance(name: str, steps: int):
    """‖A x - θ x‖ is what is reported; an eigenvalue lies within; x orthonormal."""
    matrix, spectrum = dense(SPECTRA[name]), SPECTRA[name]
    pairs = run(matrix, START, steps)
    found = np.asarray(pairs.found)
    values, vectors = np.asarray(pairs.values)[found], np.asarray(pairs.vectors)[found]
    residuals, scale = np.asarray(pairs.residuals)[found], np.max(np.abs(spectrum))
    true = np.linalg.norm(vectors @ matrix - values[:, None] * vectors, axis=1)
    np.testing.assert_allclose(residuals, true, rtol=1e-6, atol=2e-14 * scale)
    distance = np.min(np.abs(values[:, None] - spectrum), axis=1)
    assert np.all(distance <= residuals + 1e-14 * scale)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(values)), atol=1e-13)


def test_entries_that_were_not_found_are_told():
    """After a breakdown: value 0, vector 0, residual inf."""
    pairs = run(dense(SPECTRA["multiple"]), START, 6)
    assert pairs.found.tolist() == [True] * 2 + [False] * 4
    assert np.all(np.asarray(pairs.values)[2:] == 0)
    assert np.all(np.asarray(pairs.vectors)[2:] == 0)
    assert np.all(np.isinf(np.asarray(pairs.residuals)[2:]))


def test_stops_once_the_wanted_pairs_are_there():
    """The residual of those asked for is small, and fewer steps do not do."""
    matrix = dense(np.r_[np.linspace(0, 1, N - 2), 3.0, -2.0])
    one = run(matrix, START, 25, rtol=1e-6)
    both = run(matrix, START, 25, rtol=1e-6, largest=1, smallest=1)
    assert 1 < one.products <= both.products < 25
    k = int(both.products)
    np.testing.assert_allclose(both.values[jnp.asarray([0, k - 1])], [-2, 3], rtol=1e-9)
    assert np.all(np.asarray(both.residuals)[[0, k - 1]] <= 3e-6)
    shorter = run(matrix, START, int(one.products) - 1)
    assert shorter.residuals[-1] > 3e-6


def test_vmapped_equals_looped():
    """Lanes that stop at different steps do not disturb each other."""
    lanes = jnp.stack([dense(SPECTRA[name]) for name in SPECTRA])
    together = jax.vmap(lambda a: run(a, START, 12, rtol=1e-4))(lanes)
    assert len(set(together.products.tolist())) > 1
    for i, matrix in enumerate(lanes):
        alone = run(matrix, START, 12, rtol=1e-4)
        scale = float(jnp.max(jnp.abs(alone.values)))
        assert together.products[i] == alone.products
        np.testing.assert_allclose(
            together.values[i], alone.values, rtol=0, atol=1e-12 * scale
        )


def test_float32_keeps_its_type_and_its_orthogonality():
    """Vectors stay orthonormal to float32's round-off across a gap of 1e6."""
    matrix = dense(SPECTRA["gap"]).astype(jnp.float32)
    pairs = run(matrix, START.astype(jnp.float32), 12)
    assert pairs.values.dtype == pairs.vectors.dtype == jnp.float32
    vectors = np.asarray(pairs.vectors)[np.asarray(pairs.found)]
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(vectors)), atol=2e-6)
    np.testing.assert_allclose(np.max(pairs.values), 1e6, rtol=1e-6)


def test_pytrees_and_another_inner_product():
    """R S is symmetric in x·R^-1 y; its eigenvalues are those of R^½ S R^½."""
    size, rates = 8, np.r_[np.full(3, 0.01), np.full(5, 4.0)]
    half = RNG.normal(size=(size, size))
    symmetric = half + half.T
    root = np.sqrt(rates)
    expected = np.linalg.eigvalsh(root[:, None] * symmetric * root)

    def matvec(x: Any) -> Any:
        flat = jnp.concatenate([x["a"], x["b"].ravel()])
        y = rates * (symmetric @ flat)
        return {"a": y[:3], "b": y[3:].reshape(5, 1)}

    def weigh(x: Any) -> Any:
        return {"a": x["a"] / 0.01, "b": x["b"] / 4.0}

    start = {"a": jnp.ones(3), "b": jnp.arange(1.0, 6.0)[:, None]}
    pairs = lanczos(matvec, start, size, weigh=weigh)
    np.testing.assert_allclose(pairs.values, expected, atol=1e-12)
    assert pairs.vectors["b"].shape == (size, 5, 1)
    plain = lanczos(matvec, start, size)
    assert (
        np.max(np.abs(np.asarray(plain.values) - expected)) > 1
    )  # the weighing matters


def test_zero_and_nonfinite_operators_end_at_once():
    """A = 0 breaks down after one step; a NaN ends the loop."""
    zero = run(jnp.zeros((N, N)), START, 5)
    assert zero.products == 1
    assert zero.values[0] == zero.residuals[0] == 0
    assert run(jnp.full((N, N), jnp.nan), START, 5).products == 1
