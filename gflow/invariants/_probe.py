"""What a function between two layers commutes with, found by trying.

z a batch of what a layer makes, channels first · s(z) what the next layer takes, or
what all the rest depends on z through.

Nothing is known of s but its values: at inputs of both signs and of several sizes, with
parameters of its own at random values. What happens beyond the largest input, like a
cutoff at 1e6, goes unseen.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .. import _trees as trees
from ._layers import num_in, out_shape, takes
from ._links import Link, Stage

# Activations bend near 0, or are cut off far from it.
_SIZES = (1e-2, 1.0, 1e3)

# Places on an axis. Few places would be special, so they come after enough; where a
# convolution is flattened there are as many as the next layer takes, so all are tried.
_PLACES = (*range(8, 0, -1), *range(9, 65))

# Of values relative to the largest of an input, in float64: an exception that anybody
# means is larger, as is an eps of 1e-8 in a norm.
_TOLERANCE = 1e-11


@dataclasses.dataclass(frozen=True)
class Segment:
    """What lies behind a layer: a function s of a batch, the shape of its inputs."""

    function: Callable[[Any], Any]
    shape: tuple[int, ...]

    @property
    def num_channels(self) -> int:
        """How many the layer makes."""
        return self.shape[0] if self.shape else 1

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """s(z)."""
        return np.asarray(self.function(jnp.asarray(z.reshape(len(z), *self.shape))))

    def inputs(self, rng: np.random.Generator) -> np.ndarray:
        """A batch of random z: of one sign in all entries and of both, of all sizes."""
        z = rng.standard_normal((2, self.num_channels, *self.shape[1:]))
        signs = [abs(z[0]), -abs(z[0]), z[0], z[1]]
        return np.stack([size * x for size in _SIZES for x in signs])


@dataclasses.dataclass(frozen=True)
class Passage:
    """How channels come through.

    `sources`: for each channel that the next layer takes, the one that it scales with,
    or their number if it scales with none; `is_linear`: whether channels that are mixed
    come out mixed, in the order of `sources`.
    """

    sources: np.ndarray
    is_linear: bool


def segment(link: Link, then: Link | None, more: Sequence[Stage] = ()) -> Segment:
    """What lies behind a layer, up to the next. To be called, and used, in float64.

    **Raises:** `ValueError`, with the reason, if no input is found that it takes.
    """
    stages = tuple(_generic(stage, k) for k, stage in enumerate((*link.after, *more)))

    @jax.jit
    def function(z: Any) -> Any:
        for stage in stages:
            z = stage.call(stage.module, z)
        return z

    reason = "no input of equal sides makes what the next layer takes"
    for shape in _shapes(link):
        try:
            z = jax.ShapeDtypeStruct((1, *shape), jnp.float64)
            out = jax.eval_shape(function, z)
        except Exception as error:  # noqa: BLE001
            # Whatever a module of anyone's own raises; it is told to the user.
            reason = f"{type(error).__name__}: {trees.first_line(error)}"
            continue
        if then is None or takes(then.layer, out.shape[1:]):
            return Segment(function, shape)
    raise ValueError(f"what lies between cannot be evaluated ({reason})")


def passage(between: Segment, then: Link) -> Passage | None:
    """How channels come through, or None if a positive scale of a channel does not."""
    first, second = (_sources(between, num_in(then.layer), seed) for seed in (0, 1))
    if first is None or second is None or not np.array_equal(first, second):
        return None
    return Passage(first, _is_linear(between, first))


def invariances(between: Segment) -> frozenset[str]:
    """Which changes of z leave s(z) as it is.

    Of "scale", the same for all channels or, "scale of each", one for each, and
    "shift", the same for all channels but any at each place or, "shift of each", one
    for each but the same at all places.
    """
    rng = np.random.default_rng(2)
    z, shape = between.inputs(rng), between.shape[1:]
    n = between.num_channels
    each = (n, *[1] * len(shape))
    changes: dict[str, Callable[[], np.ndarray]] = {
        "scale": lambda: z * np.exp(rng.standard_normal()),
        "scale of each": lambda: z * np.exp(rng.standard_normal(each)),
        "shift": lambda: z + rng.standard_normal((len(z), 1, *shape)),
        "shift of each": lambda: z + rng.standard_normal(each),
    }
    out = between(z)
    return frozenset(name for name, to in changes.items() if _same(between(to()), out))


def _shapes(link: Link) -> dict[tuple[int, ...], None]:
    """Shapes that the layer's output may have, each once."""
    tries = [(rank, size) for rank in link.ranks for size in _PLACES]
    return dict.fromkeys(out_shape(link.layer, *one) for one in tries)


def _generic(stage: Stage, place: int) -> Stage:
    """The stage with other parameters: at their start more may hold than later."""
    rng = np.random.default_rng(place)

    def other(x: Any) -> Any:
        if not eqx.is_inexact_array(x):
            return x
        factor = np.exp(0.3 * rng.standard_normal(x.shape))
        return jnp.asarray(x * factor + 0.1 * rng.standard_normal(x.shape))

    return dataclasses.replace(stage, module=jax.tree.map(other, stage.module))


def _sources(between: Segment, num_in: int, seed: int) -> np.ndarray | None:
    """`Passage.sources`, by scaling each channel by a number of its own."""
    rng = np.random.default_rng(seed)
    z, n = between.inputs(rng), between.num_channels
    scales = np.exp(rng.permutation(np.linspace(-1, 1, n)) + 0.1)
    scaled = z * scales.reshape(-1, *[1] * (z.ndim - 2))
    before, after = (_channels(between(x), num_in) for x in (z, scaled))
    # The ratio is best known where the value is largest.
    flat = np.moveaxis(before, 1, 0).reshape(num_in, -1)
    best = np.argmax(np.abs(flat), axis=1)[:, None]
    moved = np.moveaxis(after, 1, 0).reshape(num_in, -1)
    old, new = (np.take_along_axis(x, best, axis=1)[:, 0] for x in (flat, moved))
    ratio = new / np.where(old == 0, 1, old)
    known = np.append(scales, 1.0)
    sources = np.argmin(np.abs(known - ratio[:, None]), axis=1)
    sources = np.where(old == 0, n, sources)
    return sources if _same(after, known[sources][:, None] * before) else None


def _is_linear(between: Segment, sources: np.ndarray) -> bool:
    n = between.num_channels
    if np.any(np.bincount(sources, minlength=n) != len(sources) // n):
        return False
    rng = np.random.default_rng(3)
    z, mix = between.inputs(rng), rng.standard_normal((n, n))
    mixed = np.einsum("cd,nd...->nc...", mix, z)
    order = np.argsort(sources, kind="stable")
    before, after = (_channels(between(x), len(sources))[:, order] for x in (z, mixed))
    shape = (len(z), n, -1)
    return _same(after.reshape(shape), mix @ before.reshape(shape))


def _channels(out: np.ndarray, num_in: int) -> np.ndarray:
    return out.reshape(len(out), num_in, -1)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether they are, up to round-off of each input; those that overflow are left."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    finite = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
    size = np.maximum(np.abs(a).max(axis=1), np.abs(b).max(axis=1))[:, None]
    close = np.abs(a - b) <= _TOLERANCE * size
    return bool(finite.any() and close[finite].all())
