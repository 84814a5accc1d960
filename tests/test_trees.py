"""Pytree vector-space operations."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow import _trees as trees


class _Module(eqx.Module):
    weight: Any
    activation: Any = eqx.field(static=True)


def test_split_takes_floats_of_every_kind_and_leaves_the_rest() -> None:
    """Arrays, numpy arrays and numbers move; None, booleans and functions do not."""
    w = {
        "net": _Module(jnp.ones(2), jnp.tanh),
        "numbers": (0.5, np.float32(2.0), np.ones((1, 2), np.float32)),
        "rest": [None, True, jnp.tanh, "name"],
    }
    params, static = trees.split(w)
    kinds = [(x.shape, str(x.dtype)) for x in jax.tree.leaves(params)]
    assert kinds == [
        ((2,), "float64"),
        ((), "float64"),
        ((), "float32"),
        ((1, 2), "float32"),
    ]
    assert params["rest"] == [None] * 4
    whole = eqx.combine(params, static)
    assert whole["rest"] == w["rest"]
    assert whole["net"].activation is jnp.tanh


@pytest.mark.parametrize("leaf", [1, np.arange(2), jnp.arange(2), np.uint8(1)])
def test_split_refuses_integers_by_name(leaf: Any) -> None:
    """An integer parameter cannot move: it is named by its path."""
    with pytest.raises(TypeError, match=r"\['a'\]\[1\] is integer"):
        trees.split({"a": (jnp.ones(2), leaf), "b": 1.0})


@pytest.mark.parametrize("leaf", [1j, jnp.ones(2, complex)])
def test_split_refuses_complex_numbers_by_name(leaf: Any) -> None:
    """Gradient flow is of real parameters."""
    with pytest.raises(TypeError, match=r"\['a'\] is complex"):
        trees.split({"a": leaf, "b": 1.0})


def test_split_needs_something_that_moves() -> None:
    """A tree without a floating-point leaf is no starting point."""
    with pytest.raises(TypeError, match="no floating-point array"):
        trees.split({"a": None, "b": jnp.tanh})


def test_inner_product_and_norm_run_over_all_leaves() -> None:
    """⟨a, b⟩ = 1·2 + 2·1 + 3·5 = 19; ‖a‖² = 1 + 4 + 9 = 14."""
    a = {"x": jnp.array([1.0, 2.0]), "y": (jnp.array(3.0), None)}
    b = {"x": jnp.array([2.0, 1.0]), "y": (jnp.array(5.0), None)}
    assert float(trees.inner(a, b)) == 19.0
    np.testing.assert_allclose(trees.norm(a), np.sqrt(14), rtol=1e-15)
    assert trees.size(a) == 3


def test_dtype_is_the_one_that_holds_every_leaf() -> None:
    """float32 beside float64 is float64; alone it stays."""
    narrow = jnp.ones(1, jnp.float32)
    assert trees.dtype({"a": narrow}) == np.float32
    assert trees.dtype({"a": narrow, "b": jnp.ones(1)}) == np.float64


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_seen(bad: float) -> None:
    """In any leaf, anywhere; an empty tree is finite."""
    good = {"a": jnp.zeros(3), "b": jnp.zeros(())}
    assert bool(trees.all_finite(good))
    assert bool(trees.all_finite({}))
    assert not bool(trees.all_finite({**good, "a": jnp.array([0.0, bad, 0.0])}))


@pytest.mark.parametrize("first", [True, False])
def test_where_takes_one_tree_or_the_other(first: bool) -> None:
    """Whole, whatever its structure; what is not there stays away."""
    a, b = ({"x": jnp.full(2, c), "y": (jnp.asarray(c), None)} for c in (1.0, 2.0))
    assert eqx.tree_equal(trees.where(jnp.asarray(first), a, b), a if first else b)


def test_a_prefix_scales_each_group_in_its_own_type() -> None:
    """2 for all of u and 3 for v, in single precision where the leaf is."""
    u = (jnp.ones(2), jnp.ones((), jnp.float32))
    out = trees.scaled({"u": 2.0, "v": jnp.asarray(3.0)}, {"u": u, "v": jnp.ones(1)})
    assert eqx.tree_equal(
        out,
        {
            "u": (jnp.full(2, 2.0), jnp.asarray(2.0, jnp.float32)),
            "v": jnp.full(1, 3.0),
        },
    )
