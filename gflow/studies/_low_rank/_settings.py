"""What the low-rank study can be asked."""

import dataclasses

from .._config import option
from ._classification_settings import FULL_CLASSIFICATION, ClassificationSettings

_METHODS = (
    "flow",
    "gradient descent",
    "nesterov",
    "adam",
    "l-bfgs",
    "cma-es",
    "random search",
)
_ACTIVATIONS = ("linear", "relu", "leaky_relu", "tanh", "gelu", "selu", "sine")
_SCHEMES = ("normal", "uniform", "kaiming", "orthogonal")


@dataclasses.dataclass(frozen=True)
class Settings(ClassificationSettings):
    """Settings; the defaults are the smoke scale."""

    num_draws: int = option(400, help="random products at each depth", at_least=8)
    limit_sizes: tuple[int, ...] = option(
        (16, 32, 64, 128), help="sizes n of the limit of rank - log n", at_least=2
    )
    embedding_depths: tuple[int, ...] = option(
        (1, 2, 4, 8, 16), help="depths of the nets that embed", at_least=1, at_most=64
    )
    activations: tuple[str, ...] = option(
        ("linear", "relu", "tanh", "gelu"),
        help="activations of the nets that embed",
        choices=_ACTIVATIONS,
    )
    schemes: tuple[str, ...] = option(
        _SCHEMES, help="initializations of the nets that embed", choices=_SCHEMES
    )
    embedding_widths: tuple[int, ...] = option(
        (32,), help="widths of the nets that embed", at_least=2
    )
    embedding_inputs: int = option(64, help="inputs embedded", at_least=2)
    embedding_draws: int = option(24, help="nets a point", at_least=2)
    dim: int = option(32, help="size n of the n x n map that is trained", at_least=4)
    train_samples: int = option(24, help="samples, along training", at_least=1)
    rank: int = option(8, help="rank of the low-rank target", at_least=1)
    train_depths: tuple[int, ...] = option(
        (1, 2, 4), help="depths, along training", at_least=1, at_most=64
    )
    train_seeds: int = option(6, help="instances, along training", at_least=2)
    t1: float = option(1000.0, help="horizon, in units of flow time", above=0)
    gain: float = option(
        1.0, help="initial factors have entries N(0, gain^2/n)", above=0
    )
    sweep_depths: tuple[int, ...] = option(
        (1, 4), help="depths of the least squares sweep", at_least=1, at_most=64
    )
    sweep_samples: int = option(
        27,
        help="samples of the sweep; 27 so that depth 1 agrees with the paper",
        at_least=1,
    )
    sweep_seeds: int = option(3, help="instances of the sweep", at_least=2)
    methods: tuple[str, ...] = option(
        ("gradient descent", "adam", "random search"),
        help="methods compared",
        choices=_METHODS,
    )
    method_depths: tuple[int, ...] = option(
        (1, 8), help="depths at which methods compare", at_least=1, at_most=64
    )
    method_samples: int = option(
        20,
        help="samples, comparing methods; 20 so that depth 1 agrees with the paper",
        at_least=1,
    )
    method_seeds: int = option(2, help="instances, comparing methods", at_least=2)
    num_steps: int = option(3000, help="steps of the discrete methods", at_least=1)
    num_evaluations: int = option(
        1000, help="losses that a search without gradients may look at", at_least=10
    )
    eta: float = option(
        0.001,
        help="step size of gradient descent and Nesterov, times the depth",
        above=0,
    )
    eta_adam: float = option(0.003, help="step size of Adam", above=0)
    beta: float = option(0.9, help="momentum of Nesterov", at_least=0, below=1)
    spread: float = option(
        1.0, help="first samples of a search: N(0, spread^2/n)", above=0
    )
    mode_depths: tuple[int, ...] = option(
        (2, 3), help="depths of the dynamics of modes", at_least=2, at_most=16
    )
    mode_start: float = option(
        1e-3, help="singular values at the start, dynamics of modes", above=0
    )
    fitted: float = option(
        1e-4, help="share of the first loss at which data are fitted", above=0, below=1
    )
    rtol: float = option(1e-4, help="relative tolerance of the flows", above=0)
    law_rtol: float = option(1e-8, help="relative tolerance for the laws", above=0)
    max_steps: int = option(2000, help="steps a flow may take", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank >= self.dim:
            raise ValueError(f"rank must be below dim = {self.dim}, or it is not low")
        samples = max(self.train_samples, self.sweep_samples, self.method_samples)
        if samples >= self.dim:
            raise ValueError(
                f"samples must be below dim = {self.dim}: more determine the map, and "
                "depth has nothing to choose"
            )


def as_published(settings: Settings, names: str) -> bool:
    """Whether these settings, by name, are those that published numbers were made with.

    Which the smoke scale has, and the full one.
    """
    return all(getattr(settings, n) == getattr(SMOKE, n) for n in names.split())


SMOKE = Settings()
FULL = Settings(
    **FULL_CLASSIFICATION,
    num_draws=1600,
    limit_sizes=(16, 32, 64, 128, 256),
    activations=_ACTIVATIONS,
    embedding_widths=(16, 32, 128),
    embedding_inputs=128,
    embedding_draws=100,
    train_seeds=30,
    sweep_depths=(1, 4, 16, 32),
    methods=_METHODS,
    method_depths=(1, 2, 4, 8),
    method_seeds=5,
    num_steps=30_000,
    num_evaluations=5_000,
    mode_depths=(2, 3, 4),
)
