"""Conserved quantities of the flows of diagonal linear networks."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.integrate import solve_ivp

from gflow.invariants import Invariant, diagonal_invariants
from gflow.models import DiagonalNet, WeightNormalized, sparse_p1

RNG = np.random.default_rng(5)
A, Y = RNG.standard_normal((3, 6)), RNG.standard_normal(3)

# (depth, signed, layerwise, separate) -> the names of the laws of the normalized net
NETS: dict[tuple[int, bool, bool, bool], set[str]] = {
    (1, False, False, False): {"norm", "range"},
    (2, False, False, False): {"norm", "range"},
    (3, False, False, False): {"norm", "range"},
    (1, True, False, False): {"norm", "range", "pair"},
    (2, True, False, False): {"norm", "range", "pair"},
    (3, True, False, False): {"norm", "range", "pair"},
    (2, True, False, True): {"norm", "range_u", "range_v"},
    (3, True, False, True): {"norm", "range_u", "range_v"},
    (2, False, True, False): {"norm", "layers", "radii"},
    (4, False, True, False): {"norm", "layers", "radii"},
    (3, True, True, False): {"norm", "layers", "radii"},
    (3, True, True, True): {"norm", "layers", "radii"},
}


def build(
    net: tuple[int, bool, bool, bool], kind: str, kappa: float = 2.5
) -> tuple[Any, Any]:
    """A model and parameters in no special position: all norms and layers differ."""
    depth, signed, layerwise, separate = net
    plain = DiagonalNet(6, depth, signed=signed, layerwise=layerwise)
    halves = [RNG.uniform(0.5, 1.5, plain.shape) for _ in range(1 + signed)]
    if kind == "plain":
        return plain, plain.init(*halves)
    model: Any = WeightNormalized(plain, kind, kappa=kappa, separate=separate)  # pyright: ignore[reportArgumentType]
    return model, model.init(*halves, norm=0.7 if kind == "standard" else 1.0)


def rate_of_change(law: Invariant, w: Any, velocity: Any) -> float:
    """‖dh/dt‖ relative to ‖h‖ (or the pieces of h) and ‖dw/dt‖."""
    value, change = jax.jvp(law, (w,), (velocity,))
    size = np.linalg.norm(value if law.scale is None else law.scale(w))
    speed = np.linalg.norm(ravel_pytree(velocity)[0])
    return float(np.linalg.norm(change) / (size * speed))


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("kind", ["plain", "polar", "standard", "exponential"])
def test_laws_are_constant_to_first_order_at_a_generic_point(
    net: tuple[int, bool, bool, bool], kind: str
) -> None:
    """<∇h, dw/dt> = 0 exactly, with no integration; and no law is missing."""
    model, w = build(net, kind)
    laws = diagonal_invariants(model, A, w)
    expected = NETS[net]
    if kind == "plain":
        expected = expected - {"norm", "radii"}
        if net[3]:
            # Separate norms mean nothing to a plain net: the joint laws hold.
            expected = {"layers"} if net[2] else {"range", "pair"}
    assert set(laws) == expected
    velocity = model.problem(A, Y).velocity(w)
    for name, law in laws.items():
        # Sums of some ten terms that cancel, in float64.
        assert rate_of_change(law, w, velocity) < 1e-13, name


@pytest.mark.parametrize("net", [n for n in NETS if not (n[1] and n[3])])
@pytest.mark.parametrize("kind", ["polar", "exponential"])
def test_another_kappa_breaks_the_laws(
    net: tuple[int, bool, bool, bool], kind: str
) -> None:
    """The laws test something: with kappa off by a tenth they visibly fail."""
    model, w = build(net, kind)
    velocity = model.problem(A, Y).velocity(w)
    wrong = eqx.tree_at(lambda m: m.kappa, model, model.kappa * 1.1)
    for name, law in diagonal_invariants(wrong, A).items():
        # In log U_u - log U_v, with one norm and depth 2, kappa cancels.
        free = name == "range" and net[:2] == (2, True)
        if name not in ("norm", "radii") and not free:
            assert rate_of_change(law, w, velocity) > 1e-4, name


def test_pair_is_not_conserved_under_separate_norms() -> None:
    """u v exp(k r^2)/r^2 needs one norm for both halves."""
    model, w = build((2, True, False, True), "polar")
    velocity = model.problem(A, Y).velocity(w)
    joint = WeightNormalized(model.net, kappa=model.kappa)
    pair = diagonal_invariants(joint)["pair"]
    weights, dw_dt = jax.jvp(model.weights, (w,), (velocity,))
    _, change = jax.jvp(lambda u: pair(_polar(u)), (weights,), (dw_dt,))
    assert np.linalg.norm(change) > 1e-2


def _polar(weights: dict[str, Any]) -> dict[str, Any]:
    square = sum((half**2).sum() for half in weights.values())
    return {"radius": square**0.5, "direction": weights}


def test_pair_is_the_closed_form() -> None:
    """u v exp(k r^2)/r^2 with r^2 = ||u||^2 + ||v||^2, up to the constant of w0."""
    model, w = build((2, True, False, False), "polar")
    u, v = (np.asarray(model.weights(w)[half]) for half in ("u", "v"))
    r2 = np.sum(u**2) + np.sum(v**2)
    expected = u * v * np.exp(2.5 * r2) / r2
    pair = diagonal_invariants(model)["pair"]
    np.testing.assert_allclose(pair(w), expected, rtol=1e-12)
    assert pair.formula == "u v exp(kappa r^2) / r^2"
    scaled = diagonal_invariants(model, w0=w)["pair"]
    np.testing.assert_allclose(scaled(w), expected * np.exp(-2.5 * r2), rtol=1e-12)


def test_laws_stay_finite_where_their_exponentials_overflow() -> None:
    """kappa r^2 of some thousands: finite, given w0."""
    for net in NETS:
        model, w0 = build(net, "polar", kappa=1000.0)
        bigger = {**w0, "radius": jax.tree.map(lambda r: 1.2 * r, w0["radius"])}
        for name, law in diagonal_invariants(model, A, w0).items():
            for w in (w0, bigger):
                assert np.all(np.isfinite(law(w))), (net, name)
                assert law.scale is None or np.all(np.isfinite(law.scale(w)))


@pytest.mark.parametrize("kappa", [None, 5.0])
@pytest.mark.parametrize("depth", [2, 3])
def test_laws_hold_along_the_flow_on_p1(kappa: float | None, depth: int) -> None:
    """Relative drift up to t = 1000 at rtol 1e-10, signed halves, below 1e-7."""
    data = sparse_p1()
    net = DiagonalNet(40, depth, signed=True)
    model = net if kappa is None else WeightNormalized(net, kappa=kappa)
    w0 = model.init(0.2)
    flat, unravel = ravel_pytree(w0)
    problem = model.problem(data.A, data.y)
    velocity = jax.jit(lambda w: ravel_pytree(problem.velocity(unravel(w)))[0])
    run = solve_ivp(
        lambda _, w: np.asarray(velocity(w)),
        (0, 1000.0),
        np.asarray(flat),
        method="LSODA",
        t_eval=[0.0, 1.0, 10.0, 1000.0],
        rtol=1e-10,
        atol=1e-16,
    )
    points = [unravel(w) for w in run.y.T]
    for name, law in diagonal_invariants(model, data.A, w0).items():
        scale = law if law.scale is None else law.scale
        size = max(np.linalg.norm(scale(w)) for w in points)
        drift = max(np.linalg.norm(law(w) - law(w0)) for w in points)
        assert drift < 1e-7 * size, name


def test_other_data_do_not_compile_anew() -> None:
    """A, kappa and w0 are leaves of the laws."""
    traces = 0

    @eqx.filter_jit
    def measure(laws: dict[str, Invariant], w: Any) -> Any:
        nonlocal traces
        traces += 1
        return {name: law(w) for name, law in laws.items()}

    for kappa in (1.0, 2.0):
        model, w = build((2, True, False, False), "polar", kappa)
        measure(diagonal_invariants(model, kappa * A + 1.0, w), w)
    assert traces == 1


def test_no_range_law_where_the_kernel_is_trivial() -> None:
    """A with full column rank leaves nothing: range(A^T) is everything."""
    assert "range" not in diagonal_invariants(DiagonalNet(6), np.eye(6))
    assert "range" not in diagonal_invariants(DiagonalNet(6))
