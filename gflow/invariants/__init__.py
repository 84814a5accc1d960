"""What should not change along a flow."""

from ._catalogue import CATALOGUE as CATALOGUE
from ._chains import chain_invariants as chain_invariants
from ._count import LawCount as LawCount, count as count
from ._deep_linear import deep_linear_invariants as deep_linear_invariants
from ._diagonal import diagonal_invariants as diagonal_invariants
from ._discover import Discovery as Discovery, discover as discover
from ._drift import drift as drift
from ._drift_order import DriftOrder as DriftOrder, drift_order as drift_order
from ._entry import Catalogue as Catalogue, Entry as Entry
from ._example import Example as Example
from ._generators import (
    generator_of as generator_of,
    mixing as mixing,
    scaling as scaling,
    translation as translation,
)
from ._inspect import (
    invariants_of as invariants_of,
    softmax_invariants as softmax_invariants,
)
from ._invariant import Invariant as Invariant
from ._law import Law as Law
from ._laws import Laws as Laws
from ._mend import Mended as Mended
from ._momentum_laws import (
    MomentumLaw as MomentumLaw,
    angular_momentum as angular_momentum,
    energy_law as energy_law,
    shift_momentum as shift_momentum,
)
from ._projected import Projected as Projected
from ._relu import relu_invariants as relu_invariants
from ._symmetry import Symmetry as Symmetry, symmetry as symmetry
from ._verify import (
    Verification as Verification,
    Verified as Verified,
    verify as verify,
)
