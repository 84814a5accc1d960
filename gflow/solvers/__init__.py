"""The integrators diffrax lacks, and the choice among all."""

from ._guard import Guard as Guard, GuardState as GuardState
from ._plan import (
    choose as choose,
    controller as controller,
    num_gradients as num_gradients,
)
from ._ready import ready as ready
