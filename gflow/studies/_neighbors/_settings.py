"""What the study of neighbors can be asked."""

import dataclasses

from .._config import Config, option


@dataclasses.dataclass(frozen=True)
class Settings(Config):
    """Settings; the defaults are the smoke scale."""

    igr_etas: tuple[float, ...] = option(
        (0.04, 0.02, 0.01, 0.005), help="step sizes eta", above=0, at_most=0.1
    )
    flat_depths: tuple[int, ...] = option(
        (2, 3), help="layers of the factorization", at_least=2, at_most=8
    )
    flat_dim: int = option(3, help="rows of the matrix", at_least=2, at_most=20)
    sharp_depths: tuple[int, ...] = option(
        (2, 4), help="depths of the diagonal net", at_least=2, at_most=5
    )
    sharp_alphas: tuple[float, ...] = option(
        (0.1, 0.03, 0.01), help="initial scales, falling", above=0, at_most=0.2
    )
    bn_samples: int = option(6, help="data under batch normalization", at_least=3)
    bn_dim: int = option(10, help="their dimension, at least their number", at_least=3)
    bn_norm: float = option(3.0, help="length of the initial weights", above=0)
    bn_t1: float = option(1e6, help="horizon, in units of flow time", above=1e4)
    leaky_samples: int = option(6, help="nearly orthogonal data", at_least=4)
    leaky_width: int = option(8, help="leaky units, even", at_least=4)
    leaky_slope: float = option(0.5, help="their slope below 0", above=0, below=1)
    leaky_scale: float = option(1e-6, help="size of initial weights", above=0, below=1)
    neuron_dim: int = option(5, help="dimension, and number of data", at_least=2)
    neuron_width: int = option(10, help="ReLU units", at_least=2)
    neuron_scales: tuple[float, ...] = option(
        (1e-2, 1e-3, 1e-4), help="sizes of the initial weights", above=0, below=1
    )
    spline_widths: tuple[int, ...] = option(
        (100, 400, 1600), help="units of random nets", at_least=20
    )
    spline_flow_widths: tuple[int, ...] = option(
        (400,), help="units of those that are trained", at_least=20
    )
    spline_seeds: int = option(16, help="draws of the first layer", at_least=4)
    spline_decay: float = option(1e-3, help="weight decay mu", above=0)
    tuning_widths: tuple[int, ...] = option(
        (32, 128, 512), help="units of the fine-tuned net", at_least=8
    )
    tuning_seeds: int = option(6, help="draws of its weights", at_least=2)
    momentum_width: int = option(64, help="units of the net with momentum", at_least=8)
    momentum_t1: float = option(400.0, help="horizon for momentum", above=50)
    decay_rates: tuple[float, ...] = option(
        (0.1, 0.3), help="weight decay lambda", at_least=0, at_most=1
    )
    sgd_dim: int = option(5, help="features of the regression", at_least=1)
    sgd_eta: float = option(0.1, help="step size of SGD", above=0)
    sgd_noise: float = option(0.5, help="standard deviation of the noise", above=0)
    sgd_runs: int = option(400, help="independent runs of SGD", at_least=20)
    sgd_steps: int = option(2000, help="steps of SGD", at_least=200)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sharp_alphas", "neuron_scales", "spline_widths", "tuning_widths"):
            if len(getattr(self, name)) < 2:
                raise ValueError(f"{name} must have two values: a slope is fitted")
        if len(self.igr_etas) < 2:
            raise ValueError("igr_etas must have two values: a slope is fitted")
        if self.bn_dim < self.bn_samples:
            raise ValueError("bn_dim must be at least bn_samples: equal margins exist")
        if self.leaky_width % 2:
            raise ValueError("leaky_width must be even: as many units of each sign")
        if self.sharp_alphas != tuple(sorted(self.sharp_alphas, reverse=True)):
            raise ValueError("sharp_alphas must fall")
        # E|x|² xxᵀ ≤ R² H with R² = tr H + 2 max h, h from 1 down to 0.2.
        if self.sgd_eta * (0.6 * self.sgd_dim + 2) >= 1:
            raise ValueError(
                f"sgd_eta must be below {1 / (0.6 * self.sgd_dim + 2):.3g}: "
                "beyond, the bound does not hold"
            )


SMOKE = Settings()
FULL = Settings(
    flat_depths=(2, 3, 4, 5),
    flat_dim=5,
    sharp_depths=(2, 3, 4, 5),
    sharp_alphas=(0.1, 0.03, 0.01, 0.003),
    leaky_samples=20,
    leaky_width=50,
    neuron_width=50,
    neuron_scales=(1e-1, 1e-2, 1e-3, 1e-4),
    spline_widths=(100, 400, 1600, 6400),
    spline_flow_widths=(100, 1600),
    spline_seeds=64,
    tuning_widths=(32, 128, 512, 2048),
    tuning_seeds=8,
    momentum_width=256,
    decay_rates=(0.05, 0.1, 0.3),
    sgd_runs=2000,
    sgd_steps=5000,
)
