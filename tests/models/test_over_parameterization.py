"""expand and collapse."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import LinearChain, collapse, expand

KEY = jax.random.key(0)


def is_chain(x: Any) -> bool:
    return isinstance(x, LinearChain)


def chains(model: Any) -> list[Any]:
    leaves = jax.tree.leaves(model, is_leaf=is_chain)
    return [leaf for leaf in leaves if is_chain(leaf)]


def shaped(make: Any, *args: Any, **kwargs: Any) -> Any:
    """What `make` returns, without its numbers: nothing is compiled."""
    return eqx.filter_eval_shape(make, *args, **kwargs)


def randomized(model: Any) -> Any:
    """The model with every parameter drawn from N(0, 1), biases too."""
    rng = np.random.default_rng(3)

    def drawn(leaf: Any) -> Any:
        return rng.standard_normal(leaf.shape) if hasattr(leaf, "shape") else leaf

    return jax.tree.map(drawn, model)


def shapes(model: Any) -> list[Any]:
    """The shapes of all parameters."""
    return [leaf.shape for leaf in jax.tree.leaves(model) if hasattr(leaf, "shape")]


def assert_undone(model: Any, expanded: Any, x: Any) -> None:
    """Collapsed it is the architecture it was, with the outputs that it has now."""

    @eqx.filter_jit
    def run(expanded: Any) -> Any:
        collapsed = collapse(expanded)
        return collapsed, collapsed(x), expanded(x)

    collapsed, outputs, wanted = run(expanded)
    assert jax.tree.structure(collapsed) == jax.tree.structure(model)
    assert shapes(collapsed) == shapes(model)
    scale = float(np.max(np.abs(wanted)))
    np.testing.assert_allclose(outputs, wanted, rtol=0, atol=1e-10 * scale)


CONVS = [
    # (dimensions, stride, padding, dilation, groups, bias, mode), kernels of factors
    ((1, 3, 2, 2, 2, True, "ZEROS"), (2, 2, 1)),
    ((2, 2, 1, 1, 1, True, "ZEROS"), None),
    ((2, 2, "SAME", 1, 1, True, "ZEROS"), (1, 1, 3)),
    ((2, 2, "SAME_LOWER", 1, 1, True, "ZEROS"), (2, 2, 1)),
    ((2, (1, 2), ((0, 1), (2, 0)), 1, 1, True, "ZEROS"), (2, 1, 2)),
    ((2, 2, 2, 1, 2, True, "REFLECT"), (2, 2, 1)),
    ((2, 1, 1, 2, 1, True, "REPLICATE"), None),
    ((2, 2, "SAME", 1, 4, False, "CIRCULAR"), (2, 1, 2)),
    ((3, 2, 1, 1, 2, True, "ZEROS"), (2, 2, 1)),
    ((3, 1, "VALID", 1, 1, True, "ZEROS"), None),
]


@pytest.mark.parametrize(("conv", "kernel_sizes"), CONVS)
def test_convolutions_collapse_to_what_they_compute(conv: Any, kernel_sizes: Any):
    """With stride, padding of every kind, dilation, groups and bias.

    Biases are drawn at random, so that a bias that is padded once too often shows.
    """
    num, stride, padding, dilation, groups, bias, mode = conv
    kind = getattr(eqx.nn, f"Conv{num}d")
    sizes = (4, 8, 3, stride, padding, dilation, groups, bias, mode)
    layer = shaped(kind, *sizes, key=KEY)
    expanded = shaped(expand, layer, 3, key=KEY, kernel_sizes=kernel_sizes)
    x = np.random.default_rng(1).standard_normal((4, 9, 8, 7)[: num + 1])
    assert shaped(expanded, x).shape == shaped(layer, x).shape
    assert_undone(layer, randomized(expanded), x)


@pytest.mark.parametrize("sizes", [(3, 5), ("scalar", 4), (4, "scalar")])
@pytest.mark.parametrize("use_bias", [True, False])
def test_linear_layers_collapse_to_what_they_compute(sizes: Any, use_bias: bool):
    """Scalar features and missing biases included."""
    layer = shaped(eqx.nn.Linear, *sizes, use_bias=use_bias, key=KEY)
    x = np.ones(() if sizes[0] == "scalar" else (sizes[0],))
    assert_undone(layer, randomized(shaped(expand, layer, 4, 2.0, key=KEY)), x)


def net() -> eqx.nn.Sequential:
    """A convolutional net with stride, padding and bias, and a dense end."""
    keys = jax.random.split(KEY, 3)
    return eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(1, 4, 3, stride=2, padding=1, key=keys[0]),
            eqx.nn.Lambda(jax.nn.relu),
            eqx.nn.Conv2d(4, 4, 3, padding="SAME", key=keys[1]),
            eqx.nn.Lambda(jnp.ravel),
            eqx.nn.Linear(64, 3, key=keys[2]),
        ]
    )


def test_nets_collapse_under_jit_vmap_and_grad():
    """A training step on the products is a step of the collapsed net's own loss."""
    model = shaped(net)
    expanded = randomized(shaped(expand, model, 2, key=KEY))
    assert len(chains(expanded)) == 3
    x = np.random.default_rng(1).standard_normal((5, 1, 8, 8))
    assert_undone(model, expanded, x[0])

    @eqx.filter_jit
    def grads(w: Any) -> Any:
        losses = [
            lambda w: jnp.sum(jax.vmap(w)(x) ** 2),
            lambda w: jnp.sum(jax.vmap(collapse(w))(x) ** 2),
        ]
        return [eqx.filter_grad(loss)(w) for loss in losses]

    of_factors, through_collapse = grads(expanded)
    for a, b in zip(*map(jax.tree.leaves, (of_factors, through_collapse)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.max(np.abs(b)))


def test_ensembles_expand_inside_of_vmap():
    """A stack of layers itself is refused, with the way to do it."""

    def make(key: Any) -> eqx.nn.Linear:
        return eqx.nn.Linear(2, 3, key=key)

    keys = jax.random.split(KEY, 4)
    stack = eqx.filter_vmap(make)(keys)
    with pytest.raises(ValueError, match="filter_vmap"):
        expand(stack, 2, key=KEY)
    expanded = eqx.filter_vmap(lambda m, k: expand(m, 2, key=k))(stack, keys)
    y = eqx.filter_vmap(lambda m: m(jnp.ones(2)))(expanded)
    same = eqx.filter_vmap(lambda m: collapse(m)(jnp.ones(2)))(expanded)
    np.testing.assert_allclose(y, same, rtol=1e-12)


def test_factors_are_drawn_by_the_rules():
    """Kaiming normal: variance g^2/fan-in, g^2 = 2 in the last factor, biases 0.

    Of n draws the sample variance has a relative error of sqrt(2/n): 4e-3 for 300 x
    300 weights and 6e-3 for 300 x 200; five of them.
    """
    linear: Any = expand(eqx.nn.Linear(200, 300, key=KEY), 3, key=KEY)
    variances = [float(jnp.var(f.weight)) for f in linear.factors]
    np.testing.assert_allclose(variances, [1 / 200, 1 / 300, 2 / 300], rtol=0.03)
    assert all(not np.any(f.bias) for f in linear.factors)
    # 60 hidden channels; fan-in of the first is 20 * 9, of the second 60.
    conv: Any = expand(eqx.nn.Conv2d(20, 40, 3, stride=2, key=KEY), 2, 1.5, key=KEY)
    assert [f.weight.shape for f in conv.factors] == [(60, 20, 3, 3), (40, 60, 1, 1)]
    assert [f.stride for f in conv.factors] == [(2, 2), (1, 1)]
    first, last = (float(jnp.var(f.weight)) for f in conv.factors)
    # 10,800 and 2,400 draws: 5 * sqrt(2/n) is 0.07 and 0.14.
    assert abs(first * 180 - 1) < 0.07
    assert abs(last * 60 / 2 - 1) < 0.15


def test_stride_stands_on_the_last_wide_factor():
    """Before it every sum is needed; 1 x 1 factors after it need only the kept ones."""
    layer = shaped(eqx.nn.Conv1d, 2, 2, 4, stride=2, key=KEY)
    expanded = shaped(expand, layer, 4, key=KEY, kernel_sizes=(2, 3, 1, 1))
    assert [f.stride for f in expanded.factors] == [(1,), (2,), (1,), (1,)]


def test_balanced_factors_keep_the_function():
    """Same outputs, and W_{l+1}^T W_{l+1} = W_l W_l^T between all neighbors."""
    model = randomized(shaped(net))
    x = np.random.default_rng(1).standard_normal((1, 8, 8))

    @eqx.filter_jit
    def run(model: Any) -> Any:
        expanded = expand(model, 3, 10.0, key=KEY, init="balanced")
        return expanded, expanded(x), model(x)

    expanded, outputs, wanted = run(model)
    scale = float(np.max(np.abs(wanted)))
    np.testing.assert_allclose(outputs, wanted, rtol=0, atol=1e-12 * scale)
    for chain in chains(expanded):
        flat = [f.weight.reshape(len(f.weight), -1) for f in chain.factors]
        for before, after in itertools.pairwise(flat):
            np.testing.assert_allclose(after.T @ after, before @ before.T, atol=1e-12)


def test_where_chooses_and_what_is_expanded_stays():
    """As in tree_at: one layer, several, or a part that holds some."""
    model = [eqx.nn.Linear(2, 2, key=KEY), jax.nn.relu, eqx.nn.Linear(2, 2, key=KEY)]
    one = expand(model, 2, key=KEY, where=lambda m: m[0])
    assert [is_chain(layer) for layer in one] == [True, False, False]
    both = expand(one, 3, key=KEY, where=lambda m: (m[0], m[-1]))
    assert [len(chain.factors) for chain in chains(both)] == [2, 3]
    assert eqx.tree_equal(both[0], one[0])
    part = expand({"a": model, "b": model}, 2, key=KEY, where=lambda m: m["b"])
    assert [len(chains(part[name])) for name in "ab"] == [0, 2]


def test_shared_layers_stay_shared():
    """A tied layer is one chain; a tied weight is the product of the other."""
    layer = eqx.nn.Linear(3, 3, key=KEY)
    whole = eqx.nn.Shared((layer, layer), lambda p: p[1], lambda p: p[0])
    first, second = expand(whole, 2, key=KEY)()
    assert eqx.tree_equal(first, second)
    embedding = eqx.nn.Linear(3, 3, use_bias=False, key=KEY)
    tied = eqx.nn.Shared(
        (layer, embedding), lambda p: p[1].weight, lambda p: p[0].weight
    )
    expanded = expand(tied, 2, key=KEY)
    assert len(chains(expanded)) == 1
    chain, other = expanded()
    np.testing.assert_array_equal(other.weight, chain.weight)
    np.testing.assert_array_equal(collapse(expanded)()[1].weight, chain.weight)


def test_normalized_layers_stay_as_they_are():
    """WeightNorm works on its layer's weight by name."""
    linear = eqx.nn.Linear(2, 2, key=KEY)
    expanded = expand((eqx.nn.WeightNorm(linear), linear), 2, key=KEY)
    assert [len(chains(part)) for part in expanded] == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth must be"),
        ({"depth": 2, "width": 0.0}, "width must be > 0"),
        ({"depth": 2, "width": 0.1}, "leaves no hidden feature"),
        ({"depth": 2, "kernel_sizes": (3,)}, "must have depth = 2"),
        ({"depth": 2, "kernel_sizes": (3, 3)}, r"amount to \(5, 5\)"),
        ({"depth": 2, "where": lambda m: m[1]}, "no Linear or Conv"),
        ({"depth": 2, "width": 0.5, "init": "balanced"}, "of rank 4"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        shaped(expand, shaped(net), **options, key=KEY)


def test_groups_that_do_not_divide_are_refused():
    """6 outputs at width 1/2 are 3 hidden features, and not 2 groups of them."""
    layer = shaped(eqx.nn.Conv1d, 2, 6, 3, groups=2, key=KEY)
    with pytest.raises(ValueError, match="2 groups"):
        shaped(expand, layer, 2, 0.5, key=KEY)
