"""Training a classifier, plain or expanded, and choosing its step size."""

import dataclasses
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ...models import (
    Images,
    collapse,
    expand,
    images_cifar10,
    images_digits,
    images_fashion_mnist,
    images_folder,
    images_mnist,
)
from ...problem import EmpiricalRisk
from ...steppers import Minibatch, iterate
from ...trajectory import Save, Trajectory
from .._config import require_directory
from ._nets import (
    accuracy,
    channels_first,
    classifier,
    embedding_rank,
    optimizer,
    predict,
    risk,
)
from ._settings import MOST_TRAINING, Settings

# Trials draw their data and weights from seeds that no comparison uses.
_TRIALS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Task:
    """Images, a net and a method: all that plain and expanded nets have in common."""

    images: Images
    net: str
    optimizer: str
    seed: int
    settings: Settings

    @property
    def etas(self) -> tuple[float, ...]:
        """The step sizes to choose from."""
        return self.settings.etas(self.optimizer)


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a trained net is like.

    Accuracies are shares; `rank_start` and `rank` effective ranks of the embedding of
    the test images; `seconds_per_step` leaves compilation out; `gap` is the largest
    difference that `collapse` makes to a logit, over the largest logit, in float64;
    `surplus` how many parameters the collapsed net has more than the original.
    """

    run: Trajectory
    accuracy: float
    rank_start: float
    rank: float
    seconds_per_step: float
    gap: float
    surplus: int
    num_parameters: int


# setting -> its set of images, and the files of it.
_FILES = {
    "fashion_path": (
        "fashion-mnist",
        *(f"{part}-images-idx3-ubyte" for part in ("train", "t10k")),
        *(f"{part}-labels-idx1-ubyte" for part in ("train", "t10k")),
    ),
    "cifar_path": (
        "cifar-10",
        *(f"data_batch_{k}.bin" for k in range(1, 6)),
        "test_batch.bin",
    ),
    "folder_path": ("folder",),
}


def require_images(settings: Settings) -> None:
    """Raise `ValueError` if files of the images asked for are missing."""
    for setting, (name, *files) in _FILES.items():
        if name in settings.image_sets:
            require_directory(setting, getattr(settings, setting), *files)


def load_images(name: str, settings: Settings, seed: int) -> Images:
    """The images of a set, averaged over squares of pixels where they have 28 x 28."""
    if name == "digits":
        return images_digits(seed=seed)
    if name == "mnist":
        images = images_mnist(seed=seed)
    elif name == "fashion-mnist":
        images = images_fashion_mnist(settings.fashion_path)
    elif name == "cifar-10":
        images = images_cifar10(settings.cifar_path)
    else:
        images = images_folder(
            settings.folder_path,
            settings.folder_size,
            num_test=settings.num_test,
            seed=seed,
        )
    if len(images.y) < settings.num_train + settings.num_validation:
        raise ValueError(
            f"{name} has {len(images.y)} images to train on, and num_train + "
            f"num_validation are {settings.num_train + settings.num_validation}"
        )
    # Files may come sorted by class: a cut would leave whole classes out.
    rng = np.random.default_rng(seed)
    train = rng.permutation(len(images.y))[:MOST_TRAINING]
    test = rng.permutation(len(images.y_test))[: settings.num_test]
    return dataclasses.replace(
        images,
        x=_pooled(images.x[train], settings.pooling),
        y=images.y[train],
        x_test=_pooled(images.x_test[test], settings.pooling),
        y_test=images.y_test[test],
    )


def validate(task: Task, depth: int, eta: float, trial: int) -> float:
    """Accuracy on the validation images; nan if training broke down."""
    seed = task.seed + _TRIALS + trial
    problem, (x, y) = _data(task, seed)
    run = _train(task, problem, depth, eta, seed)
    return _score(run, x, y)


def train(task: Task, depth: int, eta: float, pair: int) -> Trained:
    """A net from the weights and images of that pair, tested."""
    seed = task.seed + pair
    problem, _ = _data(task, seed)
    clock = time.perf_counter()
    run = _train(task, problem, depth, eta, seed)
    seconds = time.perf_counter() - clock - run.stats["compile_seconds"]
    x, y = channels_first(task.images.x_test), task.images.y_test
    start, end = collapse(run.w0), collapse(run.w1)
    return Trained(
        run=run,
        accuracy=_score(run, x, y),
        rank_start=float(embedding_rank(start, jnp.asarray(x))),
        rank=float(embedding_rank(end, jnp.asarray(x))),
        seconds_per_step=seconds / task.settings.train_steps,
        gap=float(_collapse_gap(run.w1, jnp.asarray(x[:100]))),
        surplus=_count(end) - _count(_plain(task, seed)),
        num_parameters=_count(run.w1),
    )


def _data(
    task: Task, seed: int
) -> tuple[EmpiricalRisk, tuple[Float[np.ndarray, "n c h w"], Int[np.ndarray, " n"]]]:
    """A draw of training images, and of others to validate on."""
    settings, images = task.settings, task.images
    order = np.random.default_rng(seed).permutation(len(images.y))
    train, rest = np.split(order, [settings.num_train])
    held_out = rest[: settings.num_validation]
    problem = risk(images.x[train], images.y[train])
    return problem, (channels_first(images.x[held_out]), images.y[held_out])


def _plain(task: Task, seed: int) -> eqx.nn.Sequential:
    height, width, channels = task.images.x.shape[1:]
    return classifier(
        task.net,
        (channels, height, width),
        len(task.images.classes),
        task.settings.net_width,
        key=_keys(seed)[0],
    )


def _keys(seed: int) -> Any:
    """For the weights, the factors they are drawn anew as, and the minibatches."""
    return jax.random.split(jax.random.key(seed), 3)


def _train(
    task: Task, problem: EmpiricalRisk, depth: int, eta: float, seed: int
) -> Trajectory:
    settings = task.settings
    _, *keys = _keys(seed)
    # At depth 1 the weights are drawn by the same rule as at any other.
    net = expand(_plain(task, seed), depth, settings.expansion_width, key=keys[0])
    return iterate(
        problem,
        optimizer(task.optimizer, eta),
        net,
        settings.train_steps,
        estimate=Minibatch(problem, settings.batch_size),
        key=keys[1],
        save=Save.log(num=2, keep_params=False),
        throw=False,
        progress=False,
    )


def _score(run: Trajectory, x: Any, y: Any) -> float:
    if not run.result.ok:
        return float("nan")
    return float(accuracy(collapse(run.w1), jnp.asarray(x), jnp.asarray(y)))


@eqx.filter_jit
def _collapse_gap(net: Any, x: Any) -> Any:
    double = jax.tree.map(
        lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, net
    )
    whole, product = (predict(n, x.astype(float)) for n in (collapse(double), double))
    return jnp.max(jnp.abs(whole - product)) / jnp.max(jnp.abs(product))


def _count(net: Any) -> int:
    return sum(x.size for x in jax.tree.leaves(eqx.filter(net, eqx.is_inexact_array)))


def _pooled(x: Float[np.ndarray, "n h w c"], size: int) -> np.ndarray:
    num, height, width, channels = x.shape
    blocks = x.reshape(num, height // size, size, width // size, size, channels)
    return blocks.mean(axis=(2, 4))
