"""Conservation laws from gradients alone."""

from functools import reduce
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.invariants import Discovery, discover

RNG = np.random.default_rng(1)
PAIR = {"u": np.ones(2), "v": np.ones(2)}
INPUTS = 2 * RNG.standard_normal((300, 2))


def formulas(found: Discovery) -> set[str]:
    return {law.formula for law in found.laws}


def sound(found: Discovery) -> bool:
    """Evidence by which a law that is none would be seen."""
    return found.residual < 1e-12 and found.drift < 1e-6 and found.gap > 1e6


def test_signed_diagonal_of_depth_2() -> None:
    """x = u² - v² conserves u v."""
    found = discover(lambda w: w["u"] ** 2 - w["v"] ** 2, PAIR)
    assert formulas(found) == {"u[0] v[0]", "u[1] v[1]"}
    assert found.verdict == "complete"
    assert sound(found)


def test_signed_diagonal_of_depth_3() -> None:
    """x = u³ - v³ conserves 1/u + 1/v."""
    found = discover(lambda w: w["u"] ** 3 - w["v"] ** 3, PAIR)
    assert formulas(found) == {f"u[{i}]^-1 + v[{i}]^-1" for i in (0, 1)}
    assert found.verdict == "complete"
    assert sound(found)


def test_what_is_outside_the_basis_is_missed_and_said_so() -> None:
    """x = u⁵ - v⁵ conserves u⁻³ + v⁻³, which only `powers` of -3 contain."""
    like = {"u": 1.0, "v": 1.0}

    def phi(w: Any) -> Any:
        return w["u"] ** 5 - w["v"] ** 5

    missed = discover(phi, like)
    assert (missed.laws, missed.verdict) == ((), "1 law not found")
    assert formulas(discover(phi, like, powers=(-3,))) == {"u^-3 + v^-3"}


def test_logarithms() -> None:
    """φ = A (w w) with A = (1, 2): log w0 ∝ rows of A; 2 log w[0] - log w[1]."""
    found = discover(lambda w: w[0] ** 2 + 2 * w[1] ** 2, np.ones(2))
    assert formulas(found) == {"2 log|w[0]| - log|w[1]|"}


@pytest.mark.parametrize("widths", [(2, 3, 2), (4, 4, 4)])
def test_two_linear_layers(widths: tuple[int, int, int]) -> None:
    """Every entry of UᵀU - VVᵀ for W = U V, in the hidden units i <= j."""
    n, r, m = widths
    like = {"u": RNG.standard_normal((n, r)), "v": RNG.standard_normal((r, m))}
    found = discover(lambda w: w["u"] @ w["v"], like)
    laws = [law.invariant() for law in found.laws]
    assert found.verdict == "complete"
    u, v = like["u"], like["v"]
    balance = u.T @ u - v @ v.T
    expected = sorted(balance[np.triu_indices(r)])
    np.testing.assert_allclose(sorted(law(like) for law in laws), expected, rtol=1e-12)
    assert sound(found)
    assert "u[:, 0] . u[:, 1] - v[0, :] . v[1, :]" in formulas(found)


def test_three_linear_layers_share_the_middle_one() -> None:
    """Laws of both hidden layers, each told apart: 3 + 3 of (2, 2, 2, 2)."""
    like = [RNG.standard_normal((2, 2)) for _ in range(3)]
    found = discover(lambda w: reduce(jnp.matmul, w), like)
    assert len(found.laws) == 6
    assert "|w[1][:, 0]|^2 - |w[2][0, :]|^2" in formulas(found)
    assert "w[0][:, 0] . w[0][:, 1] - w[1][0, :] . w[1][1, :]" in formulas(found)


def test_functions_of_laws_are_left_out() -> None:
    """(1, 3, 1): six entries of UᵀU - VVᵀ, of which five are independent."""
    like = {"u": RNG.standard_normal((1, 3)), "v": RNG.standard_normal((3, 1))}
    found = discover(lambda w: w["u"] @ w["v"], like)
    assert (len(found.laws), found.num_dependent, found.is_complete) == (5, 1, True)


def test_relu_with_bias() -> None:
    """‖w_j‖² + b_j² - a_j² of each neuron, in the module's own names."""
    net = eqx.nn.MLP(
        2, 1, 3, 1, jax.nn.relu, use_final_bias=False, key=jax.random.key(0)
    )
    found = discover(lambda w, x: jax.vmap(w)(x), net, inputs=INPUTS)
    assert formulas(found) == {
        f"|layers[0].weight[{j}, :]|^2 + layers[0].bias[{j}]^2 "
        f"- layers[1].weight[0, {j}]^2"
        for j in range(3)
    }
    assert found.verdict == "complete"
    assert sound(found)


def test_two_rates_weigh_the_law() -> None:
    """a_j²/η₂ - ‖w_j‖²/η₁ with η₁ = 2, η₂ = 5: 2 a² - 5 ‖w‖²."""
    like = {"w": RNG.standard_normal((2, 2)), "a": RNG.standard_normal(2)}

    def phi(w: Any, x: Any) -> Any:
        return jax.nn.relu(x @ w["w"].T) @ w["a"]

    found = discover(phi, like, inputs=INPUTS, rates={"w": 2.0, "a": 5.0})
    assert formulas(found) == {f"2 a[{j}]^2 - 5 |w[{j}, :]|^2" for j in range(2)}


def test_mirror_flow() -> None:
    """Positive factors: differences of sums."""
    like = {"u": np.ones((2, 1)), "v": np.ones((1, 3))}
    found = discover(lambda w: w["u"] @ w["v"], like, rates=gf.problem.Mirror())
    assert formulas(found) == {"sum(u[:, 0]) - sum(v[0, :])"}


def test_nothing_for_a_tanh_net() -> None:
    """No law among the terms, and none there are."""
    net = eqx.nn.MLP(2, 1, 3, 1, activation=jnp.tanh, key=jax.random.key(0))
    found = discover(lambda w, x: jax.vmap(w)(x), net, inputs=INPUTS[:60])
    assert (found.laws, found.verdict) == ((), "complete: there is none")
    assert np.isnan(found.drift)


def test_hundreds_of_parameters() -> None:
    """A net of 8, 16, 4 units, 212 parameters: one law a neuron."""
    net = eqx.nn.MLP(8, 4, 16, 1, jax.nn.relu, key=jax.random.key(0))
    inputs = RNG.standard_normal((300, 8))
    found = discover(lambda w, x: jax.vmap(w)(x), net, inputs=inputs)
    assert (len(found.laws), found.is_complete) == (16, True)
    assert found.laws[3].formula == (
        "|layers[0].weight[3, :]|^2 + layers[0].bias[3]^2 - |layers[1].weight[:, 3]|^2"
    )


@pytest.mark.parametrize("size", [1e-4, 1e3])
def test_sizes_of_parameters_do_not_matter(size: float) -> None:
    """x = u³ - v³ near u = v = 1e-4 as near 1000; no false law where one is missing."""
    like = {"u": size, "v": -size}
    found = discover(lambda w: w["u"] ** 3 - w["v"] ** 3, like, powers=(-1, -1, 2))
    assert formulas(found) == {"u^-1 + v^-1"}
    missed = discover(lambda w: w["u"] ** 5 - w["v"] ** 5, like)
    assert (missed.laws, missed.verdict) == ((), "1 law not found")


def test_weights_are_told_whole() -> None:
    """Rates 1 and 3e6: 3e6 u² - v²; 1 and 1/(100 π): no fraction of small numbers."""
    like = {"u": 1.0, "v": 1.0}

    def phi(w: Any) -> Any:
        return w["u"] * w["v"]

    found = discover(phi, like, rates={"u": 1.0, "v": 3e6})
    assert formulas(found) == {"3000000 u^2 - v^2"}
    found = discover(phi, like, rates={"u": 1.0, "v": 0.01 / np.pi})
    assert formulas(found) == {"u^2 - 314.159265 v^2"}
    assert sound(found)


def test_a_law_is_an_invariant_of_a_run() -> None:
    """It can be declared, with its formula and a scale."""
    found = discover(lambda w: w["u"] * w["v"], {"u": 1.0, "v": 1.0})
    law = found.laws[0].invariant()
    w = {"u": jnp.array(2.0), "v": jnp.array(3.0)}
    assert law(w) == 4.0 - 9.0
    problem = gf.Objective(lambda w: (w["u"] * w["v"] - 1.0) ** 2)
    run = gf.simulate(problem, gf.GradientFlow(), w, 1.0, invariants={"law": law})
    assert run.drift["law"].relative < 1e-5
    assert run.drift["law"].claimed


def test_its_text() -> None:
    """Laws, verdict and evidence; long lists are cut."""
    like = {"u": np.ones(14), "v": np.ones(14)}
    lines = repr(discover(lambda w: w["u"] * w["v"], like)).splitlines()
    assert lines[0].startswith("14 found, complete (14 laws = dimension 28")
    assert lines[1] == "  u[0]^2 - v[0]^2"
    assert lines[13] == "  ... and 2 more"
    # 28 linear, 28 squares, 14 products u_i v_i.
    assert lines[14].startswith("  sought among 70 terms: linear terms, squares")


def test_misuse() -> None:
    """Degrees, powers, and too many parameters."""
    with pytest.raises(ValueError, match="degree must be"):
        discover(jnp.sum, np.ones(2), degree=0)
    with pytest.raises(ValueError, match="powers must be integers"):
        discover(jnp.sum, np.ones(2), powers=(0,))
    with pytest.raises(ValueError, match="too many"):
        discover(lambda w: jnp.sum(w**2), np.ones(2501))


@pytest.mark.parametrize("bias", [1e-8, 1e-10, -1e-16])
def test_an_entry_next_to_nothing_does_not_hide_the_others(bias: float) -> None:
    """A bias left at round-off by training belongs to its neuron's law."""
    like = {"u": jnp.ones(()), "b": jnp.asarray(bias), "v": jnp.ones(())}
    found = discover(
        lambda w, x: w["v"] * jax.nn.relu(w["u"] * x + w["b"]),
        like,
        inputs=jnp.linspace(-5, 5, 20),
    )
    assert [law.formula for law in found.laws] == ["b^2 + u^2 - v^2"]
    assert found.is_complete
