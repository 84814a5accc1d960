"""What the kinks do to methods that do not know of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import TwoLayerInstance
from gflow.studies import with_settings
from gflow.studies._two_rates._explicit import explicit, plain_run, sign_changes
from gflow.studies._two_rates._settings import FULL


def one_kink(y: float) -> TwoLayerInstance:
    """One neuron on the data x = 1 and x = -1, both with label y; it begins at 0.1."""
    w0 = {"w": jnp.array([[0.1]]), "a": jnp.array([1.0])}
    return TwoLayerInstance(np.array([[1.0], [-1.0]]), np.array([y, y]), w0)


def test_a_flow_that_slides_is_zigzag_for_fixed_steps() -> None:
    """With y = -1: L = relu(w)a + relu(-w)a + ... pulls w to 0 from both sides.

    For w > 0 the first datum is active: w' = -(aw + 1)a < 0, and by symmetry w' > 0
    for w < 0; so w comes to 0 and stays, while steps of eta cross it each time, after
    the 0.1/eta = 100 or so steps that it takes to get there (less, as |w'| > 1 there,
    while a falls from 1 by less than 0.1).
    """
    changes = sign_changes(one_kink(-1.0), 1e-3, 1000)
    np.testing.assert_array_equal(changes[0], changes[1])
    assert 880 <= changes[0, 0] <= 920


def test_a_flow_that_leaves_its_kink_is_none() -> None:
    """With y = 1 the sign of w is kept: it grows until aw = 1."""
    np.testing.assert_array_equal(sign_changes(one_kink(1.0), 1e-3, 1000), 0)


def test_a_plain_method_is_held_up_where_the_flow_slides() -> None:
    """It stalls at the kink, which the flow comes to at about t = 0.1."""
    held = plain_run(one_kink(-1.0), 300)
    assert held.result.name == "max_steps"
    assert 0.05 < held.ts[-1] < 1.0


@pytest.mark.slow
def test_the_part_measures_what_it_claims() -> None:
    """After 2000 steps it is not where 20,000 bring it; the flow gets there in few."""
    settings = with_settings(FULL, ["explicit_steps=2000", "explicit_eta=1e-3"])
    heard: list[str] = []
    part = explicit(settings, heard.append)
    stall, zigzag = part.claims
    assert len(heard) == 3
    assert stall.holds
    # 20,000 steps come to 0.146.
    assert 0.05 < stall.measured < 0.146
    assert part.dataset is not None
    assert 5 < part.dataset["explicit_filippov_steps"] < 100
    # No pair changes sign more often than there are steps.
    assert part.dataset["explicit_changes"].max() <= 10_000
    assert not zigzag.holds
