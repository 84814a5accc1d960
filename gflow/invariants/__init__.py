"""What should not change along a flow."""

from ._catalogue import CATALOGUE as CATALOGUE
from ._chains import chain_invariants as chain_invariants
from ._count import LawCount as LawCount, count as count
from ._deep_linear import deep_linear_invariants as deep_linear_invariants
from ._diagonal import diagonal_invariants as diagonal_invariants
from ._discover import Discovery as Discovery, discover as discover
from ._drift import drift as drift
from ._entry import Catalogue as Catalogue, Entry as Entry
from ._example import Example as Example
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
from ._relu import relu_invariants as relu_invariants
