"""What the energy balance says of a run."""

import numpy as np
import pytest

from gflow import Outcome
from gflow.trajectory._evidence import balanced

_LOSSES = np.array([10.0, 6.0, 2.0])


@pytest.mark.parametrize(
    ("is_rough", "excess", "kept"),
    [
        (False, 0.09, True),
        (False, 0.3, False),
        (True, 0.3, True),
        (True, 0.7, False),
        (True, -0.09, True),
        (True, -0.2, False),
    ],
)
def test_only_slides_excuse_an_excess_of_energy(
    is_rough: bool, excess: float, kept: bool
) -> None:
    """Energy dropped and more, as shares of a drop of 8: to 0.1, along kinks to 0.6.

    However the run ended, at its end or at a stop.
    """
    energies = (1 + excess) * (_LOSSES[0] - _LOSSES)
    for outcome in (Outcome.reached_roughly, Outcome.loss_reached):
        end = outcome, ""
        found, _ = balanced(end, _LOSSES, energies, 1e-3, is_rough=is_rough)
        assert found is (outcome if kept else Outcome.unbalanced)
