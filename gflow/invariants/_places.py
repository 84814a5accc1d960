"""Where in a model a layer stands."""

from collections.abc import Sequence
from typing import Any

import jax

# Attributes and keys of dicts by name, entries of lists by number.
Path = tuple[str | int, ...]


def at(tree: Any, path: Path) -> Any:
    """What stands there in a tree of the model's structure."""
    for step in path:
        if isinstance(step, int) or isinstance(tree, dict):
            tree = tree[step]
        else:
            tree = getattr(tree, step)
    return tree


def name(path: Path) -> str:
    """`layers[0].weight`, as it is written in Python."""
    text = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path)
    return text.removeprefix(".")


def path_of(keys: Sequence[Any]) -> Path:
    """The path that jax writes with keys of its own."""

    def step(key: Any) -> str | int:
        if isinstance(key, jax.tree_util.GetAttrKey):
            return key.name
        if isinstance(key, jax.tree_util.SequenceKey):
            return key.idx
        return key.key

    return tuple(step(key) for key in keys)
