"""The integrators diffrax lacks, and the choice among all."""

from ._counting import CountingSolver as CountingSolver, Work as Work
from ._filippov import Filippov as Filippov, FilippovState as FilippovState
from ._guard import Guard as Guard, GuardState as GuardState
from ._plan import (
    choose as choose,
    controller as controller,
    num_gradients as num_gradients,
)
