"""The evidence for laws that were found, and which of them are independent."""

import jax
import numpy as np

from gflow.invariants._basis import Block, Term
from gflow.invariants._drive import drive
from gflow.invariants._law import Law
from gflow.invariants._search import RTOL, flow_drift, search

LEAVES = [Block("u", (), 0), Block("v", (), 1)]
U2, V2, UV = Term(((0, 2),)), Term(((1, 2),)), Term(((0, 1), (1, 1)))
DRIVE = drive(lambda w: w["u"] * w["v"], {"u": 100.0, "v": -0.1}, None, None)


def test_drift_tells_laws_from_others() -> None:
    """u² - v² stays to the tolerance of the flow, u² + v² does not."""
    key = jax.random.key(0)
    near = drive(lambda w: w["u"] * w["v"], {"u": 1.0, "v": -0.5}, None, None)
    with jax.enable_x64(True):
        law, other = (Law.of({U2: 1.0, V2: s}, LEAVES) for s in (-1.0, 1.0))
        assert flow_drift(near, [law], key) < 10 * RTOL
        assert flow_drift(near, [law, other], key) > 1e-3
        assert np.isnan(flow_drift(near, [], key))


def test_functions_of_laws_are_counted_apart() -> None:
    """Of u² - v² and its square the first, whose terms are simpler."""
    square = [Term(((0, 4),)), Term(((1, 4),)), Term(((0, 2), (1, 2)))]
    with jax.enable_x64(True):
        found = search(DRIVE, LEAVES, [*square, UV, U2, V2], jax.random.key(0))
    assert [law.formula for law in found.laws] == ["u^2 - v^2"]
    assert found.num_dependent == 1
    assert found.residual < 1e-12
    assert found.gap > 1e6
