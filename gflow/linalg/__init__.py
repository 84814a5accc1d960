"""Matrix-free linear algebra."""

from ._conjugate_gradient import (
    ConjugateGradient as ConjugateGradient,
    conjugate_gradient as conjugate_gradient,
)
from ._spectral_preconditioner import (
    SpectralPreconditioner as SpectralPreconditioner,
)
