"""Architectures whose theory is known, with the limits and bounds it predicts."""

from ._diagonal import DiagonalNet as DiagonalNet
from ._image_files import (
    images_cifar10 as images_cifar10,
    images_fashion_mnist as images_fashion_mnist,
    images_folder as images_folder,
    images_idx as images_idx,
)
from ._images import (
    Images as Images,
    images_digits as images_digits,
    images_mnist as images_mnist,
)
from ._l1 import l1_excess_bound as l1_excess_bound, l1_minimizer as l1_minimizer
from ._limits import DiagonalLimit as DiagonalLimit, diagonal_limit as diagonal_limit
from ._linear_chain import LinearChain as LinearChain
from ._over_parameterization import collapse as collapse, expand as expand
from ._relu import DeepReLU as DeepReLU, TwoLayerReLU as TwoLayerReLU
from ._sparse_regression import (
    SparseRegression as SparseRegression,
    sparse_diabetes as sparse_diabetes,
    sparse_p1 as sparse_p1,
    sparse_random as sparse_random,
)
from ._weight_normalization import WeightNormalized as WeightNormalized
