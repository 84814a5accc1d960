"""Architectures whose theory is known, with the limits and bounds it predicts."""

from ._batch_norm import BatchNormLinear as BatchNormLinear
from ._diagonal import DiagonalNet as DiagonalNet
from ._images import Images as Images, images_digits as images_digits
from ._l1 import l1_excess_bound as l1_excess_bound, l1_minimizer as l1_minimizer
from ._limits import DiagonalLimit as DiagonalLimit, diagonal_limit as diagonal_limit
from ._linearized import Linearized as Linearized
from ._relu import DeepReLU as DeepReLU, TwoLayerReLU as TwoLayerReLU
from ._sparse_regression import (
    SparseRegression as SparseRegression,
    sparse_diabetes as sparse_diabetes,
    sparse_p1 as sparse_p1,
    sparse_random as sparse_random,
)
from ._spline_net import (
    RandomReLU1D as RandomReLU1D,
    smoothing_spline as smoothing_spline,
)
from ._weight_normalization import WeightNormalized as WeightNormalized
