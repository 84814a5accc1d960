"""Diagonal linear networks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gflow.models import DiagonalNet

RNG = np.random.default_rng(7)
A, Y = RNG.standard_normal((3, 5)), RNG.standard_normal(3)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("signed", [False, True])
def test_velocity_is_that_of_the_written_out_flow(depth: int, signed: bool) -> None:
    """The velocity is -L h w^(L-1), h = A^T(A x - y), with -h on the negative half."""
    net = DiagonalNet(5, depth, signed=signed)
    w = net.init(RNG.uniform(0.5, 1.5, 5), RNG.uniform(0.5, 1.5, 5) if signed else None)
    x = np.asarray(w["u"]) ** depth - (np.asarray(w["v"]) ** depth if signed else 0)
    h = A.T @ (A @ x - Y)
    velocity = net.problem(A, Y).velocity(w)
    for half, sign in (("u", -1), ("v", 1))[: len(w)]:
        expected = sign * depth * h * np.asarray(w[half]) ** (depth - 1)
        np.testing.assert_allclose(velocity[half], expected, rtol=1e-12)
    np.testing.assert_allclose(net.effective(w), x, rtol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_equal_layers_move_as_the_shared_vector_at_one_lth_of_its_speed(
    depth: int,
) -> None:
    """Each layer's gradient is h times the other layers; the shared one has L of it."""
    alpha = RNG.uniform(0.5, 1.5, 5)
    shared, layered = DiagonalNet(5, depth), DiagonalNet(5, depth, layerwise=True)
    one = shared.problem(A, Y).velocity(shared.init(alpha))["u"]
    each = layered.problem(A, Y).velocity(layered.init(alpha))["u"]
    np.testing.assert_allclose(each, np.tile(one / depth, (depth, 1)), rtol=1e-12)


def test_layers_multiply() -> None:
    """A layerwise net is the product over layers, halves apart."""
    net = DiagonalNet(2, 3, signed=True, layerwise=True)
    w = net.init(jnp.array([[1.0], [2.0], [3.0]]), jnp.array([1.0, 2.0]))
    np.testing.assert_array_equal(net.effective(w), [6.0 - 1.0, 6.0 - 8.0])


def test_other_data_do_not_compile_anew() -> None:
    """Data of the same shape are leaves of the problem: the loss is traced once."""
    traces = 0

    @eqx.filter_jit
    def loss(problem: eqx.Module, w: dict[str, jax.Array]) -> jax.Array:
        nonlocal traces
        traces += 1
        return problem.loss(w)  # pyright: ignore[reportAttributeAccessIssue]

    for scale in (1.0, 2.0):
        net = DiagonalNet(5)
        loss(net.problem(scale * A, Y), net.init(scale))
    assert traces == 1


def test_misuse_is_named() -> None:
    """Sizes, depths, weights and data that do not fit raise at once."""
    with pytest.raises(ValueError, match="size must be at least 1"):
        DiagonalNet(0)
    with pytest.raises(ValueError, match="depth must be at least 2"):
        DiagonalNet(3, 1, layerwise=True)
    net = DiagonalNet(5)
    with pytest.raises(ValueError, match="do not broadcast"):
        net.init(np.ones((2, 5)))
    with pytest.raises(ValueError, match="finite"):
        net.init(np.nan)
    with pytest.raises(ValueError, match="has none"):
        net.init(1.0, 1.0)
    with pytest.raises(ValueError, match=r"A must have shape \(M, 5\)"):
        net.problem(A.T, Y)
