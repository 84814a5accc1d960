"""Per-group rates."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.problem import Rates

W = {"u": (jnp.ones(2), jnp.ones(())), "v": jnp.ones(1, jnp.float32)}


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (2.0, [2.0, 2.0, 2.0]),
        ({"u": 3.0, "v": 0.0}, [3.0, 3.0, 0.0]),
        ({"u": (1.0, 5.0), "v": 2}, [1.0, 5.0, 2.0]),
    ],
)
def test_one_rate_serves_a_whole_subtree(prefix: Any, expected: list[float]) -> None:
    """The rate of a leaf is that of the prefix above it; dtypes are kept."""
    metric = Rates(prefix)
    metric.check(W)
    scaled = metric.inverse_apply(W, W)
    assert [float(np.max(x)) for x in jax.tree.leaves(scaled)] == expected
    assert scaled["v"].dtype == np.float32


@pytest.mark.parametrize("prefix", [{"u": 1.0}, {"u": (1.0,), "v": 1.0}, [1.0, 1.0]])
def test_rates_that_are_no_prefix_are_told(prefix: Any) -> None:
    """Both structures are named."""
    with pytest.raises(ValueError, match="must be a tree prefix of w0"):
        gf.Objective(lambda w: jnp.sum(w["v"]), rates=prefix).split(W)


@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf])
def test_a_rate_is_finite_and_not_negative(rate: Any) -> None:
    """Negative, NaN and infinite rates are named by their place."""
    with pytest.raises(ValueError, match=r"rates\['u'\] must be one finite number"):
        Rates({"u": rate, "v": 1.0})
