"""Pytree vector-space operations on the inexact-array leaves of a tree."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ._types import Params, Scalar


def split(w: Params) -> tuple[Params, Params]:
    """Separate parameters from everything else; `eqx.combine` puts them together.

    Python and numpy floats become arrays, in jax's default precision and their own. The
    Python numbers that an equinox module holds, like the rate of a `Dropout`, are
    settings, as they are to equinox.

    **Returns:** `(dynamic, static)`, two trees of the structure of `w` with None in
    the places that belong to the other.

    **Raises:** `TypeError` if a leaf is an integer or complex number or array, or if
    no leaf is a parameter.
    """

    def as_parameter(path: Any, leaf: Any) -> Any:
        if isinstance(leaf, bool) or not eqx.is_array_like(leaf):
            return leaf
        if type(leaf) in (int, float) and _is_field_of_module(w, path):
            return leaf
        kind = np.dtype(leaf.dtype if hasattr(leaf, "dtype") else type(leaf)).kind
        if kind in "iuc":
            where = jax.tree_util.keystr(path) or "w0"
            name = "complex" if kind == "c" else "integer"
            raise TypeError(
                f"parameters must be real floating point, but {where} is {name}; "
                "convert it (jnp.asarray(x, float)) or make it a static field"
            )
        return jnp.asarray(leaf)

    known = jax.tree_util.tree_map_with_path(as_parameter, w)
    dynamic, static = eqx.partition(known, eqx.is_inexact_array)
    if not jax.tree.leaves(dynamic):
        raise TypeError("w0 holds no floating-point array, so there is nothing to move")
    return dynamic, static


def _is_field_of_module(tree: Any, path: Any) -> bool:
    """Whether what stands at a path is a field of an equinox module."""
    for key in path[:-1]:
        if isinstance(key, jax.tree_util.GetAttrKey):
            tree = getattr(tree, key.name)
        elif isinstance(key, jax.tree_util.SequenceKey | jax.tree_util.DictKey):
            tree = tree[key.idx if hasattr(key, "idx") else key.key]
        else:
            return False  # of a container of one's own
    return isinstance(tree, eqx.Module) and len(path) > 0


def first_line(error: Exception) -> str:
    """The first line of an error's message, or nothing."""
    return next(iter(str(error).splitlines()), "")


def inner(a: Params, b: Params) -> Scalar:
    """Euclidean inner product, summed over all leaves."""
    products = jax.tree.leaves(jax.tree.map(lambda x, y: jnp.sum(x * y), a, b))
    return functools.reduce(jnp.add, products)


def norm(a: Params) -> Scalar:
    """Euclidean norm over all leaves."""
    return jnp.sqrt(inner(a, a))


def where(condition: Any, a: Any, b: Any) -> Any:
    """The one tree or the other, leaf by leaf."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)


def take(a: Params, k: int) -> Params:
    """Entry k of the leading axis of each leaf: of what was saved, one point."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[k]), a)


def scaled(prefix: Any, a: Params) -> Params:
    """Each leaf times the number that a tree prefix has for it, of the leaf's type."""

    def scale(factor: Any, subtree: Params) -> Params:
        return jax.tree.map(lambda x: jnp.asarray(factor, x.dtype) * x, subtree)

    return jax.tree.map(scale, prefix, a)


def size(a: Params) -> int:
    """Number of scalars in the inexact-array leaves."""
    return sum(x.size for x in jax.tree.leaves(eqx.filter(a, eqx.is_inexact_array)))


def dtype(a: Params) -> np.dtype[Any]:
    """The floating type that holds every leaf."""
    leaves = jax.tree.leaves(eqx.filter(a, eqx.is_inexact_array))
    return np.dtype(jnp.result_type(*leaves))


def all_finite(a: Params) -> Any:
    """Whether every number of every leaf is finite, as a boolean scalar."""
    flags = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(a)]
    return jnp.all(jnp.stack(flags)) if flags else jnp.asarray(True)


def largest(a: Params) -> Scalar:
    """The largest absolute value in the inexact-array leaves; 0 if they are empty."""
    leaves = jax.tree.leaves(eqx.filter(a, eqx.is_inexact_array))
    return jnp.max(jnp.stack([jnp.max(jnp.abs(x), initial=0) for x in leaves]))
