"""Matrix-free linear algebra, for operators symmetric in an inner product.

An operator is a function `matvec` from a pytree of floating-point arrays to one of the
same structure. `lanczos`, `eigenpairs`, `spectral_radius` and `phi_action` take
`weigh`, x -> M x, for an operator that is symmetric in the inner product x·M y instead
of x·y; `trace_estimate` depends on none, and `phi` is of numbers.

`ConjugateGradient`, `conjugate_gradient` and `SpectralPreconditioner` are for flat
vectors, in the inner product Σ weights x y with `weights` a number or one for each
entry. All run under `jit` and `vmap`.
"""

from ._conjugate_gradient import (
    ConjugateGradient as ConjugateGradient,
    conjugate_gradient as conjugate_gradient,
)
from ._eigenpairs import Eigenpairs as Eigenpairs, eigenpairs as eigenpairs
from ._lanczos import Lanczos as Lanczos, lanczos as lanczos
from ._phi_functions import (
    PhiAction as PhiAction,
    phi as phi,
    phi_action as phi_action,
)
from ._spectral_preconditioner import (
    SpectralPreconditioner as SpectralPreconditioner,
)
from ._spectral_radius import (
    SpectralRadius as SpectralRadius,
    spectral_radius as spectral_radius,
)
from ._trace import TraceEstimate as TraceEstimate, trace_estimate as trace_estimate
