"""The integrators diffrax lacks, and the choice among all."""

from ._bdf import BDF as BDF
from ._guard import Guard as Guard, GuardState as GuardState
from ._newton_krylov import NewtonKrylov as NewtonKrylov
from ._plan import (
    choose as choose,
    controller as controller,
    num_gradients as num_gradients,
)
