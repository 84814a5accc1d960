"""Polynomials modulo a prime, from functions written in jax."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.invariants._polynomials import PRIME, NotPolynomial, Ring

# Integers so small that jax in float64 gives every value exactly.
POINT = np.array([2.0, -3.0, 1.0, 5.0, 4.0, -1.0, 3.0, 2.0, -2.0])
MATRIX = np.array([[1.0, 2.0, -1.0], [0.0, 3.0, 1.0]])

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda w: (w - 2 * w[::-1]) ** 3 - w**2 * 4 + (-w) / 2,
    "product": lambda w: MATRIX @ w @ w[:, :2],
    "inner": lambda w: w[0] @ w[1] + jnp.prod(w[2]),
    "batched": lambda w: jnp.einsum("ij,kij->kj", w, jnp.stack([w, w.T])),
    "reduced": lambda w: jnp.sum(w * w, axis=0) + jnp.mean(w) * 9,
    "indexed": lambda w: w[jnp.array([2, 0]), 1] * w[1:, 0],
    "dynamic": lambda w: jax.lax.dynamic_slice(w, (1, 0), (2, 2)),
    "moved": lambda w: jnp.concatenate([jnp.diag(w), jnp.pad(w[0], 1), w[:, 1]]),
    "chosen": lambda w: jnp.where(np.eye(3) > 0, w, 7.0),
    "mapped": lambda w: jax.vmap(lambda row: jnp.outer(row, row))(w),
    "derived": lambda w: jax.grad(lambda v: jnp.sum(v**2 * v.T))(w),
    "convolved": lambda w: jax.lax.conv(
        jnp.arange(25.0).reshape(1, 1, 5, 5),
        w[None, None, :2, :2] * w[1, 1],
        (2, 2),
        "SAME",
    ),
    "constants": lambda w: w @ jax.jit(jax.nn.relu)(jnp.asarray(MATRIX)).T,
    "untouched": lambda w: jnp.arange(4.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_those_of_the_function(name: str) -> None:
    """At integers a polynomial takes the value that jax computes, modulo the prime."""
    ring, function = Ring(9), FUNCTIONS[name]
    found = ring.run(function, ring.variables.reshape(3, 3))[0]
    expected = np.asarray(function(jnp.asarray(POINT.reshape(3, 3))))
    assert found.shape == expected.shape
    arguments = [int(x) for x in POINT]
    # Halves: 2 f is an integer.
    values = [2 * int(p(*arguments)) % PRIME for p in found.ravel()]
    assert values == [int(2 * x) % PRIME for x in expected.ravel()]


def test_a_polynomial_is_written_in_its_variables() -> None:
    """(x0 + 2 x1)^2 expands."""
    ring = Ring(2)
    found = ring.run(lambda w: (w[0] + 2 * w[1]) ** 2, ring.variables)[0]
    assert str(found.item()) == "x0^2 + 4*x0*x1 + 4*x1^2"


def test_numbers_are_the_rationals_that_they_are() -> None:
    """3/4 times 4 is 3; a third of float64 is not the third."""
    ring = Ring(1)
    assert int(ring.number(0.75).leading_coefficient()) * 4 % PRIME == 3
    assert int(ring.number(1 / 3).leading_coefficient()) * 3 % PRIME != 1


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (jnp.tanh, "tanh"),
        (lambda w: 1 / w, "quotient"),
        (lambda w: w**-2, "power -2"),
        (jax.nn.relu, "custom_jvp_call"),
        (lambda w: w.astype(int).astype(float), "rounding to int"),
        (lambda w: jnp.where(jnp.array([True, False]), w, -jnp.inf), "inf"),
        (lambda w: jax.lax.fori_loop(0, 3, lambda i, c: c * w[0], w), "scan"),
    ],
)
def test_what_is_no_polynomial_is_named(
    function: Callable[[Any], Any], operation: str
) -> None:
    """The error names the operation."""
    ring = Ring(2)
    with pytest.raises(NotPolynomial, match=operation):
        ring.run(function, ring.variables)


def test_a_gather_beyond_the_end_is_no_polynomial() -> None:
    """What it fills in is no entry."""
    ring = Ring(2)
    beyond = jnp.array([5])
    with pytest.raises(NotPolynomial, match="beyond the end"):
        ring.run(
            lambda w: w.at[beyond].get(mode="fill", fill_value=0.0), ring.variables
        )
