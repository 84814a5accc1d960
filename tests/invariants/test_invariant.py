"""Declared invariants."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import gflow as gf


def test_invariant_is_its_value_with_a_statement() -> None:
    """Callable on w; by default it is claimed for gradient flow."""
    law = gf.Invariant(lambda w: w["u"] * w["v"], formula="u v", reference="folklore")
    w = {"u": jnp.array([1.0, 2.0]), "v": jnp.array([3.0, 4.0])}
    np.testing.assert_array_equal(law(w), [3.0, 8.0])
    assert law.formula == "u v"
    assert law.conserved_by == ("GradientFlow",)
    assert law.scale is None
    assert law.reference == "folklore"


def test_data_of_an_invariant_are_leaves() -> None:
    """With other data in a `Partial` it is the same program."""
    traces: list[int] = []

    def weighted(weight: jnp.ndarray, w: jnp.ndarray) -> jnp.ndarray:
        traces.append(0)
        return weight @ w

    measure = eqx.filter_jit(lambda law, w: law(w))
    for scale in (1.0, 2.0):
        law = gf.Invariant(eqx.Partial(weighted, jnp.full(2, scale)), formula="z w")
        assert float(measure(law, jnp.array([1.0, 2.0]))) == 3 * scale
    assert len(traces) == 1
