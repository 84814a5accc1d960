"""From a symmetry of the loss to what its flows conserve."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.flows import Flow, HeavyBall, Nesterov
from gflow.invariants import generator_of, mixing, scaling, symmetry, translation
from gflow.problem import Mirror

RNG = np.random.default_rng(5)
FACTORS = {"u": RNG.standard_normal((2, 3)), "v": RNG.standard_normal((1, 2))}
TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])


def product(w: dict[str, Any]) -> Any:
    return w["v"] @ w["u"]


def mixed(matrix: Any) -> Any:
    return mixing(lambda w: w["u"], lambda w: w["v"], matrix)


def test_symmetric_mixings_give_balancedness() -> None:
    """A symmetric: h = ½ tr A (U Uᵀ - VᵀV), of gradient flow alone."""
    A = np.array([[1.0, 2.0], [2.0, -3.0]])
    found = symmetry(product, mixed(A), FACTORS)
    assert found.holds
    assert found.invariant is not None
    u, v = FACTORS["u"], FACTORS["v"]
    expected = 0.5 * np.trace(A @ (u @ u.T - v.T @ v))
    np.testing.assert_allclose(found.invariant(FACTORS), expected, rtol=1e-12)
    assert not found.has_momentum_charge
    assert "gradient flow: a charge" in repr(found)


def test_rotations_have_no_charge_of_gradient_flow() -> None:
    """A antisymmetric: a symmetry, no gradient field, and a charge under inertia."""
    found = symmetry(product, mixed(TURN), FACTORS)
    assert found.holds
    assert found.invariant is None
    assert found.asymmetry > 0.1
    assert found.has_momentum_charge
    assert "G xi is no gradient field" in repr(found)


def test_general_mixings_have_neither() -> None:
    """A symmetry all the same."""
    found = symmetry(product, mixed(np.array([[1.0, 1.0], [0.0, 0.5]])), FACTORS)
    assert (found.holds, found.invariant, found.has_momentum_charge) == (
        True,
        None,
        False,
    )


def test_what_is_no_symmetry_is_refused() -> None:
    """Scaling one factor changes the product."""
    found = symmetry(product, scaling(lambda w: w["u"]), FACTORS)
    assert not found.holds
    assert found.invariant is None
    assert repr(found).startswith("no symmetry")
    with pytest.raises(ValueError, match="the loss is not invariant"):
        found.momentum_charge(HeavyBall(1.0))


def test_rescaling_of_a_neuron_at_two_rates() -> None:
    """½ (‖w_j‖² + b_j²)/η₁ - ½ a_j²/η₂ of unit 1, biases of axis 0 mixed too."""
    net = {
        "w": RNG.standard_normal((3, 2)),
        "b": RNG.standard_normal(3),
        "a": RNG.standard_normal(3),
    }
    X = RNG.standard_normal((20, 2))
    problem = gf.Objective(
        lambda w: jnp.sum(jnp.tanh(jax.nn.relu(X @ w["w"].T + w["b"]) @ w["a"])),
        rates={"w": 2.0, "b": 2.0, "a": 5.0},
    )
    unit = np.diag([0.0, 1.0, 0.0])
    rescale = mixing(lambda w: (w["w"], w["b"]), lambda w: w["a"], unit)
    found = symmetry(problem, rescale, net)
    assert found.invariant is not None
    into = np.sum(net["w"][1] ** 2) + net["b"][1] ** 2
    expected = 0.5 * (into / 2.0 - net["a"][1] ** 2 / 5.0)
    np.testing.assert_allclose(found.invariant(net), expected, rtol=1e-12)


def test_scale_and_translation() -> None:
    """w/‖w‖ conserves ½ ‖w‖²; a softmax the sums over classes."""
    w = RNG.standard_normal(4)
    norm = symmetry(lambda w: w / jnp.linalg.norm(w), scaling(lambda w: w), w)
    assert norm.invariant is not None
    np.testing.assert_allclose(norm.invariant(w), 0.5 * w @ w, rtol=1e-12)
    rows = RNG.standard_normal((3, 4))
    direction = np.array([1.0, 0.0, -2.0, 0.0])
    x = RNG.standard_normal((4, 6))
    shifted = symmetry(
        lambda w: jax.nn.log_softmax(w @ x, axis=0),
        translation(lambda w: w, direction),
        rows,
    )
    assert shifted.invariant is not None
    expected = rows.sum(axis=0) @ direction
    np.testing.assert_allclose(shifted.invariant(rows), expected, rtol=1e-12)
    # A constant field is symmetric and antisymmetric at once.
    assert shifted.has_momentum_charge


def test_a_nonlinear_generator() -> None:
    """x = u³ - v³: ξ = (-u⁻², -v⁻²) = ∇(1/u + 1/v), up to the value at `like`."""
    like = {"u": jnp.array(1.0), "v": jnp.array(1.5)}
    found = symmetry(
        lambda w: w["u"] ** 3 - w["v"] ** 3,
        lambda w: {"u": -(w["u"] ** -2.0), "v": -(w["v"] ** -2.0)},
        like,
    )
    assert found.invariant is not None
    w = {"u": jnp.array(2.0), "v": jnp.array(1.2)}
    expected = (1 / 2.0 + 1 / 1.2) - (1 + 1 / 1.5)
    np.testing.assert_allclose(found.invariant(w), expected, rtol=1e-9)


def test_a_symmetry_times_a_function_is_not_integrable() -> None:
    """f ξ leaves the loss alone as ξ does, but is no gradient field."""
    found = symmetry(
        lambda w: w[0] * w[1],
        lambda w: (1 + w[0] ** 2) * jnp.array([w[0], -w[1]]),
        jnp.array([1.0, 2.0]),
    )
    assert found.holds
    assert found.invariant is None


def test_mirror_flow() -> None:
    """Entropy: G ξ = (1, -1) for the rescaling (u, -v), so Σu - Σv."""
    like = {"u": np.array([1.0, 2.0]), "v": np.array([3.0])}
    found = symmetry(
        lambda w: w["u"][:, None] * w["v"],
        lambda w: {"u": w["u"], "v": -w["v"]},
        like,
        rates=Mirror(),
    )
    assert found.invariant is not None
    w = {"u": jnp.array([2.0, 5.0]), "v": jnp.array([4.0])}
    shift = found.invariant(w) - found.invariant(like)
    np.testing.assert_allclose(shift, (7.0 - 4.0) - (3.0 - 3.0), rtol=1e-12)
    assert np.isnan(found.symmetry)
    assert "the metric depends on w" in repr(found)


@pytest.mark.parametrize("flow", [HeavyBall(0.7), Nesterov()])
def test_angular_momentum_is_conserved(flow: Flow) -> None:
    """Under rates too: e^(γt) ⟨G w', ξ⟩, from a start with a velocity of its own."""
    target = RNG.standard_normal((1, 3))
    problem = gf.Objective(
        lambda w: 0.5 * jnp.sum((product(w) - target) ** 2), rates={"u": 2.0, "v": 2.0}
    )
    w0 = jax.tree.map(jnp.asarray, FACTORS)
    found = symmetry(problem, mixed(TURN), w0)
    charge = found.momentum_charge(flow)
    start = eqx.tree_at(lambda s: s.velocity, flow.init(w0), jax.tree.map(jnp.cos, w0))
    ts = jnp.linspace(1.0, 3.0, 5)
    states = diffrax.diffeqsolve(
        flow.terms(jax.tree.map(lambda _: None, w0)),
        diffrax.Tsit5(),
        1.0,
        3.0,
        0.01,
        start,
        args=problem,
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9),
    ).ys
    assert states is not None
    values = jax.vmap(charge)(ts, states.w, states.velocity)
    assert abs(values[0]) > 0.1
    np.testing.assert_allclose(values, values[0], rtol=1e-6)
    # By hand: the rotation pairs U' with TURN U and V' with -V TURN, both over rate 2.
    dw, w = states.velocity, states.w
    pairs = jnp.sum(dw["u"][-1] * (TURN @ w["u"][-1]))
    pairs -= jnp.sum(dw["v"][-1] * (w["v"][-1] @ TURN))
    factor = np.exp(0.7 * 3.0) if isinstance(flow, HeavyBall) else 3.0**3
    np.testing.assert_allclose(values[-1], factor * pairs / 2, rtol=1e-9)


def test_a_matrix_and_an_action() -> None:
    """One rotation in two ways; Σ w² conserves its angular momentum."""

    def turned(s: Any, w: Any) -> Any:
        return jnp.array([[jnp.cos(s), jnp.sin(s)], [-jnp.sin(s), jnp.cos(s)]]) @ w

    for generator in (TURN, generator_of(turned)):
        found = symmetry(lambda w: jnp.sum(w**2), generator, np.array([1.0, 2.0]))
        assert found.holds
        w, velocity = jnp.array([1.0, 2.0]), jnp.array([3.0, 5.0])
        charge = found.momentum_charge(HeavyBall(0.0))(0.0, w, velocity)
        # ⟨w', (w₂, -w₁)⟩ = 3·2 - 5·1.
        np.testing.assert_allclose(charge, 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (lambda w: 0 * w, "vanishes"),
        (lambda w: w / 0.0, "not finite"),
        (np.eye(3), "must have shape"),
    ],
)
def test_bad_generators_are_told(generator: Any, message: str) -> None:
    """What moves nothing, what is not finite, what does not fit."""
    with pytest.raises(ValueError, match=message):
        symmetry(lambda w: jnp.sum(w**2), generator, np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="a tree like the parameters"):
        symmetry(product, lambda w: {"u": w["u"]}, FACTORS)


def test_a_loss_that_stays_tells_nothing() -> None:
    """Every field leaves it as it is."""
    with pytest.raises(ValueError, match="phi does not change"):
        symmetry(lambda w: 0 * jnp.sum(w), np.eye(2), np.array([1.0, 2.0]))


def test_a_charge_that_is_not_resolved_is_nan() -> None:
    """ξ = (u⁻², v⁻²): -1/u - 1/v far from the pole, and nothing across it."""
    like = {"u": jnp.array(1.0), "v": jnp.array(1.0)}
    found = symmetry(
        lambda w: w["u"] ** 3 - w["v"] ** 3,
        lambda w: {"u": w["u"] ** -2.0, "v": w["v"] ** -2.0},
        like,
    )
    assert found.invariant is not None
    near = {"u": jnp.array(0.2), "v": jnp.array(0.3)}
    np.testing.assert_allclose(found.invariant(near), 2 - 1 / 0.2 - 1 / 0.3, rtol=1e-8)
    for u in (1e-3, -1.0):
        assert np.isnan(found.invariant({"u": jnp.array(u), "v": jnp.array(1.0)}))


def test_frozen_parameters_are_not_to_be_moved() -> None:
    """A rate of 0 breaks the argument."""
    with pytest.raises(ValueError, match="freezes"):
        symmetry(product, mixed(np.eye(2)), FACTORS, rates={"u": 1.0, "v": 0.0})


def test_gradient_flow_has_no_momentum() -> None:
    """Its charge is the invariant."""
    found = symmetry(product, mixed(np.eye(2)), FACTORS)
    with pytest.raises(TypeError, match="see `invariant`"):
        found.momentum_charge(gf.GradientFlow())


def test_a_problem_has_its_own_rates_and_data() -> None:
    """Rates beside a problem would be taken for its own."""
    problem = gf.Objective(lambda w: jnp.sum((product(w) - 1) ** 2))
    with pytest.raises(ValueError, match="its own rates"):
        symmetry(problem, mixed(TURN), FACTORS, rates={"u": 1.0, "v": 2.0})
    with pytest.raises(ValueError, match="its own rates"):
        symmetry(problem, mixed(TURN), FACTORS, inputs=jnp.ones(3))


class Full(gf.problem.Metric):
    """A metric that mixes the two parameters."""

    def inverse_apply(self, w: Any, covector: Any) -> Any:
        return jnp.array([[2.0, 1.0], [1.0, 2.0]]) @ covector

    def check(self, w: Any) -> None:
        pass

    def weights(self) -> None:
        pass


def test_a_metric_that_mixes_is_refused() -> None:
    """G xi would need G; by G's row sums the charge would be wrong."""
    shift = np.array([0.0, 1.0])
    with pytest.raises(ValueError, match="mixes"):
        symmetry(lambda w: w[0], lambda w: shift, np.array([1.0, 2.0]), rates=Full())
