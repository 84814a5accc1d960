"""What is minimized and in which geometry."""

from ._gated import Gated as Gated
from ._kinked_objective import (
    KinkedObjective as KinkedObjective,
    checked_slopes as checked_slopes,
)
from ._kinks import (
    Activate as Activate,
    DenseNormals as DenseNormals,
    Kinks as Kinks,
    Normals as Normals,
    activation as activation,
    gate as gate,
    take as take,
)
from ._margin import (
    exponential_loss as exponential_loss,
    logistic_loss as logistic_loss,
)
from ._metric import Metric as Metric, Rates as Rates, as_metric as as_metric
from ._mirror import Mirror as Mirror
from ._objective import Objective as Objective
from ._piecewise import PiecewiseModel as PiecewiseModel
from ._problem import Problem as Problem
from ._risk import (
    EmpiricalRisk as EmpiricalRisk,
    half_sum_squares as half_sum_squares,
    mean_squares as mean_squares,
)
