"""Architectures whose theory is known, with the limits and bounds it predicts."""

from ._deep_linear import (
    DeepLinear as DeepLinear,
    MatrixCompletion as MatrixCompletion,
    mode_strength as mode_strength,
)
from ._diagonal import DiagonalNet as DiagonalNet
from ._feature_net import FeatureNet as FeatureNet, gram_matrix as gram_matrix
from ._images import Images as Images, images_digits as images_digits
from ._l1 import l1_excess_bound as l1_excess_bound, l1_minimizer as l1_minimizer
from ._limits import DiagonalLimit as DiagonalLimit, diagonal_limit as diagonal_limit
from ._matrix_regression import (
    MatrixRegression as MatrixRegression,
    matrix_regression as matrix_regression,
)
from ._relu import DeepReLU as DeepReLU, TwoLayerReLU as TwoLayerReLU
from ._sparse_regression import (
    SparseRegression as SparseRegression,
    sparse_diabetes as sparse_diabetes,
    sparse_p1 as sparse_p1,
    sparse_random as sparse_random,
)
from ._weight_normalization import WeightNormalized as WeightNormalized
