"""What a run leaves behind: the trajectory, what to save, when to stop."""

from ._progress import ProgressLine as ProgressLine
from ._record import Measurement as Measurement, Record as Record
from ._save import Save as Save
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
)
from ._trajectory import (
    Drift as Drift,
    Origin as Origin,
    Plan as Plan,
    Trajectory as Trajectory,
    assemble as assemble,
)
