"""What the parts of the study on linear over-parameterization can be asked."""

import dataclasses
from typing import Any

from .._config import Config, option
from ._nets import NETS, OPTIMIZERS

IMAGE_SETS = ("digits", "mnist", "fashion-mnist", "cifar-10", "folder")
# Of each set but the digits at most so many images are trained and validated on.
MOST_TRAINING = 4000
# Of scikit-learn's 1,797 digits 360 are held out.
_DIGITS_TRAINING = 1437


@dataclasses.dataclass(frozen=True)
class ClassificationSettings(Config):
    """A part of `Settings`; the defaults are the smoke scale."""

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


FULL_CLASSIFICATION: dict[str, Any] = dict(  # noqa: C408 - options by name
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
