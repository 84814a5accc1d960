"""Weight normalization of diagonal linear networks."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from gflow.models import DiagonalNet, WeightNormalized

RNG = np.random.default_rng(11)
A, Y = RNG.standard_normal((3, 5)), RNG.standard_normal(3)

# (depth, signed, layerwise, separate)
NETS = [
    (2, False, False, False),
    (3, False, False, False),
    (2, True, False, False),
    (2, True, False, True),
    (3, False, True, False),
    (2, True, True, False),
    (3, True, True, True),
]


def model_and_start(
    net: tuple[int, bool, bool, bool], kind: Any, kappa: float, norm: float
) -> tuple[WeightNormalized, dict[str, Any]]:
    depth, signed, layerwise, separate = net
    plain = DiagonalNet(5, depth, signed=signed, layerwise=layerwise)
    model = WeightNormalized(plain, kind, kappa=kappa, separate=separate)
    halves = [RNG.uniform(0.5, 1.5, plain.shape) for _ in range(1 + signed)]
    return model, model.init(*halves, norm=norm)


def groups(tree: dict[str, Any], separate: bool, layerwise: bool) -> list[np.ndarray]:
    """The vectors that are normalized one by one, each flattened."""
    arrays = [np.atleast_2d(np.asarray(tree[half])) for half in sorted(tree)]
    joined = arrays if separate else [np.concatenate(arrays, axis=1)]
    return [row for array in joined for row in array]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(
    ("kind", "norm"), [("polar", 1.0), ("standard", 0.5), ("exponential", 1.0)]
)
def test_velocity_is_that_of_the_written_out_polar_flow(
    net: tuple[int, bool, bool, bool], kind: Any, norm: float
) -> None:
    """Each group's weights obey w' = c r' v + r v' with the polar laws for r and v.

    r' = -<g, v>, or -r^2 <g, v> for r = e^s; v' = -k r (I - v v^T) g with k the rate
    over ||V||^2.
    """
    model, w = model_and_start(net, kind, 5.0, norm)
    velocity = model.problem(A, Y).velocity(w)
    weights, dw_dt = jax.jvp(model.weights, (w,), (velocity,))
    gradient = model.net.problem(A, Y).grad(weights)
    rows = zip(
        *(groups(t, net[3], net[2]) for t in (weights, gradient, dw_dt)), strict=True
    )
    for plain, g, moved in rows:
        r = np.linalg.norm(plain)
        v = plain / r
        along = g @ v
        dr_dt = -(r**2 if kind == "exponential" else 1) * along
        dv_dt = -5.0 / norm**2 * r * (g - v * along)
        np.testing.assert_allclose(moved, dr_dt * v + r * dv_dt, rtol=1e-10, atol=1e-12)


def test_exponential_kind_is_plain_flow_in_another_time() -> None:
    """At kappa = 1, w' = -||w||^2 g."""
    model, w = model_and_start(NETS[2], "exponential", 1.0, 1.0)
    velocity = model.problem(A, Y).velocity(w)
    weights, dw_dt = jax.jvp(model.weights, (w,), (velocity,))
    plain = model.net.problem(A, Y).velocity(weights)
    square = sum(float(np.sum(half**2)) for half in weights.values())
    for half in ("u", "v"):
        np.testing.assert_allclose(dw_dt[half], square * plain[half], rtol=1e-12)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("kind", ["polar", "standard", "exponential"])
def test_init_stands_for_the_given_weights(
    net: tuple[int, bool, bool, bool], kind: Any
) -> None:
    """`weights(init(alpha))` is the plain `init(alpha)`, and ||V|| is as asked."""
    norm = 1.0 if kind == "polar" else 0.3
    plain = DiagonalNet(5, net[0], signed=net[1], layerwise=net[2])
    model = WeightNormalized(plain, kind, separate=net[3])
    alpha = RNG.uniform(0.5, 1.5, plain.shape)
    w0 = model.init(alpha, norm=norm)
    for half, value in model.weights(w0).items():
        np.testing.assert_allclose(value, plain.init(alpha)[half], rtol=1e-14)
    for value in jax.tree.leaves(model.norm(w0["direction"])):
        np.testing.assert_allclose(value, norm, rtol=1e-14)


def test_effective_init_is_the_closed_form() -> None:
    """w0_eff = w0 (r/r0) exp(-k (r^2 - r0^2)/2), k the rate over ||V||^2."""
    for kind, norm in (("polar", 1.0), ("standard", 0.5)):
        model, w0 = model_and_start(NETS[2], kind, 3.0, norm)
        r0, r, kappa = float(model.radius(w0)), 2.5, 3.0 / norm**2
        factor = r / r0 * np.exp(-kappa * (r**2 - r0**2) / 2)
        for half, value in model.effective_init(w0, r).items():
            expected = factor * np.asarray(model.weights(w0)[half])
            np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_other_kappa_does_not_compile_anew() -> None:
    """The rate and the data are leaves of the problem."""
    traces = 0

    @eqx.filter_jit
    def velocity(problem: Any, w: Any) -> Any:
        nonlocal traces
        traces += 1
        return problem.velocity(w)

    for kappa in (1.0, 10.0):
        model = WeightNormalized(DiagonalNet(5), kappa=kappa)
        velocity(model.problem(kappa * A, Y), model.init(kappa))
    assert traces == 1


def test_misuse_is_named() -> None:
    """Kinds, rates, norms and groups that make no sense raise at once."""
    net = DiagonalNet(5)
    # A TypeError where types are checked at run time, as they are in tests.
    with pytest.raises((ValueError, TypeError), match="kind"):
        WeightNormalized(net, "spherical")  # pyright: ignore[reportArgumentType]
    for kappa in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="kappa must be"):
            WeightNormalized(net, kappa=kappa)
    with pytest.raises(ValueError, match="signed"):
        WeightNormalized(net, separate=True)
    with pytest.raises(ValueError, match="1 if polar"):
        WeightNormalized(net).init(1.0, norm=2.0)
    with pytest.raises(ValueError, match="no direction"):
        WeightNormalized(net).init(0.0)
    layered = WeightNormalized(DiagonalNet(5, layerwise=True))
    with pytest.raises(ValueError, match="one joint norm"):
        layered.effective_init(layered.init(1.0), 1.0)
