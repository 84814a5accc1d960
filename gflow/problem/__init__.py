"""What is minimized and in which geometry."""

from ._metric import Metric as Metric, Rates as Rates
from ._objective import Objective as Objective
from ._problem import Problem as Problem
from ._risk import EmpiricalRisk as EmpiricalRisk, half_sum_squares as half_sum_squares
