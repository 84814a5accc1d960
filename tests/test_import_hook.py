"""The tests check shapes: a wrong one fails where the function is called."""

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

import gflow as gf


def test_wrong_shape_is_caught_on_return():
    """A loss that is not a scalar breaks the annotation of `Problem.loss`."""
    problem = gf.Objective(lambda w: w**2)
    with pytest.raises(TypeCheckError, match="loss"):
        problem.loss(jnp.ones(3))


def test_wrong_shape_is_caught_on_entry():
    """`half_sum_squares` wants arrays, and a list is none."""
    from gflow.problem import half_sum_squares

    with pytest.raises(TypeCheckError, match="predictions"):
        half_sum_squares([1.0], jnp.ones(1))  # pyright: ignore[reportArgumentType]
