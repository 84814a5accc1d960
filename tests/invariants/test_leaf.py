"""The leaf of given laws, and the point of it that is next to another."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gflow.invariants._leaf import Landing, Leaf
from gflow.problem import Rates

RNG = np.random.default_rng(5)


@eqx.filter_jit
def land(leaf: Leaf, w: Any, target: Any) -> Landing:
    return leaf.land(w, jnp.asarray(target))


def leaf(law: Any, metric: Any = None) -> Leaf:
    return Leaf({"law": law}, None, metric)


def test_nearest_point_of_a_sphere_lies_on_the_ray() -> None:
    """|w|² = 25 from 1.1 (3, 4): (3, 4), at the distance 0.1 · 5."""
    landing = land(leaf(lambda w: jnp.sum(w**2)), jnp.array([3.0, 4.0]) * 1.1, [25.0])
    np.testing.assert_allclose(landing.w, [3.0, 4.0], rtol=1e-14)
    np.testing.assert_allclose(landing.correction, 0.5, rtol=1e-13)
    assert bool(landing.converged)
    assert float(landing.distance) <= 25 * 16 * 3 * np.finfo(float).eps


def test_the_way_is_along_the_rates() -> None:
    """Of a plane a·w = c it is R a (a·w - c)/(aᵀ R a); what has rate 0 stays."""
    a, rates = {"u": 3.0, "v": 1.0, "z": 2.0}, {"u": 1.0, "v": 5.0, "z": 0.0}
    w = {"u": jnp.asarray(1.0), "v": jnp.asarray(2.0), "z": jnp.asarray(3.0)}
    plane = leaf(lambda w: sum(a[k] * w[k] for k in a), Rates(rates))
    landing = land(plane, w, [4.0])
    # a·w = 11, aᵀ R a = 9 + 5 = 14: λ = -7/14.
    np.testing.assert_allclose(landing.w["u"], 1 - 0.5 * 3, rtol=1e-14)
    np.testing.assert_allclose(landing.w["v"], 2 - 0.5 * 5, rtol=1e-14)
    assert float(landing.w["z"]) == 3.0


def test_laws_that_say_the_same_are_no_trouble() -> None:
    """All entries of a symmetric law, twice, lead where its upper triangle does."""
    w = [jnp.asarray(RNG.standard_normal((4, 4))) for _ in range(2)]

    def balance(w: Any) -> Any:
        return w[1].T @ w[1] - w[0] @ w[0].T

    upper = leaf(lambda w: balance(w)[np.triu_indices(4)])
    whole = leaf(lambda w: jnp.stack([balance(w), 3 * balance(w)]))
    near = jax.tree.map(lambda x: x + 1e-4 * RNG.standard_normal(x.shape), w)
    landings = [land(one, near, one.values(w)) for one in (upper, whole)]
    for landing in landings:
        assert bool(landing.converged)
        np.testing.assert_allclose(balance(landing.w), balance(w), atol=1e-14)
    for one, other in zip(landings[0].w, landings[1].w, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-13)


def test_singular_laws_are_found() -> None:
    """The leaf of Σ w_i² = 0 is a point, at which the law has no derivative."""
    landing = land(
        leaf(lambda w: jnp.concatenate([w[:1], jnp.sum(w[1:] ** 2)[None]])),
        jnp.array([1.0, 1e-3, -2e-3]),
        [1.0, 0.0],
    )
    assert bool(landing.converged)
    np.testing.assert_allclose(landing.w, [1.0, 0.0, 0.0], atol=1e-7)


def test_no_point_is_told() -> None:
    """|w|² = -1, and what a law that never changes would have to be."""
    for law in (lambda w: jnp.sum(w**2), lambda w: 0 * w[0] + 1.0):
        assert not bool(land(leaf(law), jnp.array([1.0, 2.0]), [-1.0]).converged)


def test_what_is_there_stays_in_every_bit() -> None:
    """No iteration, no correction."""
    w = jnp.asarray(RNG.standard_normal(5))
    one = leaf(lambda w: jnp.cumsum(w**2))
    landing = land(one, w, one.values(w))
    assert int(landing.iterations) == 0
    assert float(landing.correction) == 0.0
    np.testing.assert_array_equal(landing.w, w)
