"""Continuous-time laws of motion."""

from ._flow import Flow as Flow
from ._gradient import GradientFlow as GradientFlow
