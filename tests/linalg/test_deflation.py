"""Deflation: what it knows, what it does to the spectrum, and what makes it careful."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.linalg import Deflation, harvest, no_deflation

N, K = 60, 8
RNG = np.random.default_rng(4)
Q = np.linalg.qr(RNG.normal(size=(N, N)))[0]
LIKE = jnp.zeros(N)
SPECTRA = {
    "geometric": np.geomspace(1e-3, 100.0, N),
    "few": np.r_[1e4, 3e3, 1e3, np.geomspace(1e-3, 1.0, N - 3)],
    "singular": np.r_[50.0, 20.0, np.zeros(N - 2)],
}
jitted = jax.jit(lambda known, p, a: harvest(known, p, a))


def krylov(matrix: np.ndarray, steps: int) -> np.ndarray:
    """Directions as a linear solve would leave them, far from orthogonal."""
    rows, v = [], RNG.normal(size=N)
    for _ in range(steps):
        rows.append(v / np.linalg.norm(v))
        v = matrix @ rows[-1]
    return np.array(rows)


def spectrum_after(known: Deflation, matrix: np.ndarray, gamma: float) -> np.ndarray:
    """Eigenvalues of the preconditioned I + γA, from dense algebra."""
    p = jax.vmap(lambda e: known.precondition(e, gamma))(jnp.eye(N))
    values = np.linalg.eigvals(np.asarray(p) @ (np.eye(N) + gamma * matrix))
    return np.sort(values.real)


@pytest.mark.parametrize("name", SPECTRA)
def test_the_spectrum_stays_above_one_whatever_the_residuals(name: str):
    """For A ≥ 0 no eigenvalue falls below 1 by more than hundredths.

    Deflating the whole Ritz values instead, the smallest is 0.01 to 0.9.
    """
    matrix = (Q * SPECTRA[name]) @ Q.T
    for steps in (3, 6, 20):
        p = krylov(matrix, steps)
        known = jitted(no_deflation(LIKE, K), jnp.asarray(p), jnp.asarray(p @ matrix))
        for gamma in (0.1, 1.0, 100.0):
            values = spectrum_after(known, matrix, gamma)
            assert values[0] > 0.93, (steps, gamma)
            assert values[-1] < 1.1 * (1 + gamma * SPECTRA[name].max())


def test_exact_pairs_are_removed():
    """γθ_i + 1 goes to 1, all other eigenvalues stay, and Ritz values are exact."""
    d = SPECTRA["geometric"]
    matrix = (Q * d) @ Q.T
    mixed = RNG.normal(size=(K, K)) @ Q.T[-K:]
    known = jitted(
        no_deflation(LIKE, K), jnp.asarray(mixed), jnp.asarray(mixed @ matrix)
    )
    np.testing.assert_allclose(known.values, d[::-1][:K], rtol=1e-10)
    assert np.all(np.asarray(known.residuals) < 1e-9)
    after = spectrum_after(known, matrix, 2.0)
    expected = np.sort(np.r_[np.ones(K), 1 + 2.0 * d[:-K]])
    np.testing.assert_allclose(after, expected, rtol=1e-9)


def test_pairs_accumulate_over_solves():
    """Two harvests know the top better than one; the rows stay orthonormal."""
    matrix = (Q * SPECTRA["geometric"]) @ Q.T
    first, second = krylov(matrix, 5), krylov(matrix, 5)
    one = jitted(no_deflation(LIKE, K), jnp.asarray(first), jnp.asarray(first @ matrix))
    both = jitted(one, jnp.asarray(second), jnp.asarray(second @ matrix))
    values = SPECTRA["geometric"][::-1][:K]
    assert np.all(np.asarray(both.values) <= values + 1e-9)
    assert np.all(both.values[:4] >= one.values[:4])
    assert both.residuals[1] < one.residuals[1]
    vectors, theta = np.asarray(both.vectors), np.asarray(both.values)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(K), atol=1e-9)
    true = np.linalg.norm(vectors @ matrix - theta[:, None] * vectors, axis=1)
    np.testing.assert_allclose(both.residuals, true, rtol=1e-6, atol=1e-8)


def test_old_images_of_a_matrix_that_has_moved_are_found_out():
    """A falls to a half: what is counted on falls, and the spectrum stays near 1."""
    d = SPECTRA["geometric"]
    matrix = (Q * d) @ Q.T
    top = Q.T[-K:]
    known = jitted(no_deflation(LIKE, K), jnp.asarray(top), jnp.asarray(top @ matrix))
    halved = matrix / 2
    stale = spectrum_after(known, halved, 10.0)[0]
    assert stale < 0.6
    p = krylov(halved, 6)
    fresh = jitted(known, jnp.asarray(p), jnp.asarray(p @ halved))
    assert spectrum_after(fresh, halved, 10.0)[0] > 0.8
    x, theta = np.asarray(fresh.vectors), np.asarray(fresh.values)
    true = np.linalg.norm(x @ halved - theta[:, None] * x, axis=1)
    assert np.all(np.asarray(fresh.residuals) >= true)


def test_zero_dependent_and_few_rows_do_no_harm():
    """Rows of zeros, repeated rows and none that is new: the identity on the rest."""
    matrix = (Q * SPECTRA["few"]) @ Q.T
    p = np.zeros((5, N))
    p[0] = p[1] = p[3] = Q.T[0]
    known = jitted(no_deflation(LIKE, K), jnp.asarray(p), jnp.asarray(p @ matrix))
    np.testing.assert_allclose(known.values, [1e4] + [0] * (K - 1), rtol=1e-12)
    x = jnp.asarray(Q.T[5])
    np.testing.assert_allclose(known.precondition(x, 1.0), x, atol=1e-14)
    np.testing.assert_allclose(
        known.precondition(jnp.asarray(Q.T[0]), 1.0), Q.T[0] / (1 + 1e4), rtol=1e-6
    )
    again = jitted(known, jnp.asarray(p), jnp.asarray(p @ matrix))
    np.testing.assert_allclose(again.values, known.values, rtol=1e-12)
    v = jnp.arange(3.0)
    np.testing.assert_allclose(no_deflation(v, 2).precondition(v, 3.0), v)


def test_an_indefinite_operator_keeps_the_preconditioner_positive():
    """Negative Ritz values give way to entries that were not filled."""
    matrix = (Q * np.linspace(-5.0, 5.0, N)) @ Q.T
    p = np.eye(N)[:20]
    known = jitted(no_deflation(LIKE, 20), jnp.asarray(p), jnp.asarray(p @ matrix))
    assert np.min(known.values) == 0 < np.max(known.values)
    dense = jax.vmap(lambda e: known.precondition(e, 1.0))(jnp.eye(N))
    assert np.linalg.eigvalsh(np.asarray(dense))[0] > 0
    assert np.linalg.eigvalsh(np.asarray(dense))[-1] <= 1 + 1e-12


def test_another_inner_product_pytrees_and_vmap():
    """R S in x·R^-1 y: exact pairs are removed; lanes agree with runs of their own."""
    rates = np.r_[np.full(3, 0.1), np.full(3, 4.0)]
    half = RNG.normal(size=(6, 6))
    operator = rates[:, None] * (half @ half.T)

    def weigh(x: Any) -> Any:
        return {"a": x["a"] / 0.1, "b": x["b"] / 4.0}

    def tree(rows: Any) -> Any:
        return {"a": jnp.asarray(rows[:, :3]), "b": jnp.asarray(rows[:, 3:])}

    rows = RNG.normal(size=(2, 6, 6))
    like = {"a": jnp.zeros(3), "b": jnp.zeros(3)}

    def run(p: Any, a: Any) -> Any:
        known = harvest(no_deflation(like, 6, weigh=weigh), p, a, weigh=weigh)
        x = {"a": jnp.ones(3), "b": jnp.arange(3.0)}
        return known, known.precondition(x, 2.0)

    pairs = [(tree(p), tree(p @ operator.T)) for p in rows]
    expected = np.linalg.solve(
        np.eye(6) + 2 * operator, np.r_[np.ones(3), np.arange(3)]
    )
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *pairs)
    together, applied = jax.vmap(run)(*stacked)
    for i, pair in enumerate(pairs):
        known, alone = run(*pair)
        np.testing.assert_allclose(
            np.r_[alone["a"], alone["b"]], expected, rtol=1e-6, atol=1e-9
        )
        np.testing.assert_allclose(together.values[i], known.values, rtol=1e-10)
        np.testing.assert_allclose(applied["a"][i], alone["a"], atol=1e-10)
