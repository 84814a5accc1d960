"""The number of conservation laws."""

from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.invariants import count
from gflow.problem import Mirror

RNG = np.random.default_rng(0)


def factors(*widths: int) -> list[np.ndarray]:
    return [np.abs(RNG.standard_normal(shape)) for shape in pairwise(widths)]


def product(w: list[Any]) -> Any:
    return reduce(jnp.matmul, w)


def attention(w: dict[str, Any]) -> tuple[Any, Any]:
    """The two products of matrices through which a head's output depends on it."""
    return w["q"] @ w["k"].T, w["v"] @ w["o"].T


HEAD = {name: RNG.standard_normal((3, 2)) for name in "qkvo"}

# Marcotte, Gribonval, Peyré 2023: two layers r(r + 1)/2 with r hidden units if r <=
# n + m, in general k(2r + 1 - k)/2 with k = min(n + m, r); deep linear nets the sum of
# that over neighbors; one head (3, 2) twice r(r + 1)/2 with r = 2.
LINEAR: list[tuple[Callable[[Any], Any], Any, int]] = [
    (product, factors(2, 2, 2), 3),
    (product, factors(1, 3, 1), 5),
    (product, factors(2, 4, 2), 10),
    (product, factors(2, 2, 2, 2), 6),
    (product, factors(2, 3, 2, 2), 9),
    (attention, HEAD, 6),
]


@pytest.mark.parametrize(("phi", "like", "laws"), LINEAR)
def test_counts_of_linear_models(
    phi: Callable[[Any], Any], like: Any, laws: int
) -> None:
    """Exactly and by singular values; the latter leave no doubt."""
    exact, smooth = (count(phi, like, method=m) for m in ("exact", "smooth"))
    assert exact.num_laws == smooth.num_laws == laws
    assert exact.method == "exact"
    assert smooth.method == "smooth"
    assert smooth.gap > 1e9
    assert set(smooth.ranks) == {exact.rank}


def test_fifty_parameters_exactly() -> None:
    """(5, 5, 5): 15 laws of 50 parameters."""
    found = count(product, factors(5, 5, 5))
    assert (found.num_laws, found.dimension, found.method) == (15, 50, "exact")


@pytest.mark.parametrize(("widths", "laws"), [((2, 1, 3), 1), ((2, 2, 2), 2)])
def test_positive_factors_conserve_a_difference_of_sums(
    widths: tuple[int, ...], laws: int
) -> None:
    """Entropic mirror flow: Σ_i u_ik - Σ_j v_kj for each hidden k."""
    for method in ("exact", "smooth"):
        found = count(product, factors(*widths), rates=Mirror(), method=method)
        assert found.num_laws == laws


def test_two_rates_keep_the_number() -> None:
    """The laws of other rates are others, but as many: -η is a change of variables."""
    assert count(product, factors(2, 2, 2), rates=[1.0, 0.3]).num_laws == 3


@pytest.mark.parametrize("flow", [gf.flows.HeavyBall(0.7), gf.flows.Nesterov()])
def test_inertia_leaves_the_angular_momentum(flow: gf.flows.Flow) -> None:
    """Of two linear layers (2, 2, 2): one rotation of the hidden units, one law."""
    for method in ("exact", "smooth"):
        found = count(product, factors(2, 2, 2), flow=flow, method=method)
        assert (found.num_laws, found.dimension) == (1, 17)


def neurons(w: dict[str, Any], inputs: Any) -> Any:
    return jax.nn.relu(inputs @ w["w"].T + w["b"]) @ w["a"]


NEURONS = {
    "w": RNG.standard_normal((3, 2)),
    "b": 0.3 * RNG.standard_normal(3),
    "a": RNG.standard_normal(3),
}
INPUTS = 2 * RNG.standard_normal((300, 2))


def test_relu_neurons() -> None:
    """One law a neuron, biases included; with inertia none."""
    found = count(neurons, NEURONS, inputs=INPUTS)
    assert (found.num_laws, found.dimension, found.method) == (3, 12, "smooth")
    heavy = count(neurons, NEURONS, inputs=INPUTS, flow=gf.flows.HeavyBall(1.0))
    assert (heavy.num_laws, heavy.dimension) == (0, 25)


def test_few_inputs_leave_more_laws() -> None:
    """Three data move 12 parameters in three directions at a time: 9 laws or fewer.

    The three fields of three data in one region of the kinks; with all neurons active
    they are the same products as a linear net's, and brackets add to them.
    """
    few = count(neurons, NEURONS, inputs=INPUTS[:3])
    assert 3 < few.num_laws <= 9


def test_a_tanh_net_has_none() -> None:
    """Nothing for a generic net."""
    net = eqx.nn.MLP(2, 1, 3, 1, activation=jnp.tanh, key=jax.random.key(0))
    found = count(lambda w, x: jax.vmap(w)(x), net, inputs=INPUTS[:40])
    assert (found.num_laws, found.dimension) == (0, 13)


def test_a_fixed_design_leaves_its_kernel() -> None:
    """φ = A (w w): in log w the fields are rows of A, constant: N - M laws."""
    A = RNG.standard_normal((4, 7))
    for method in ("exact", "smooth"):
        found = count(lambda w: A @ (w * w), np.ones(7), method=method)
        assert found.num_laws == 3


def test_loops_are_not_taken_for_one_pass() -> None:
    """A product of three factors in a loop has the laws of the product."""

    def looped(w: Any) -> Any:
        return jax.lax.fori_loop(0, 3, lambda i, c: c @ w[i], jnp.eye(2))

    found = count(looped, RNG.standard_normal((3, 2, 2)))
    assert (found.num_laws, found.method) == (6, "smooth")


def test_rounded_data_are_not_counted_exactly() -> None:
    """Centered inputs: x @ w does not see a constant, but for round-off."""
    x = RNG.standard_normal((30, 4))
    x -= x.mean(axis=1, keepdims=True)
    found = count(lambda w, x: x @ w, np.ones(4), inputs=x)
    assert (found.num_laws, found.method) == (1, "smooth")


def test_much_work_is_not_done_exactly() -> None:
    """Five layers of 25 parameters: 4 balances of 15, by singular values."""
    found = count(product, factors(5, 5, 5, 5, 5))
    assert (found.num_laws, found.method) == (45, "smooth")


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_sizes_of_parameters_do_not_matter(size: float) -> None:
    """φ = (b, u⁵ - v⁵): one law, whatever the size of u and v."""
    like = {"b": 1.0, "u": size, "v": -size}
    found = count(lambda w: (w["b"], w["u"] ** 5 - w["v"] ** 5), like, method="smooth")
    assert found.num_laws == 1
    assert found.is_clear


def test_complex_and_single_precision_outputs() -> None:
    """u + i v tells both; of float32 inside a rank in float64 would be noise."""
    like = {"u": np.ones(()), "v": np.ones(())}
    assert count(lambda w: w["u"] + 1j * w["v"], like).num_laws == 0

    def single(w: Any) -> Any:
        return w["u"].astype(jnp.float32) * w["v"].astype(jnp.float32)

    with pytest.raises(ValueError, match="rounds to less than float64"):
        count(single, like)


def test_what_is_not_finite_is_told() -> None:
    """Not taken for a law."""
    with pytest.raises(ValueError, match="not finite near `like`"):
        count(lambda w: jnp.log(-jnp.abs(w)), np.ones(2))
    with pytest.raises(ValueError, match="not finite"):
        count(lambda w: w, np.array([1.0, np.nan]))


def test_float32_parameters_are_counted_in_float64() -> None:
    """Singular values are those of float64 whatever the parameters are."""
    like = [jnp.asarray(x, jnp.float32) for x in factors(2, 2, 2)]
    assert count(product, like, method="smooth").gap > 1e9


def test_its_line() -> None:
    """Laws, dimension, rank, and how it was found."""
    found = repr(count(lambda w: w["u"] * w["v"], {"u": 1.0, "v": 2.0}))
    assert found == "1 law = dimension 2 - rank 1 (exact, modulo 2^61 - 1)"


def test_misuse() -> None:
    """What came, and what was expected."""
    with pytest.raises(ValueError, match="cannot be evaluated"):
        count(product, [np.ones((2, 2)), np.ones((3, 2))])
    with pytest.raises(ValueError, match="method must be"):
        count(product, factors(2, 2), method="fast")
    with pytest.raises(TypeError, match="tanh"):
        count(jnp.tanh, np.ones(2), method="exact")
    with pytest.raises(ValueError, match="> 0 and finite"):
        count(product, [-np.ones((2, 2))], rates=Mirror())
    with pytest.raises(TypeError, match="not those of ModifiedFlow"):
        count(product, factors(2, 2), flow=gf.flows.ModifiedFlow(0.1))
