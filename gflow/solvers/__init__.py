"""The integrators diffrax lacks, and the choice among all."""

from ._counting import CountingSolver as CountingSolver, Work as Work
from ._guard import Guard as Guard, GuardState as GuardState
from ._plan import (
    choose as choose,
    controller as controller,
    num_gradients as num_gradients,
)
from ._rkc import RKC as RKC
from ._rock4 import ROCK4 as ROCK4
