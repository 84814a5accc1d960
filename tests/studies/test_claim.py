"""Claims: when they hold, and how they read."""

import math
from typing import Any

import pytest
from jaxtyping import TypeCheckError

from gflow.studies import Claim


def claim(kind: Any, expected: float, measured: float, tolerance: float) -> Claim:
    return Claim("c", "It is so.", "Euler 1744", expected, measured, tolerance, kind)


@pytest.mark.parametrize(
    ("kind", "expected", "tolerance", "inside", "outside"),
    [
        ("relative", -2.0, 0.01, -2.019, -2.021),  # |m - e| ≤ 0.02
        ("absolute", 1.0, 0.05, 0.96, 0.94),
        ("at_most", 1e-7, 0.0, 1e-7, 1.1e-7),
        ("at_least", 0.9, 0.1, 0.81, 0.79),  # m ≥ 0.8
        ("factor", 1e-9, 2.0, 5.1e-10, 4.9e-10),  # 5e-10 ≤ m ≤ 2e-9
        ("factor", 1e-9, 2.0, 1.9e-9, -1e-9),  # a factor keeps the sign
    ],
)
def test_boundaries(
    kind: str, expected: float, tolerance: float, inside: float, outside: float
):
    """Each kind of comparison holds up to its own boundary, and not past it."""
    assert claim(kind, expected, inside, tolerance).holds
    assert not claim(kind, expected, outside, tolerance).holds


def test_the_worse_end_of_an_interval_decides_a_bound():
    """At least 1 holds of 1.5 (1.1 to 2), and not of 1.5 (0.9 to 2)."""

    def bounded(kind: Any, interval: tuple[float, float], measured: float = 1.5):
        text = ("c", "It is so.", "Euler 1744", 1.0, measured, 0.0, kind)
        return Claim(*text, interval=interval)

    assert bounded("at_least", (1.1, 2.0)).holds
    assert not bounded("at_least", (0.9, 2.0)).holds
    assert bounded("at_most", (0.1, 0.9), 0.5).holds
    assert not bounded("at_most", (0.1, 1.1), 0.5).holds
    assert not bounded("at_most", (0.1, 0.9), math.nan).holds
    shown = bounded("at_least", (1.1, 2.0)).record()["shown"]
    assert shown["measured"] == "1.5 (1.1 to 2)"
    with pytest.raises(ValueError, match="interval"):
        bounded("at_most", (1.0, math.nan))


@pytest.mark.parametrize(
    "kind", ["relative", "absolute", "at_most", "at_least", "factor"]
)
def test_nan_never_holds(kind: str):
    """No comparison is true of NaN."""
    assert not claim(kind, 1.0, math.nan, 5.0).holds


@pytest.mark.parametrize(
    ("kind", "expected", "tolerance"),
    [
        ("absolute", math.nan, 0.1),
        ("absolute", 1.0, -0.1),
        ("factor", 1.0, 0.5),
        ("at_most", 1.0, math.inf),
    ],
)
def test_a_claim_that_decides_nothing_is_refused(
    kind: str, expected: float, tolerance: float
):
    """NaN and tolerances without meaning are misuse."""
    with pytest.raises(ValueError, match="claim"):
        claim(kind, expected, 1.0, tolerance)


def test_only_failing_claims_are_explained():
    """And a tolerance that was measured and is not a number lets nothing hold."""
    text = ("c", "It is so.", "Euler 1744", 1.0)
    assert Claim(*text, 1.0, note="why").record()["note"] == ""
    assert Claim(*text, 2.0, note="why").record()["note"] == "why"
    assert not Claim(*text, 1.0, math.nan, "absolute").holds


def test_unknown_kinds_are_refused():
    """By gflow itself, or by the type checker that the tests put before it."""
    with pytest.raises((ValueError, TypeCheckError), match="kind"):
        claim("equal", 1.0, 1.0, 0.1)


def test_record_is_plain_data_with_its_verdict():
    """A claim goes into the manifest with its numbers raw and as shown."""
    record = claim("relative", 0.0483, 0.0484, 0.02).record()
    assert record["holds"] is True
    assert record["measured"] == 0.0484
    assert record["shown"] == {
        "expected": "0.0483",
        "measured": "0.0484",
        "tolerance": "2 %",
    }
    assert claim("at_most", 1e-7, 0.0, 0.0).record()["shown"]["expected"] == "≤ 1e-07"
