"""What the energy balance says of a run."""

import numpy as np
import pytest

from gflow import Outcome
from gflow.trajectory._evidence import balanced

_LOSSES = np.array([10.0, 6.0, 2.0])


@pytest.mark.parametrize(
    ("outcome", "excess", "kept"),
    [
        (Outcome.reached_end, 0.09, True),
        (Outcome.reached_end, 0.3, False),
        (Outcome.reached_roughly, 0.3, True),
        (Outcome.reached_roughly, 0.7, False),
        (Outcome.reached_roughly, -0.09, True),
        (Outcome.reached_roughly, -0.2, False),
    ],
)
def test_only_slides_excuse_an_excess_of_energy(
    outcome: Outcome, excess: float, kept: bool
) -> None:
    """Energy dropped and more, as shares of a drop of 8: to 0.1, along kinks to 0.6."""
    energies = (1 + excess) * (_LOSSES[0] - _LOSSES)
    found, _ = balanced((outcome, ""), _LOSSES, energies, 1e-3)
    assert found is (outcome if kept else Outcome.unbalanced)
