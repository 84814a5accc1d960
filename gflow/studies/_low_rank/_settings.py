"""What the low-rank study can be asked."""

import dataclasses

from .._config import Config, option
from ._nets import NETS, OPTIMIZERS

IMAGE_SETS = ("digits", "mnist", "fashion-mnist", "cifar-10", "folder")
# Of each set but the digits at most so many images are trained and validated on.
MOST_TRAINING = 4000
# Of scikit-learn's 1,797 digits 360 are held out.
_DIGITS_TRAINING = 1437

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
class Settings(Config):
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
    method_seeds: int = option(3, help="instances, comparing methods", at_least=2)
    scales: tuple[float, ...] = option(
        (0.8, 1.2),
        help="scales of the initial factors, on the data of the methods",
        above=0,
    )
    num_steps: int = option(3000, help="steps of the discrete methods", at_least=1)
    num_evaluations: int = option(
        300, help="losses that a search without gradients may look at", at_least=10
    )
    eta: float = option(
        0.001,
        help="step size of gradient descent and Nesterov at depth 1; 1/L of it at L",
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

    image_sets: tuple[str, ...] = option(
        ("digits",), help="images to classify", choices=IMAGE_SETS
    )
    fashion_path: str = option(
        "/usr/share/datasets/fashion-mnist", help="directory of Fashion-MNIST's files"
    )
    cifar_path: str = option(
        "", help="directory of the binary version of CIFAR-10, for that set"
    )
    folder_path: str = option("", help="folder of class/name.png, for the set folder")
    folder_size: int = option(
        32, help="pixels each way that images of a folder are scaled to", at_least=8
    )
    nets: tuple[str, ...] = option(
        ("mlp",), help="nets: one hidden layer, or two convolutions", choices=NETS
    )
    net_width: int = option(
        32, help="hidden features; the convolutions have 1/4 and 1/2", at_least=4
    )
    optimizers: tuple[str, ...] = option(
        ("sgd",), help="methods of training", choices=OPTIMIZERS
    )
    expansion_depths: tuple[int, ...] = option(
        (4,), help="factors a layer is made of, beside 1", at_least=2, at_most=16
    )
    expansion_width: float = option(
        1.0, help="hidden features of the factors, over outputs", above=0, at_most=8
    )
    sgd_etas: tuple[float, ...] = option(
        (0.03, 0.1, 0.3, 1.0), help="step sizes of SGD to choose from", above=0
    )
    adam_etas: tuple[float, ...] = option(
        (1e-3, 3e-3, 1e-2, 3e-2), help="step sizes of Adam to choose from", above=0
    )
    batch_size: int = option(50, help="images in a minibatch", at_least=1)
    train_steps: int = option(1000, help="steps of training", at_least=1)
    num_train: int = option(1000, help="images to train on", at_least=10)
    num_validation: int = option(
        300, help="images by which step sizes and depths are chosen", at_least=10
    )
    num_test: int = option(5000, help="images to test on, at most", at_least=10)
    pooling: int = option(
        2,
        help="pixels averaged, each way, of all sets but the digits",
        at_least=1,
        at_most=4,
    )
    tuning_seeds: int = option(2, help="seeds of each trial of a step size", at_least=1)
    paired_seeds: int = option(5, help="seeds of the comparison", at_least=2)
    flow_depths: tuple[int, ...] = option(
        (2,), help="factors a layer under the flow, beside 1", at_least=2, at_most=8
    )
    flow_seeds: int = option(5, help="seeds of the flows", at_least=2)
    flow_train: int = option(100, help="digits that the flows train on", at_least=10)
    flow_hidden: int = option(8, help="hidden features under the flow", at_least=2)
    flow_loss: float = option(
        0.1, help="mean cross-entropy at which the flows end", above=0, below=2
    )
    flow_rtol: float = option(1e-6, help="relative tolerance of the flows", above=0)

    def etas(self, optimizer: str) -> tuple[float, ...]:
        """The step sizes of a method of training to choose from."""
        return {"sgd": self.sgd_etas, "adam": self.adam_etas}[optimizer]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_maps()
        self._check_images()

    def _check_maps(self) -> None:
        if self.rank >= self.dim:
            raise ValueError(f"rank must be below dim = {self.dim}, or it is not low")
        samples = max(self.train_samples, self.sweep_samples, self.method_samples)
        if samples >= self.dim:
            raise ValueError(
                f"samples must be below dim = {self.dim}: more determine the map, and "
                "depth has nothing to choose"
            )

    def _check_images(self) -> None:
        if len(self.sgd_etas) != len(self.adam_etas):
            raise ValueError("sgd_etas and adam_etas must be as many")
        num = self.num_train + self.num_validation
        if num > _DIGITS_TRAINING and "digits" in self.image_sets:
            raise ValueError(
                f"num_train + num_validation must be at most {_DIGITS_TRAINING} with "
                "the digits"
            )
        if num > MOST_TRAINING:
            raise ValueError(
                f"num_train + num_validation must be at most {MOST_TRAINING}"
            )
        sides = {"mnist": 28, "fashion-mnist": 28, "cifar-10": 32}
        sides["folder"] = self.folder_size
        for name in self.image_sets:
            if sides.get(name, self.pooling) % self.pooling:
                raise ValueError(f"pooling must divide {sides[name]}, pixels of {name}")
        for name, path in (("cifar-10", self.cifar_path), ("folder", self.folder_path)):
            if name in self.image_sets and not path:
                raise ValueError(f"{name} needs {name.split('-')[0]}_path")
        if self.flow_train > _DIGITS_TRAINING:
            raise ValueError(f"flow_train must be at most {_DIGITS_TRAINING}")


def as_published(settings: Settings, names: str) -> bool:
    """Whether these settings, by name, are those that published numbers were made with.

    Which the smoke scale has, and the full one.
    """
    return all(getattr(settings, n) == getattr(SMOKE, n) for n in names.split())


SMOKE = Settings()
FULL = Settings(
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
    scales=(0.8, 1.0, 1.2),
    num_steps=30_000,
    num_evaluations=5_000,
    mode_depths=(2, 3, 4),
    image_sets=IMAGE_SETS[:3],
    nets=NETS,
    optimizers=OPTIMIZERS,
    expansion_depths=(2, 4),
    sgd_etas=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    adam_etas=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    paired_seeds=10,
    flow_depths=(2, 4),
    flow_seeds=20,
)
