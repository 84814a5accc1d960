"""What a theorist measures on a trajectory."""

from ._lojasiewicz import (
    Lojasiewicz as Lojasiewicz,
    Rate as Rate,
    lojasiewicz as lojasiewicz,
    rate as rate,
)
from ._margin_rate import MarginRate as MarginRate, margin_rate as margin_rate
from ._rank import (
    rank_effective as rank_effective,
    rank_numerical as rank_numerical,
    rank_roy_vetterli as rank_roy_vetterli,
    rank_stable as rank_stable,
)
from ._singular_dynamics import (
    SingularDynamics as SingularDynamics,
    singular_dynamics as singular_dynamics,
)
from ._tangent_kernel import (
    activation_flips as activation_flips,
    frozen_residual as frozen_residual,
    tangent_kernel as tangent_kernel,
    tangent_kernel_drift as tangent_kernel_drift,
)
