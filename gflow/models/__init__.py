"""Architectures whose theory is known, with the limits and bounds it predicts."""

from ._batch_norm import BatchNormLinear as BatchNormLinear
from ._curves import (
    Curve as Curve,
    curve_autompg as curve_autompg,
    curve_okuno as curve_okuno,
    with_outliers as with_outliers,
)
from ._deep_linear import (
    DeepLinear as DeepLinear,
    MatrixCompletion as MatrixCompletion,
    mode_strength as mode_strength,
)
from ._diagonal import DiagonalNet as DiagonalNet
from ._domain import (
    Ball as Ball,
    Box as Box,
    Domain as Domain,
    Interval as Interval,
    SampledDomain as SampledDomain,
)
from ._feature_net import FeatureNet as FeatureNet, gram_matrix as gram_matrix
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
from ._integral_penalty import (
    IntegralPenalty as IntegralPenalty,
    Integrand as Integrand,
    residual_penalty as residual_penalty,
    total_variation as total_variation,
)
from ._kappa_neutral import kappa_neutral as kappa_neutral
from ._l1 import l1_excess_bound as l1_excess_bound, l1_minimizer as l1_minimizer
from ._limits import DiagonalLimit as DiagonalLimit, diagonal_limit as diagonal_limit
from ._linear_chain import LinearChain as LinearChain
from ._linearized import Linearized as Linearized
from ._matrix_regression import (
    MatrixRegression as MatrixRegression,
    matrix_regression as matrix_regression,
)
from ._operator import LinearOperator as LinearOperator
from ._over_parameterization import collapse as collapse, expand as expand
from ._regression import (
    BlockRidge as BlockRidge,
    GradientEstimator as GradientEstimator,
    PenalizedRegression as PenalizedRegression,
)
from ._relu import DeepReLU as DeepReLU, TwoLayerReLU as TwoLayerReLU
from ._relu_kernel import relu_kernel_mean as relu_kernel_mean
from ._separable import Separable as Separable, separable_gaussian as separable_gaussian
from ._smooth_net import (
    ShallowNet as ShallowNet,
    SmoothMLP as SmoothMLP,
    softplus as softplus,
)
from ._smoothing_spline import (
    SmoothingSpline as SmoothingSpline,
    smoothing_spline as smoothing_spline,
)
from ._sparse_regression import (
    SparseRegression as SparseRegression,
    sparse_diabetes as sparse_diabetes,
    sparse_p1 as sparse_p1,
    sparse_random as sparse_random,
)
from ._spline_net import RandomReLU1D as RandomReLU1D
from ._taylor import (
    Partials as Partials,
    directional_derivatives as directional_derivatives,
)
from ._two_rates import (
    RELU_INITIALIZATIONS as RELU_INITIALIZATIONS,
    TWO_LAYER_LABELS as TWO_LAYER_LABELS,
    TwoLayerInstance as TwoLayerInstance,
    relu_init as relu_init,
    two_layer_instance as two_layer_instance,
)
from ._weight_normalization import WeightNormalized as WeightNormalized
