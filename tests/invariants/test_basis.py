"""The functions of the parameters among which laws are sought."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from gflow.invariants._basis import Block, Term, bases, scale, values

# Flat: u is 0 ... 5, v 6 ... 11, s 12.
LEAVES = [Block("u", (2, 3), 0), Block("v", (2, 3), 6), Block("s", (), 12)]


def test_values() -> None:
    """u² v³, s^-1, log |v|, at negative parameters too."""
    terms = [
        Term(((0, 2), (6, 3))),
        Term(((12, -1),)),
        Term(((6, 1),), is_log=True),
        Term(((0, 1),)),
    ]
    w = jnp.zeros(13).at[jnp.array([0, 6, 12])].set(jnp.array([-3.0, -2.0, 4.0]))
    expected = [-72.0, 0.25, math.log(2.0), -3.0]
    np.testing.assert_allclose(values(terms, w), expected, rtol=1e-6)


def test_scales_undo_those_of_the_parameters() -> None:
    """x = w/s: u² v^-1 of x is s_v/s_u² times that of w; a logarithm is shifted."""
    scales = np.full(13, 1.0)
    scales[[0, 6]] = 4.0, 8.0
    assert scale(Term(((0, 2), (6, -1))), scales) == 4.0**2 / 8.0
    assert scale(Term(((0, 1),), is_log=True), scales) == 1.0


def test_sets_grow_to_all_products() -> None:
    """13 linear terms, 13 squares, 6 partners; 18 neighbors; 39 others; all products.

    Neighbors of a 2 × 3 array differ in one index: 3 pairs along columns, 6 along rows.
    """
    sets = list(bases(LEAVES, 2, (-2, -1), 4000))
    sizes = [32, 50, 50 + 39, 13 + math.comb(14, 2) + 39]
    assert [len(found.terms) for found in sets] == sizes
    assert [len(set(found.terms)) for found in sets] == sizes
    assert Term(((1, 1), (7, 1))) in sets[0].terms  # u[0, 1] v[0, 1]
    assert Term(((1, 1), (4, 1))) in sets[1].terms  # u[0, 1] u[1, 1]
    assert Term(((1, 1), (3, 1))) not in sets[1].terms
    assert Term(((1, 1), (3, 1))) in sets[3].terms
    for smaller, larger in itertools.pairwise(sets):
        assert set(smaller.terms) <= set(larger.terms)


def test_degrees() -> None:
    """Of degree 1 only linear terms, of degree 3 cubes as well."""
    first, *_ = bases(LEAVES, 1, (), 4000)
    assert [term.factors for term in first.terms] == [((i, 1),) for i in range(13)]
    *_, last = bases(LEAVES, 3, (), 4000)
    assert len(last.terms) == sum(math.comb(12 + k, k) for k in (1, 2, 3)) + 13


def test_large_sets_are_left_out() -> None:
    """Neighbors go first, then powers, then all."""
    whats = [found.what for found in bases(LEAVES, 2, (-2, -1), 75)]
    assert whats == [
        "linear terms, squares and products of partners",
        "linear terms, squares and products of partners and neighbors",
        "linear terms, squares and products of partners, powers, logarithms",
    ]
    assert list(bases(LEAVES, 2, (-2, -1), 20)) == []


def test_second_derivatives_at_zero() -> None:
    """Of x y, x^2 and x by hand."""
    terms = [Term(((0, 1), (1, 1))), Term(((0, 2),)), Term(((0, 1),))]
    found = jax.hessian(lambda w: values(terms, w))(jnp.array([0.0, 1.0]))
    expected = [[[0, 1], [1, 0]], [[2, 0], [0, 0]], [[0, 0], [0, 0]]]
    np.testing.assert_array_equal(found, expected)
