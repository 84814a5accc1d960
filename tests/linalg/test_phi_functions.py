"""phi-functions: against exact arithmetic and dense eigenvalue problems."""

import math
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.linalg import phi, phi_action

N = 80
RNG = np.random.default_rng(3)
V = jnp.asarray(RNG.normal(size=N))


def exact(order: int, z: float) -> float:
    """The series Σ z^j/(j+p)! in rational arithmetic, which cancels nothing."""
    z_exact, term, total = Fraction(z), Fraction(1, math.factorial(order)), Fraction(0)
    for j in range(1, 400):
        total += term
        term = term * z_exact / (j + order)
    return float(total)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_numbers_lose_no_digits(order: int):
    """Relative error within a few round-offs near 0, at the switch, and far out."""
    zs = np.r_[-50, -7.3, -2 - 1e-9, -2 + 1e-9, -1.1, -1e-3, -1e-9, 0, 1e-8, 0.7, 1.999]
    zs = np.r_[zs, 2.0, 3.1, 20.0]
    values = np.asarray(phi(order, jnp.asarray(zs)))
    np.testing.assert_allclose(values, [exact(order, z) for z in zs], rtol=4e-15)


def test_numbers_in_float32():
    """The type is kept; series and recursion meet within its round-off."""
    zs = jnp.asarray([-30.0, -2.0, -1.9, 0.0, 1.0, 2.5], jnp.float32)
    got = phi(3, zs)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, [exact(3, float(z)) for z in zs], rtol=4e-6)


@partial(jax.jit, static_argnames=("order", "rtol", "steps"))
def run(d: Any, t: Any, order: int, rtol: float = 1e-8, steps: int = 30) -> Any:
    return phi_action(lambda x: d * x, V, t, order, rtol=rtol, num_steps=steps)


SPECTRA = {
    "stable": -np.linspace(0, 1.0, N),
    "gap": -np.r_[np.full(2, 30.0), np.geomspace(1e-4, 1.0, N - 2)],
    "both signs": np.r_[np.linspace(-4.0, 0.3, N)],
    "zero": np.zeros(N),
}


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_action_is_right_and_its_error_bounded(order: int):
    """Within the tolerance; the bound holds; small t and large, with sub-steps."""
    for name, d in SPECTRA.items():
        for t in (0.0, 0.1, 30.0):
            got = run(jnp.asarray(d), t, order)
            true = np.asarray(V) * np.asarray(phi(order, jnp.asarray(t * d)))
            error = np.linalg.norm(np.asarray(got.value) - true)
            size = np.linalg.norm(V)
            assert got.converged, (name, t)
            # 1e-12: round-off of the sub-steps, here ‖tA‖ is up to 900.
            floor = 1e-12 * max(np.linalg.norm(true), size)
            assert error <= float(got.error) + floor, (name, t)
            assert got.error <= 1e-8 * size, (name, t)


def test_products_grow_as_the_root_of_the_norm_and_substeps_are_taken():
    """One space if it is large enough; sub-steps agree with it."""
    d = jnp.asarray(SPECTRA["stable"])
    counts = [int(run(d, t, 1, steps=70).products) for t in (16.0, 64.0, 256.0)]
    assert counts[0] < counts[1] < counts[2] < 4 * counts[0]
    short, long = run(d, 256.0, 1, steps=12), run(d, 256.0, 1, steps=70)
    assert short.products > 12
    assert short.converged
    np.testing.assert_allclose(short.value, long.value, atol=2e-8 * float(jnp.max(V)))


def test_a_budget_too_small_is_told():
    """The error is unknown, and said to be."""
    short = phi_action(
        lambda x: -1e4 * jnp.arange(N) * x, V, 1.0, 1, num_steps=5, max_products=20
    )
    assert not short.converged
    assert jnp.isinf(short.error)


def test_pytrees_the_inner_product_and_vmap():
    """phi_1(-R S) v with rates R against the dense function; lanes as looped."""
    rates = np.r_[np.full(5, 0.1), np.full(5, 3.0)]
    half = RNG.normal(size=(10, 10))
    symmetric, root = half @ half.T, np.sqrt(rates)
    values, q = np.linalg.eigh(-root[:, None] * symmetric * root)
    start = {"a": V[:5], "b": V[5:10]}

    @jax.jit
    def action(t: Any) -> Any:
        def matvec(x: Any) -> Any:
            y = -rates * (symmetric @ jnp.concatenate([x["a"], x["b"]]))
            return {"a": y[:5], "b": y[5:]}

        def weigh(x: Any) -> Any:
            return {"a": x["a"] / 0.1, "b": x["b"] / 3.0}

        return phi_action(matvec, start, t, 1, rtol=1e-10, weigh=weigh)

    times = jnp.asarray([0.01, 1.0, 5.0])
    together = jax.vmap(action)(times)
    for i, t in enumerate(times):
        small = (q * np.asarray(phi(1, t * values))) @ q.T
        true = root * (small @ (np.asarray(V[:10]) / root))
        got = jnp.concatenate([together.value["a"][i], together.value["b"][i]])
        np.testing.assert_allclose(got, true, atol=1e-9)
        alone = action(t)
        assert together.products[i] == alone.products
        np.testing.assert_allclose(together.value["a"][i], alone.value["a"], atol=1e-12)


def test_an_order_that_does_not_exist_is_refused():
    """Only 0 to 3."""
    with pytest.raises(ValueError, match="order must be 0, 1, 2 or 3"):
        phi_action(lambda x: x, V, 1.0, 4)
