"""The laws that a model's architecture brings."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gflow as gf
from gflow.invariants import (
    Invariant,
    chain_invariants,
    count,
    invariants_of,
    softmax_invariants,
)
from gflow.models import (
    BatchNormLinear,
    DeepLinear,
    DeepReLU,
    DiagonalNet,
    TwoLayerReLU,
    WeightNormalized,
    expand,
)

nn = eqx.nn
RNG = np.random.default_rng(3)
KEYS = jax.random.split(jax.random.key(0), 8)
VECTORS = RNG.standard_normal((4, 3))
IMAGES = RNG.standard_normal((3, 2, 6, 6))


def leaky(z: Any) -> Any:
    """One of anyone's own."""
    return jnp.where(z > 0, z, 0.1 * z)


def spread(net: Any) -> Any:
    """The net with no parameter at a special value."""
    params, static = eqx.partition(net, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(params)
    noise = np.random.default_rng(1).standard_normal(flat.shape)
    return eqx.combine(unravel(flat + 0.3 * noise), static)


def check(
    net: Any,
    laws: dict[str, Invariant],
    inputs: Any,
    call: Callable[..., Any] | None = None,
    **kw: Any,
) -> None:
    """<∇h, w'> = 0 to round-off for a loss of the outputs, but not for random w'."""
    net = spread(net)

    def loss(w: Any) -> Any:
        out = jax.vmap(w)(inputs) if call is None else call(w, inputs)
        weights = jnp.linspace(0.3, 1.3, out.size).reshape(out.shape)
        return jnp.sum(weights * jnp.sin(2 * out))

    problem = gf.Objective(loss, **kw)

    params, static = eqx.partition(net, eqx.is_inexact_array)

    def rates(params: Any) -> Any:
        w = eqx.combine(params, static)
        pushed = problem.velocity(w)
        flat, unravel = ravel_pytree(pushed)
        anywhere = unravel(jnp.cos(jnp.arange(flat.size) + 0.3) * jnp.linalg.norm(flat))
        return {
            name: [eqx.filter_jvp(h, (w,), (v,))[1] for v in (pushed, anywhere)]
            for name, h in laws.items()
        }

    # Each program runs once: compiling takes the time.
    quick: Any = {"xla_backend_optimization_level": 0}
    run = jax.jit(rates, compiler_options=quick)
    for name, (held, moved) in run(params).items():
        assert np.max(np.abs(held)) < 1e-12 * np.max(np.abs(moved)), name


def mlp(activation: Any, **kw: Any) -> Any:
    return nn.MLP(3, 2, 4, 2, activation=activation, key=KEYS[0], **kw)


HIDDEN = ("layers[0].weight/layers[1].weight", "layers[1].weight/layers[2].weight")


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    ("activation", "kind", "shape"),
    [
        (jax.nn.relu, "units", (4,)),
        (leaky, "units", (4,)),
        (nn.PReLU(0.2), "units", (4,)),
        (lambda z: 3 * z, "balance", (4, 4)),
    ],
)
def test_homogeneous_and_linear_activations(
    activation: Any, kind: str, shape: tuple[int, ...], use_bias: bool
) -> None:
    """One law a unit, or a matrix; whatever the function's name."""
    net = mlp(activation, use_bias=use_bias)
    laws = invariants_of(net)
    assert list(laws) == [f"{place} {kind}" for place in HIDDEN]
    assert all(law(net).shape == shape for law in laws.values())
    assert laws.notes == {}
    check(net, laws, VECTORS)


@pytest.mark.parametrize(
    "activation",
    [
        jnp.tanh,
        jax.nn.gelu,
        jax.nn.softplus,
        jax.nn.relu6,
        lambda z: jax.nn.relu(z - 1e-3),
        lambda z: jnp.minimum(jax.nn.relu(z), 300.0),
    ],
)
def test_other_activations_have_none(activation: Any) -> None:
    """Not even those that look homogeneous at inputs of usual size, and it is told."""
    laws = invariants_of(mlp(activation))
    assert laws == {}
    assert list(laws.notes) == list(HIDDEN)
    assert "does not scale with each unit" in repr(laws)


def test_an_activation_that_is_homogeneous_at_its_start_only() -> None:
    """relu(z) + a tanh(z) with a learned a = 0."""

    class Bent(eqx.Module):
        a: jax.Array = eqx.field(default_factory=lambda: jnp.zeros(()))

        def __call__(self, z: Any) -> Any:
            return jax.nn.relu(z) + self.a * jnp.tanh(z)

    assert invariants_of(mlp(Bent())) == {}


def conv(ins: int, outs: int, kernel: int, **kw: Any) -> Any:
    return nn.Conv2d(ins, outs, kernel, key=KEYS[1], **kw)


def test_convolutions() -> None:
    """One a channel, through pooling and flattening in any order of the axes.

    6 -> 6 (padding) -> 5 (pool, stride 1) -> 4 places a side, 3 * 16 = 48 features.
    """
    layers = [
        conv(2, 4, 3, padding=1),
        nn.Lambda(leaky),
        nn.MaxPool2d(2, 1),
        conv(4, 3, 2, use_bias=False),
        nn.Lambda(jax.nn.relu),
        nn.Dropout(0.5, inference=True),
        nn.Lambda(lambda z: jnp.moveaxis(z, 0, -1).ravel()),
        nn.Linear(48, 2, key=KEYS[2]),
    ]
    net = nn.Sequential(layers)
    laws = invariants_of(net)
    assert {name: law(net).shape for name, law in laws.items()} == {
        "layers[0].weight/layers[3].weight units": (4,),
        "layers[3].weight/layers[7].weight units": (3,),
    }
    check(net, laws, IMAGES)


def test_linear_convolutions_and_groups() -> None:
    """A matrix through average pooling; groups leave its diagonal, and it is told."""
    layers = [
        conv(2, 4, 3, padding=1),
        nn.AvgPool2d(2, 2),
        nn.ConvTranspose2d(4, 4, 2, key=KEYS[2]),
        conv(4, 6, 2, groups=2),
        nn.Lambda(jnp.ravel),
        nn.Linear(54, 2, key=KEYS[3]),
    ]
    net = nn.Sequential(layers)
    laws = invariants_of(net)
    assert {name: law(net).shape for name, law in laws.items()} == {
        "layers[0].weight/layers[2].weight balance": (4, 4),
        "layers[2].weight/layers[3].weight units": (4,),
        "layers[3].weight/layers[5].weight units": (6,),
    }
    assert [place for place in laws.notes if place.endswith("balance")] == [
        "layers[2].weight/layers[3].weight balance",
        "layers[3].weight/layers[5].weight balance",
    ]
    check(net, laws, IMAGES)


@pytest.mark.parametrize("biased", [True, False])
def test_attention(biased: bool) -> None:
    """Two matrices a head; the key's bias, which softmax takes no notice of."""
    which = ("query", "key", "value", "output")
    biases: Any = {f"use_{name}_bias": biased for name in which}
    net = nn.MultiheadAttention(2, 4, **biases, key=KEYS[0])
    laws = invariants_of({"head": net})
    shapes = {name: law({"head": net}).shape for name, law in laws.items()}
    bias = {"head.key_proj.bias": (4,)} if biased else {}
    assert shapes == {
        "head.query_proj.weight/head.key_proj.weight balance": (2, 2, 2),
        "head.value_proj.weight/head.output_proj.weight balance": (2, 2, 2),
        **bias,
    }
    inputs = RNG.standard_normal((2, 3, 4))
    call = lambda w, x: jax.vmap(w["head"])(x, x, x)  # noqa: E731
    check({"head": net}, laws, inputs, call)
    (note, *_) = laws.notes.values()
    assert "rotary" in note


def test_norms() -> None:
    """What a norm takes no notice of, where its eps is 0; its weights as a layer's.

    Layer normalization takes no notice of a scale and of a shift of all its inputs,
    root mean squares of a scale.
    """
    layers = [
        nn.Linear(3, 4, key=KEYS[0]),
        nn.LayerNorm(4, eps=0.0),
        nn.Lambda(jax.nn.relu),
        nn.Linear(4, 4, key=KEYS[1]),
        nn.LayerNorm(4, eps=1e-8),
        nn.Linear(4, 3, key=KEYS[2]),
        nn.RMSNorm(3, eps=0.0, use_weight=False, use_bias=False),
        nn.Linear(3, 2, key=KEYS[3]),
    ]
    net = nn.Sequential(layers)
    laws = invariants_of(net)
    assert list(laws) == [
        "layers[0].weight norm",
        "layers[0].weight sums",
        "layers[0].bias sums",
        "layers[1].weight/layers[3].weight units",
        "layers[3].weight sums",
        "layers[3].bias sums",
        "layers[4].weight/layers[5].weight units",
        "layers[5].weight norm",
    ]
    assert "eps" in laws.notes["layers[3].weight norm"]
    check(net, laws, VECTORS)


def test_batch_normalization() -> None:
    """The length of the weights into each channel, and a bias without effect."""
    norm = lambda **kw: nn.BatchNorm(3, "batch", mode="batch", **kw)  # noqa: E731
    first, last = conv(2, 3, 3), nn.Linear(48, 2, key=KEYS[2])
    flatten, relu = nn.Lambda(jnp.ravel), nn.Lambda(jax.nn.relu)
    made = lambda bn: nn.Sequential([first, bn, relu, flatten, last])  # noqa: E731
    net, state = eqx.nn.make_with_state(lambda: made(norm(eps=0.0)))()
    laws = invariants_of(net)
    assert {name: law(net).shape for name, law in laws.items()} == {
        "layers[0].weight norm": (3,),
        "layers[0].bias": (3, 1, 1),
        "layers[1].weight/layers[4].weight units": (3,),
    }

    def call(w: Any, x: Any) -> Any:
        run = jax.vmap(w, axis_name="batch", in_axes=(0, None), out_axes=(0, None))
        return run(x, state)[0]

    check(net, {k: h for k, h in laws.items() if k != "layers[0].bias"}, IMAGES, call)
    assert list(invariants_of(made(norm()))) == list(laws)[1:]
    inference = invariants_of(made(norm(eps=0.0, inference=True)))
    assert list(inference) == list(laws)[2:]
    assert "statistics of other batches" in inference.notes["layers[0]"]


def test_weight_normalization() -> None:
    """The length of each direction; gains take the place of weights in."""
    layers = [
        nn.WeightNorm(nn.Linear(3, 4, key=KEYS[0])),
        nn.Lambda(jax.nn.relu),
        nn.WeightNorm(nn.Linear(4, 3, key=KEYS[1]), axis=None),
        nn.Lambda(jax.nn.relu),
        nn.WeightNorm(nn.Linear(3, 3, key=KEYS[2])),
        nn.Linear(3, 2, key=KEYS[3]),
    ]
    net = nn.Sequential(layers)
    laws = invariants_of(net)
    assert {name: law(net).shape for name, law in laws.items()} == {
        "layers[0].layer.weight norm": (4,),
        "layers[2].layer.weight norm": (),
        "layers[4].layer.weight norm": (3,),
        "layers[4].g/layers[5].weight units": (3,),
    }
    assert "layers[0].g/layers[2].g" in laws.notes
    check(net, laws, VECTORS)


def test_products_of_layers() -> None:
    """Their factors, as `chain_invariants`, and the last with the layer behind it."""
    net = expand(mlp(jax.nn.relu), 2, key=KEYS[1])
    laws, known = invariants_of(net), chain_invariants(net)
    assert [name.split()[-1] for name in laws] == [
        *("balance", "units", "balance", "units", "balance"),
    ]
    matrices = [law for law in laws.values() if law(net).ndim == 2]
    for mine, theirs in zip(matrices, known.values(), strict=True):
        np.testing.assert_allclose(mine(net).ravel(), theirs(net), atol=1e-14)
    check(net, laws, VECTORS)


def test_parts_of_a_module_of_ones_own() -> None:
    """Found wherever they stand; layers by themselves and what is shared are told."""

    class Block(eqx.Module):
        mlps: list[Any]
        readout: Any
        tied: Any

        def __call__(self, x: Any) -> Any:
            return self.readout(x + self.mlps[0](jnp.tanh(self.mlps[1](x))))

    wide = [nn.MLP(3, 3, 4, 1, activation=leaky, key=k) for k in KEYS[:2]]
    tied = nn.Shared(list(wide), lambda m: m[0].layers[0], lambda m: m[1].layers[0])
    net = Block(wide, nn.Linear(3, 2, key=KEYS[2]), tied)
    laws = invariants_of(nn.Sequential([net, nn.Linear(2, 2, key=KEYS[3])]))
    inner = "layers[0].mlps[{0}].layers[0].weight/layers[0].mlps[{0}].layers[1].weight"
    assert list(laws) == [f"{inner.format(k)} units" for k in (0, 1)]
    assert "shared" in laws.notes["layers[0].tied"]
    assert "not known" in laws.notes["layers[0].readout"]
    stacked = invariants_of(nn.MLP(3, 2, 4, 3, scan=True, key=KEYS[0]))
    assert "scan=False" in repr(stacked)


def test_every_mask_of_dropout_has_the_laws() -> None:
    """A live one leaves the units', with all weights, and never the matrix."""
    ends = [nn.Linear(3, 8, key=KEYS[0]), nn.Linear(8, 2, key=KEYS[1])]
    for between in ([], [nn.Lambda(jax.nn.relu)]):
        net = nn.Sequential([ends[0], *between, nn.Dropout(0.9), ends[1]])
        (law,) = invariants_of(net).values()
        into, out = net.layers[0], net.layers[-1]
        expected = jnp.sum(out.weight**2, axis=0) - into.bias**2
        expected -= jnp.sum(into.weight**2, axis=1)
        np.testing.assert_allclose(law(net), expected, rtol=1e-5)
    still = nn.Sequential([ends[0], nn.Dropout(0.5, inference=True), ends[1]])
    assert [name.split()[-1] for name in invariants_of(still)] == ["balance"]


def test_subclasses_are_not_what_they_derive_from() -> None:
    """Skips around layers, heads in a stack: no law, and why."""

    class Skipping(nn.MLP):
        def __call__(self, x: Any, *, key: Any = None) -> Any:
            hidden = self.layers[0](x)
            return self.layers[-1](hidden + self.layers[1](hidden))

    class Turned(nn.MultiheadAttention):
        pass

    makes: list[Any] = [Skipping, Turned]
    laws = invariants_of(
        [makes[0](3, 2, 4, 2, key=KEYS[0]), makes[1](2, 4, key=KEYS[1])]
    )
    assert laws == {}
    assert len(laws.notes) == 3 + 4
    stacked = eqx.filter_vmap(lambda k: nn.MultiheadAttention(2, 4, key=k))(KEYS)
    assert repr(invariants_of(stacked)).count("stacked") == 1
    assert invariants_of(stacked) == {}


def test_what_cannot_be_evaluated_is_told() -> None:
    """With what it raises."""

    def fails(z: Any) -> Any:
        raise RuntimeError("no such thing")

    ends = [nn.Linear(3, 2, key=k) for k in KEYS[:2]]
    laws = invariants_of(nn.Sequential([ends[0], nn.Lambda(fails), ends[1]]))
    assert laws == {}
    assert "RuntimeError: no such thing" in laws.notes["layers[0]"]


def test_rates() -> None:
    """Each weight over the root of its rate; a frozen layer is refused."""
    net = mlp(jax.nn.relu)
    rates = eqx.tree_at(
        lambda m: tuple(x for k in m.layers for x in (k.weight, k.bias)),
        eqx.filter(net, eqx.is_inexact_array),
        (1.0, 2.0, 3.0, 0.5, 0.25, 4.0),
    )
    check(net, invariants_of(net, rates), VECTORS, rates=rates)
    with pytest.raises(AssertionError):
        check(net, invariants_of(net), VECTORS, rates=rates)
    with pytest.raises(ValueError, match="> 0"):
        invariants_of(net, 0.0)
    with pytest.raises(ValueError, match="do not fit"):
        invariants_of(net, {"u": 1.0})
    with pytest.raises(TypeError, match="not of Mirror"):
        invariants_of(net, gf.problem.Mirror())


def cross_entropy_call(w: Any, x: Any) -> Any:
    return jax.nn.log_softmax(jax.vmap(w)(x))


def test_last_layer_before_a_softmax() -> None:
    """Sums over outputs, of models that end in it too; of no other last layer."""
    net = mlp(jnp.tanh)
    laws = softmax_invariants(net)
    assert {name: law(net).shape for name, law in laws.items()} == {
        "layers[2].weight sums": (4,),
        "layers[2].bias sums": (),
    }
    check(net, laws, VECTORS, cross_entropy_call)
    with pytest.raises(AssertionError):
        check(net, laws, VECTORS)
    ending = nn.Sequential([net, nn.Lambda(jax.nn.softmax)])
    assert [x.removeprefix("layers[0].") for x in invariants_of(ending)] == list(laws)
    with pytest.raises(ValueError, match="ends in the logits, not Dropout"):
        softmax_invariants(nn.Dropout())


MODELS: list[tuple[Any, list[str]]] = [
    (DeepLinear([2, 3, 2]), ["balance_1"]),
    (TwoLayerReLU(2, 3), ["neurons"]),
    (DeepReLU(2, (3, 4)), ["neurons_1", "neurons_2"]),
    (DiagonalNet(3, 2, signed=True), ["pair"]),
    (WeightNormalized(DiagonalNet(3)), ["norm"]),
    (BatchNormLinear(3), ["norm"]),
]


@pytest.mark.parametrize(("model", "names"), MODELS)
def test_models_whose_parameters_are_apart(model: Any, names: list[str]) -> None:
    """Their known laws; what needs the data is told."""
    laws = invariants_of(model)
    assert list(laws) == names
    if isinstance(model, DiagonalNet | WeightNormalized):
        assert "data" in laws.notes["range"]
        with pytest.raises(ValueError, match="own rates"):
            invariants_of(model, 2.0)


def test_rates_of_a_model_whose_parameters_are_apart() -> None:
    """‖W_2‖ᵀ‖W_2‖/η_2 - W_1 W_1ᵀ/η_1: here 9/4 - 4/1."""
    law = invariants_of(DeepLinear([1, 1, 2]), [1.0, 4.0])["balance_1"]
    found = law([jnp.full((1, 1), 2.0), jnp.array([[3.0], [0.0]])])
    np.testing.assert_allclose(found, [[9 / 4 - 4]])


def linear_maps(net: Any) -> Any:
    first, last = net.layers
    return last.weight @ first.weight, last.weight @ first.bias + last.bias


def head_maps(net: Any) -> Any:
    query, key, value = (
        x.weight.reshape(2, 2, 3)
        for x in (net.query_proj, net.key_proj, net.value_proj)
    )
    out = net.output_proj.weight.reshape(3, 2, 2)
    return jnp.einsum("hdi,hdj->hij", query, key), jnp.einsum(
        "ohd,hdi->hoi", out, value
    )


POINTS = 2 * RNG.standard_normal((100, 2))
COUNTED: list[tuple[Any, Callable[..., Any], Any]] = [
    # Two linear layers of 3 hidden features, with biases: 6 laws.
    (nn.MLP(2, 2, 3, 1, activation=lambda z: z, key=KEYS[0]), linear_maps, None),
    # Two heads of size 2: twice 3 and 3 laws.
    (
        nn.MultiheadAttention(2, 3, qk_size=2, vo_size=2, key=KEYS[0]),
        head_maps,
        None,
    ),
    # Three units with biases: 3 laws.
    (
        nn.MLP(2, 1, 3, 1, activation=jax.nn.relu, key=KEYS[0]),
        lambda w, x: jax.vmap(w)(x),
        POINTS,
    ),
]


@pytest.mark.parametrize(
    ("model", "phi", "inputs", "num"),
    [(*one, num) for one, num in zip(COUNTED, (6, 12, 3), strict=True)],
)
def test_there_are_no_others(model: Any, phi: Any, inputs: Any, num: int) -> None:
    """As many independent laws as the Lie algebra leaves."""
    net = spread(model)
    params, static = eqx.partition(net, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(params)

    def laws(w: Any) -> Any:
        whole = eqx.combine(unravel(w), static)
        return ravel_pytree([law(whole) for law in invariants_of(model).values()])[0]

    rank = np.linalg.matrix_rank(jax.jacrev(laws)(flat), tol=1e-8)
    assert rank == num
    # Among the leaves of attention is the rate of dropout, which is no parameter.
    whole = lambda w, *x: phi(eqx.combine(w, static), *x)  # noqa: E731
    assert count(whole, params, inputs=inputs).num_laws == num


@pytest.mark.parametrize("axis", [1, None])
def test_lengths_that_are_no_channels_have_no_norm(axis: int | None) -> None:
    """One length for several channels: their norms are no laws before a norm.

    Those stay that the layer divides by, and of the bias what all outputs share.
    """
    norm = nn.LayerNorm(4, eps=0.0, use_weight=False, use_bias=False)
    linear = nn.WeightNorm(nn.Linear(3, 4, key=KEYS[0]), axis=axis)
    net = nn.Sequential([linear, norm])
    laws = invariants_of(net)
    assert list(laws) == ["layers[0].layer.weight norm", "layers[0].layer.bias sums"]
    check(net, laws, VECTORS)
    assert "layers[0].g norm" in laws.notes
