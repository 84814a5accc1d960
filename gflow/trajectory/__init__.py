"""What a run leaves behind: the trajectory, what to save, when to stop."""

from ._companion import (
    COMPANION_RATIO as COMPANION_RATIO,
    with_error as with_error,
    without_error as without_error,
)
from ._error import ErrorEstimate as ErrorEstimate
from ._evidence import (
    BALANCE_SHARE as BALANCE_SHARE,
    BALANCE_TOLERANCES as BALANCE_TOLERANCES,
    relative_tolerance as relative_tolerance,
)
from ._progress import (
    FIRST_BUDGET as FIRST_BUDGET,
    ProgressLine as ProgressLine,
    next_budget as next_budget,
    stage_line as stage_line,
)
from ._record import (
    Measurement as Measurement,
    Record as Record,
    check_invariants as check_invariants,
    end_at_start as end_at_start,
    named as named,
    value_and_scale as value_and_scale,
)
from ._save import Save as Save, next_window as next_window
from ._stops import (
    Budget as Budget,
    Diverged as Diverged,
    LocatedStop as LocatedStop,
    LossBelow as LossBelow,
    MaxSteps as MaxSteps,
    Stationary as Stationary,
    Stop as Stop,
    Target as Target,
    WallClock as WallClock,
    Watch as Watch,
    check_kind as check_kind,
)
from ._trajectory import (
    Drift as Drift,
    Origin as Origin,
    Plan as Plan,
    Trajectory as Trajectory,
    assemble as assemble,
    conclude as conclude,
    measure_drift as measure_drift,
)
