"""Continuous-time laws of motion."""

from ._clock import (
    ArcLength as ArcLength,
    Clock as Clock,
    LogTime as LogTime,
    LossTime as LossTime,
)
from ._clocked import (
    Clocked as Clocked,
    ClockedState as ClockedState,
    clocked as clocked,
)
from ._flow import Flow as Flow
from ._gradient import FlowState as FlowState, GradientFlow as GradientFlow
from ._modified import ModifiedFlow as ModifiedFlow
from ._momentum import (
    HeavyBall as HeavyBall,
    MomentumState as MomentumState,
    Nesterov as Nesterov,
)
