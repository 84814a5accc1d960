"""What the weight-normalization study can be asked."""

import dataclasses

from .._config import Config, option


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    """Settings; the defaults are the smoke scale."""

    alphas: tuple[float, ...] = option(
        (0.001, 0.01, 0.1, 0.2), help="initial scales alpha, w0 = alpha", above=0
    )
    kappas: tuple[float, ...] = option(
        (0.5, 1.0, 5.0, 10.0), help="rate ratios kappa, angular over radial", above=0
    )
    depths: tuple[int, ...] = option(
        (2, 3), help="depths L of the maps", at_least=2, at_most=6
    )
    sparsities: tuple[int, ...] = option(
        (2, 5), help="nonzero entries of the true vector, on the maps", at_least=1
    )
    map_alphas: tuple[float, ...] = option(
        (0.01, 0.1, 0.3), help="initial scales of the maps, x0 = alpha^2", above=0
    )
    map_kappas: tuple[float, ...] = option(
        (0.5, 10.0), help="rate ratios kappa of the maps", above=0
    )
    map_max_steps: int = option(
        2000, help="steps a flow of the maps may take", at_least=100
    )
    recovered: float = option(
        0.01, help="relative error below which a vector counts as found", above=0
    )
    alpha: float = option(0.1, help="initial scale where one is used", above=0)
    kappa: float = option(5.0, help="rate ratio where one is used", above=0)
    num_features: int = option(40, help="N of the random instances", at_least=2)
    num_samples: int = option(20, help="M of the random instances", at_least=1)
    num_instances: int = option(1, help="random instances a cell", at_least=1)
    diabetes_samples: int = option(16, help="training patients", at_least=2, at_most=64)
    diabetes_alphas: tuple[float, ...] = option(
        (0.2, 0.5), help="initial scales on the diabetes data", above=0
    )
    diabetes_kappa: float = option(
        20.0, help="kappa times the least l1 norm, on the diabetes data", above=0
    )
    separable_dim: int = option(5, help="unknowns of the classifier", at_least=1)
    separable_samples: int = option(30, help="examples to classify", at_least=1)
    separable_margin: float = option(
        0.2, help="least distance of an example from the true hyperplane", above=0
    )
    separable_depths: tuple[int, ...] = option(
        (1,), help="depths of the classifier", at_least=1, at_most=6
    )
    separable_t1: float = option(
        1e30, help="horizon of classification, in units of flow time", at_least=1e12
    )
    every_kind: bool = option(
        False, help="also layerwise, separate and exponential normalization"
    )
    t1: float = option(1e13, help="horizon, in units of flow time", above=0)
    residual: float = option(
        1e-12,
        help="relative residual at which a run to the limit stops",
        above=0,
        below=1e-3,
    )
    coarse_residual: float = option(
        1e-6,
        help="the same on random instances and the diabetes data",
        above=0,
        below=1e-3,
    )
    rtol: float = option(1e-6, help="relative tolerance to the limit", above=0)
    law_rtol: float = option(1e-11, help="relative tolerance for the laws", above=0)
    eta: float = option(0.01, help="step size of gradient descent", above=0)
    max_descent_steps: int = option(
        300_000, help="steps gradient descent may take", at_least=1
    )
    max_steps: int = option(100_000, help="steps a run may take", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if max(self.sparsities) > self.num_features:
            raise ValueError(
                f"sparsities must be at most num_features = {self.num_features}"
            )
        if self.num_samples >= self.num_features:
            raise ValueError(
                "num_samples must be below num_features: nothing to select"
            )


SMOKE = Settings()
FULL = Settings(
    depths=(2, 3, 4),
    sparsities=(1, 2, 3, 5, 8),
    map_alphas=(0.001, 0.01, 0.03, 0.1, 0.2, 0.4),
    map_kappas=(0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0),
    map_max_steps=4000,
    num_instances=5,
    diabetes_samples=20,
    diabetes_alphas=(0.001, 0.01, 0.1, 0.3),
    separable_depths=(1, 2, 3),
    every_kind=True,
)
