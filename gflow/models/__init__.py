"""Architectures whose theory is known, with the limits and bounds it predicts."""

from ._diagonal import DiagonalNet as DiagonalNet
from ._images import Images as Images, images_digits as images_digits
from ._kappa_neutral import kappa_neutral as kappa_neutral
from ._l1 import l1_excess_bound as l1_excess_bound, l1_minimizer as l1_minimizer
from ._limits import DiagonalLimit as DiagonalLimit, diagonal_limit as diagonal_limit
from ._relu import DeepReLU as DeepReLU, TwoLayerReLU as TwoLayerReLU
from ._separable import (
    Separable as Separable,
    separable_gaussian as separable_gaussian,
)
from ._sparse_regression import (
    SparseRegression as SparseRegression,
    sparse_diabetes as sparse_diabetes,
    sparse_p1 as sparse_p1,
    sparse_random as sparse_random,
)
from ._two_rates import (
    INITIALIZATIONS as INITIALIZATIONS,
    LABELS as LABELS,
    TwoLayerInstance as TwoLayerInstance,
    relu_init as relu_init,
    relu_kernel_mean as relu_kernel_mean,
    two_layer_instance as two_layer_instance,
)
from ._weight_normalization import WeightNormalized as WeightNormalized
