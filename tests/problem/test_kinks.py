"""Problems that declare where they are not smooth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gflow as gf
from gflow.problem import Gated, KinkedObjective

B = np.array([[1.0, 2.0], [-3.0, 1.0]])


def objective() -> KinkedObjective:
    """L = σ(z_1) + 2 σ(z_2) + w_1 w_2 with z = B w and |z| for σ."""
    weights = jnp.array([1.0, 2.0])
    return KinkedObjective(
        lambda w, act: weights @ act(jnp.asarray(B) @ w) + w[0] * w[1],
        slopes=(-1.0, 1.0),
        rates=3.0,
    )


def test_loss_and_switching_values() -> None:
    """L and z as written out."""
    problem, w = objective(), jnp.array([1.0, 0.5])
    z = B @ np.array([1.0, 0.5])
    assert float(problem.loss(w)) == pytest.approx(abs(z[0]) + 2 * abs(z[1]) + 0.5)
    np.testing.assert_allclose(problem.kinks.values(w), z)
    assert problem.kinks.size(w) == 2
    assert problem.kinks.num_calls(w) == 1


def test_gated_gradient_takes_the_slopes_given() -> None:
    """∇L = Bᵀ (c s) + (w_2, w_1), whatever the slopes; descent has the rates."""
    w, slopes = jnp.array([1.0, 0.5]), jnp.array([0.25, -0.5])
    gated = Gated(objective().kinks, slopes)
    expected = B.T @ (np.array([1.0, 2.0]) * np.asarray(slopes)) + [0.5, 1.0]
    np.testing.assert_allclose(gated.grad(w), expected, rtol=1e-12)
    np.testing.assert_allclose(gated.velocity(w), -3 * expected, rtol=1e-12)
    assert gated.predict(w) is None


def test_signals_and_normals() -> None:
    """g is the weight of σ, ∇z a row of B; an index of P stands for none."""
    problem, w = objective(), jnp.array([1.0, 0.5])
    pairs, slopes = jnp.array([1, 2]), jnp.ones(2)
    np.testing.assert_allclose(problem.kinks.signals(w, slopes, pairs), [2.0, 0.0])
    normals = problem.kinks.normals(w, slopes, pairs)
    np.testing.assert_allclose(normals.push(jnp.array([1.0, 10.0])), [7.0, 0.0])
    np.testing.assert_allclose(normals.pull(jnp.array([2.0, 5.0])), 2 * B[1])
    gram = normals.gram(lambda covector: problem.descent(w, covector))
    np.testing.assert_allclose(gram, [[3 * B[1] @ B[1], 0], [0, 0]], rtol=1e-12)


def test_a_smooth_problem_has_no_kinks() -> None:
    """Nothing is declared unless the problem does."""
    assert gf.Objective(lambda w: jnp.sum(w**2)).kinks is None
    risk = gf.EmpiricalRisk(lambda w, x: x @ w, jnp.eye(2), jnp.ones(2))
    assert risk.kinks is None


def test_composed_activations_are_frozen_in_order() -> None:
    """|1 - |w||, at w = 3: slopes of the inner, then of the outer."""
    problem = KinkedObjective(lambda w, act: act(1 - act(w)), slopes=(-1.0, 1.0))
    w = jnp.array(3.0)
    np.testing.assert_allclose(problem.kinks.values(w), [3.0, -2.0])
    assert problem.kinks.num_calls(w) == 2
    for inner, outer in ((1.0, -1.0), (0.5, 0.25)):
        slopes = jnp.array([inner, outer])
        # σ(z_2) = outer (1 - inner w)
        grad = Gated(problem.kinks, slopes).grad(w)
        np.testing.assert_allclose(grad, -outer * inner, rtol=1e-12)
        rows = problem.kinks.normals(w, slopes, jnp.arange(2)).push(jnp.array(1.0))
        np.testing.assert_allclose(rows, [1.0, -inner], rtol=1e-12)


def test_works_under_jit_with_new_slopes() -> None:
    """Slopes are data."""
    kinks = objective().kinks
    grad = jax.jit(lambda s: Gated(kinks, s).grad(jnp.ones(2)))
    assert not np.allclose(grad(jnp.ones(2)), grad(-jnp.ones(2)))


def test_misuse_is_named() -> None:
    """Slopes must rise and the loss be callable."""
    with pytest.raises(ValueError, match="low < high"):
        KinkedObjective(lambda w, act: act(w), slopes=(1.0, 1.0))
    with pytest.raises(TypeError, match="loss"):
        KinkedObjective(3.0)  # pyright: ignore[reportArgumentType]


def test_room_for_all_of_a_hundred_values_at_zero() -> None:
    """A sparse solution holds most of them; beyond some hundreds one must ask."""
    problem = KinkedObjective(lambda w, act: jnp.sum(act(w)), slopes=(-1.0, 1.0))
    for size, room in ((100, 100), (1000, 256)):
        assert problem.kinks.max_held(jnp.zeros(size)) == room
