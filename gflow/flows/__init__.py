"""Continuous-time laws of motion."""

from ._flow import Flow as Flow
from ._gradient import FlowState as FlowState, GradientFlow as GradientFlow
