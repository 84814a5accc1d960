"""Generators of one-parameter groups that act on parameters.

A group w -> w(s) with w(0) = w has the generator ξ(w) = dw(s)/ds at s = 0, a tree like
w.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from .._types import Params

Generator = Callable[[Params], Params]
Where = Callable[[Params], Any]


def generator_of(action: Callable[[Any, Params], Params]) -> Generator:
    """The generator of a group given by its action (s, w) -> w(s), by differentiation.

    ```python
    >>> import jax.numpy as jnp
    >>> from gflow.invariants import generator_of
    >>> scale = generator_of(lambda s, w: jnp.exp(2 * s) * w)
    >>> print(scale(jnp.array([1.0, 3.0])))
    [2. 6.]

    ```
    """

    def generator(w: Params) -> Params:
        dynamic, static = eqx.partition(w, eqx.is_inexact_array)

        def moved(s: Any) -> Params:
            return eqx.filter(action(s, eqx.combine(dynamic, static)), eqx.is_array)

        return jax.jvp(moved, (jnp.zeros(()),), (jnp.ones(()),))[1]

    return generator


def scaling(where: Where) -> Generator:
    """ξ = w on the leaves that `where` names, w -> one or a tuple; 0 elsewhere.

    A symmetry where the model only sees their direction, as before a normalization.
    """
    return lambda w: _set(w, where, lambda leaf: leaf)


def translation(where: Where, direction: ArrayLike) -> Generator:
    """ξ = `direction` on the leaves that `where` names, broadcast; 0 elsewhere.

    A symmetry of the last layer before a softmax, which does not see what is added to
    all logits: `direction` of shape (classes, features) has one row, repeated.
    """
    return lambda w: _set(
        w, where, lambda leaf: jnp.broadcast_to(direction, leaf.shape)
    )


def mixing(into: Where, out: Where, matrix: ArrayLike) -> Generator:
    """ξ of W_in -> e^(sA) W_in, W_out -> W_out e^(-sA): hidden features mixed.

    A symmetry of linear layers for any A, of layers around a positively homogeneous
    activation for diagonal A: the rescaling of its units.

    **Arguments:** `into`, `out`: w -> the leaves before and after the features, one or
    a tuple; the features are the first axis of the former (weights and biases of
    `equinox.nn.Linear`) and the last of the latter. `matrix`: A, (m, m).
    """
    A = jnp.asarray(matrix)

    def generator(w: Params) -> Params:
        before = _set(w, into, lambda leaf: jnp.tensordot(A, leaf, 1))
        after = _set(w, out, lambda leaf: -leaf @ A)
        return jax.tree.map(jnp.add, before, after)

    return generator


def _set(w: Params, where: Where, value: Callable[[Any], Any]) -> Params:
    """Zeros like w, but for the value of each of the leaves that `where` names."""
    params = eqx.filter(w, eqx.is_inexact_array)
    zeros = jax.tree.map(jnp.zeros_like, params)
    chosen = where(params)
    new = tuple(map(value, chosen)) if isinstance(chosen, tuple) else value(chosen)
    return eqx.tree_at(where, zeros, new)
