"""The integrators diffrax lacks, and the choice among all."""

from ._auto import Auto as Auto, Choice as Choice, Look as Look, Probe as Probe
from ._balance import Balance as Balance
from ._bdf import BDF as BDF
from ._counting import (
    CountingSolver as CountingSolver,
    Reported as Reported,
    Reporting as Reporting,
    Work as Work,
)
from ._filippov import Filippov as Filippov, FilippovState as FilippovState
from ._guard import Guard as Guard, GuardState as GuardState
from ._newton_krylov import NewtonKrylov as NewtonKrylov
from ._plan import (
    Evaluations as Evaluations,
    choose as choose,
    controller as controller,
    has_symmetric_derivative as has_symmetric_derivative,
    local_tolerances as local_tolerances,
    num_evaluations as num_evaluations,
)
from ._ready import ready as ready
from ._rkc import RKC as RKC
from ._rock4 import ROCK4 as ROCK4
