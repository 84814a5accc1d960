"""A small random model on which a law can be seen, and the parts to make one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array

from ..flows import Flow, GradientFlow, HeavyBall, Nesterov
from ..problem import EmpiricalRisk, Problem
from ._inspect import invariants_of
from ._invariant import Invariant
from ._momentum_laws import Inertial, MomentumLaw


class Example(NamedTuple):
    """A problem, a start, a flow, and what it conserves.

    `invariants`: of the parameters; `momenta`: of time, parameters and velocity.
    """

    problem: Problem
    w0: Any
    flow: Flow
    invariants: dict[str, Invariant]
    momenta: dict[str, MomentumLaw]


# Of a random key, and the flow where the law is one of a flow with its numbers.
Build = Callable[[Array, Flow | None], Example]


def inertial(flow: Flow | None) -> Inertial:
    """A flow with inertia, by default heavy ball.

    **Raises:** `TypeError` for another flow.
    """
    if flow is None:
        return HeavyBall(0.7)
    if not isinstance(flow, HeavyBall | Nesterov):
        raise TypeError(f"expected a flow with inertia, not {type(flow).__name__}")
    return flow


def example_of(
    problem: Problem, w0: Any, flow: Flow | None, laws: dict[str, Invariant]
) -> Example:
    return Example(problem, w0, flow or GradientFlow(), dict(laws), {})


def net_example(
    net: Any,
    shape: tuple[int, ...],
    key: Array,
    flow: Flow | None,
    call: Callable[[Any, Array], Array] = lambda net, x: net(x),
) -> Example:
    """Least squares with random data and the net's parameters spread."""
    keys = keys_of(key)
    inputs, net = normal(keys[0], 6, *shape), spread(net, keys[1])
    out = jax.eval_shape(lambda x: call(net, x), inputs[0])
    problem = EmpiricalRisk(
        lambda w, x: jax.vmap(lambda one: call(w, one))(x),
        inputs,
        normal(keys[2], 6, *out.shape),
    )
    return example_of(problem, net, flow, invariants_of(net))


def spread(net: Any, key: Array) -> Any:
    """Each parameter moved, so that none is at a value that is special."""
    params, static = eqx.partition(net, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    moved = [
        x + 0.3 * jax.random.normal(k, x.shape)
        for x, k in zip(leaves, keys, strict=True)
    ]
    return eqx.combine(jax.tree.unflatten(structure, moved), static)


def keys_of(key: Array) -> Array:
    return jax.random.split(key, 5)


def normal(key: Array, *shape: int) -> Array:
    return jax.random.normal(key, shape, float)
