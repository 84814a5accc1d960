"""Sums of terms as text."""

import pytest

from gflow.invariants._basis import Block, Term
from gflow.invariants._formula import formula

# Flat: w is 0 ... 5, b 6 and 7, s 8.
LEAVES = [Block("net.w", (2, 3), 0), Block("b", (2,), 6), Block("s", (), 8)]


def power(place: int, exponent: int) -> Term:
    return Term(((place, exponent),))


def times(one: int, other: int) -> Term:
    return Term(((one, 1), (other, 1)))


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ({power(8, 1): 1.0}, "s"),
        ({power(4, 2): -1.0, power(6, 2): 2.0}, "-net.w[1, 1]^2 + 2 b[0]^2"),
        ({power(k, 2): 1.0 for k in (3, 4, 5)}, "|net.w[1, :]|^2"),
        ({power(k, 2): 1.0 for k in (1, 4)}, "|net.w[:, 1]|^2"),
        ({power(k, 2): 1.0 for k in range(6)}, "|net.w|^2"),
        ({power(k, 1): -3.0 for k in (6, 7)}, "-3 sum(b)"),
        ({power(k, -1): 1.0 for k in (6, 7)}, "sum(b^-1)"),
        ({times(k, k + 3): 1.0 for k in range(3)}, "net.w[0, :] . net.w[1, :]"),
        ({times(0, 8): 1.0}, "net.w[0, 0] s"),
        # Not all of an axis, and not in step: one by one.
        ({power(k, 2): 1.0 for k in (3, 4)}, "net.w[1, 0]^2 + net.w[1, 1]^2"),
        ({times(0, 4): 1.0, times(1, 3): 1.0}, None),
        # All of one axis, and one more.
        (
            {power(k, 2): 1.0 for k in (0, 1, 2, 3)},
            "|net.w[0, :]|^2 + net.w[1, 0]^2",
        ),
        ({Term(((8, 1),), is_log=True): 0.5}, "0.5 log|s|"),
        (
            {Term(((k, 1),), is_log=True): 1.0 for k in (6, 7)},
            "sum(log|b|)",
        ),
        # b has two entries, a column of w too, a row three: no dot of b with a row.
        ({times(0, 6): 1.0, times(1, 7): 1.0}, None),
    ],
)
def test_texts(terms: dict[Term, float], text: str | None) -> None:
    """Full slices are told together; whatever is none stays a list of terms."""
    found = formula(terms, LEAVES)
    if text is None:
        assert "." not in found.replace("net.w", "w")
        assert found.count("+") == len(terms) - 1
    else:
        assert found == text


def test_long_sums_are_cut() -> None:
    """Twelve pieces, and how many more."""
    leaf = Block("w", (40,), 0)
    found = formula({power(k, 2): float(k + 2) for k in range(20)}, [leaf])
    assert found.endswith("+ (8 more)")
    assert found.count("^2") == 12
