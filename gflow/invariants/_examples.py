"""Small random models on which the laws of the catalogue hold."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..flows import Flow
from ..models import (
    BatchNormLinear,
    DeepLinear,
    DiagonalNet,
    TwoLayerReLU,
    WeightNormalized,
)
from ..problem import EmpiricalRisk, Mirror, Objective
from ._deep_linear import deep_linear_invariants
from ._diagonal import diagonal_invariants
from ._example import (
    Build,
    Example,
    example_of,
    inertial,
    keys_of,
    net_example,
    normal,
    spread,
)
from ._inspect import softmax_invariants
from ._invariant import Invariant
from ._layer_laws import LINEAR_FLOWS
from ._layers import rows_in, rows_out
from ._model_laws import model_laws
from ._momentum_laws import (
    angular_momentum,
    energy_law,
    shift_momentum,
)
from ._relu import relu_invariants

nn = eqx.nn


def balance(key: Array, flow: Flow | None) -> Example:
    """Three linear layers without biases."""
    net, keys = DeepLinear([2, 3, 3, 2]), keys_of(key)
    problem = net.problem(normal(keys[0], 6, 2), normal(keys[1], 6, 2))
    return example_of(problem, net.init(key=keys[2]), flow, deep_linear_invariants(net))


def neurons(key: Array, flow: Flow | None) -> Example:
    """A leaky network with biases."""
    net = nn.MLP(3, 2, 4, 2, activation=jax.nn.leaky_relu, key=key)
    return net_example(net, (3,), key, flow)


def neurons_at_rates(key: Array, flow: Flow | None) -> Example:
    """Two layers of ReLU at the rates 2 and 5."""
    net, keys, rates = TwoLayerReLU(3, 4), keys_of(key), (2.0, 5.0)
    data = normal(keys[0], 6, 3), normal(keys[1], 6)
    problem = net.problem(*data, rates=rates)
    return example_of(problem, net.init(key=keys[2]), flow, relu_invariants(net, rates))


def channels(key: Array, flow: Flow | None) -> Example:
    """Two convolutions, ReLU, pooling, a linear layer."""
    keys = keys_of(key)
    layers = [
        nn.Conv1d(1, 3, 3, key=keys[0]),
        nn.Lambda(jax.nn.relu),
        nn.Conv1d(3, 2, 2, key=keys[1]),
        nn.Lambda(jax.nn.relu),
        nn.MaxPool1d(2, 2),
        nn.Lambda(jnp.ravel),
        nn.Linear(4, 2, key=keys[2]),
    ]
    return net_example(nn.Sequential(layers), (1, 7), key, flow)


def attention(key: Array, flow: Flow | None) -> Example:
    """Two heads with biases."""
    names = ("query", "key", "value", "output")
    biases: Any = {f"use_{name}_bias": True for name in names}
    net = nn.MultiheadAttention(2, 4, **biases, key=key)
    example = net_example(net, (5, 4), key, flow, lambda net, x: net(x, x, x))
    laws = {k: h for k, h in example.invariants.items() if k.endswith("balance")}
    return example._replace(invariants=laws)


def softmax(key: Array, flow: Flow | None) -> Example:
    """A tanh network with cross-entropy."""
    keys = keys_of(key)
    net = spread(nn.MLP(2, 3, 3, 1, activation=jnp.tanh, key=keys[0]), keys[1])
    labels = jax.random.randint(keys[2], (6,), 0, 3)

    def cross_entropy(logits: Array, labels: Array) -> Array:
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
        return -jnp.mean(chosen)

    problem = EmpiricalRisk(
        lambda w, x: jax.vmap(w)(x),
        normal(keys[3], 6, 2),
        labels,
        criterion=cross_entropy,
    )
    return example_of(problem, net, flow, softmax_invariants(net))


def scale(key: Array, flow: Flow | None) -> Example:
    """A loss of the direction of w."""
    keys = keys_of(key)
    a = normal(keys[0], 4)
    problem = Objective(lambda w: jnp.sin(2 * jnp.sum(a * w) / jnp.linalg.norm(w)))
    law = Invariant(lambda w: jnp.sum(w**2), formula="|w|^2")
    return example_of(problem, normal(keys[1], 4), flow, {"norm": law})


def translation(key: Array, flow: Flow | None) -> Example:
    """A loss of the differences of w; with inertia, a momentum."""
    keys = keys_of(key)
    a = normal(keys[0], 5)
    problem = Objective(lambda w: jnp.sum(jnp.sin(a * (w - jnp.mean(w)))))
    law = Invariant(jnp.sum, formula="sum_i w_i", conserved_by=LINEAR_FLOWS)
    return example_of(problem, normal(keys[1], 5), flow, {"sum": law})


def translation_momentum(key: Array, flow: Flow | None) -> Example:
    """The same with inertia."""
    flow = inertial(flow)
    at_rest = translation(key, flow)
    momentum = shift_momentum(flow, at_rest.invariants["sum"])
    return at_rest._replace(invariants={}, momenta={"momentum": momentum})


def rescale(key: Array, flow: Flow | None) -> Example:
    """A loss of u vᵀ."""
    keys = keys_of(key)
    target = normal(keys[0], 3, 2)
    problem = Objective(lambda w: jnp.sum(jnp.cos(jnp.outer(w["u"], w["v"]) - target)))
    law = Invariant(
        lambda w: jnp.sum(w["u"] ** 2) - jnp.sum(w["v"] ** 2),
        formula="|u|^2 - |v|^2",
    )
    w0 = {"u": normal(keys[1], 3), "v": normal(keys[2], 2)}
    return example_of(problem, w0, flow, {"balance": law})


def weight_norm(key: Array, flow: Flow | None) -> Example:
    """Weight normalization of each row, then tanh."""
    keys = keys_of(key)
    first = nn.WeightNorm(nn.Linear(3, 4, key=keys[0]))
    layers = [first, nn.Lambda(jnp.tanh), nn.Linear(4, 2, key=keys[1])]
    return net_example(nn.Sequential(layers), (3,), key, flow)


def batch_norm(key: Array, flow: Flow | None) -> Example:
    """A linear classifier with batch normalization."""
    net, keys = BatchNormLinear(3), keys_of(key)
    problem = net.problem(normal(keys[0], 6, 3), jnp.sign(normal(keys[1], 6)))
    laws = model_laws(net, has_rates=False)
    return example_of(problem, net.init(2.0, key=keys[2]), flow, laws)


def diagonal(name: str, net: DiagonalNet | WeightNormalized) -> Build:
    """One of the laws of a diagonal net."""

    def build(key: Array, flow: Flow | None) -> Example:
        keys = keys_of(key)
        A, y = normal(keys[0], 2, 4), normal(keys[1], 2)
        shape = (net if isinstance(net, DiagonalNet) else net.net).shape
        signed = (net if isinstance(net, DiagonalNet) else net.net).signed
        halves = [0.5 + jax.random.uniform(k, shape) for k in keys[2:4]]
        laws = diagonal_invariants(net, A)
        w0 = net.init(*halves[: 1 + signed])
        return example_of(net.problem(A, y), w0, flow, {name: laws[name]})

    return build


def positive_factors(key: Array, flow: Flow | None) -> Example:
    """U V under the entropic mirror flow, both positive."""
    keys = keys_of(key)
    target = normal(keys[0], 2, 3)
    problem = Objective(
        lambda w: 0.5 * jnp.sum((w["u"] @ w["v"] - target) ** 2), rates=Mirror()
    )
    law = Invariant(
        lambda w: jnp.sum(w["u"], axis=0) - jnp.sum(w["v"], axis=1),
        formula="sum_i u_ik - sum_j v_kj",
        conserved_by=LINEAR_FLOWS,
    )
    u, v = (jnp.exp(normal(k, 2, n).T) for k, n in ((keys[1], 2), (keys[2], 3)))
    return example_of(problem, {"u": u, "v": v.T}, flow, {"sums": law})


def energy(key: Array, flow: Flow | None) -> Example:
    """A tanh network with inertia."""
    flow = inertial(flow)
    net = nn.MLP(3, 2, 3, 1, activation=jnp.tanh, key=key)
    example = net_example(net, (3,), key, flow)
    law = energy_law(flow, example.problem)
    return example._replace(invariants={}, momenta={"energy": law})


def rotation(key: Array, flow: Flow | None) -> Example:
    """Two linear layers with biases and inertia."""
    flow = inertial(flow)
    net = nn.MLP(3, 2, 3, 1, activation=lambda z: z, key=key)
    law = angular_momentum(
        flow,
        lambda w: rows_in(w.layers[0]),
        lambda w: rows_out(w.layers[1]),
    )
    example = net_example(net, (3,), key, flow)
    return example._replace(invariants={}, momenta={"angular momentum": law})
