"""Parts of a study side by side."""

import threading

import pytest

from gflow.studies import Claim, StudyResult, merge
from gflow.studies._parallel import in_parallel
from gflow.studies._study import ReportProgress


def result(name: str) -> StudyResult:
    """A result to be told by its claim's name."""
    return StudyResult((Claim(name, "", "", expected=0.0, measured=0.0),))


def test_results_come_as_they_are_done_and_are_merged_in_order():
    """Whichever part ends first is there first, and in its place in the end."""
    second_is_seen = threading.Event()

    def first(progress: ReportProgress) -> StudyResult:
        assert second_is_seen.wait(10)
        return result("first")

    def second(progress: ReportProgress) -> StudyResult:
        progress("second")
        return result("second")

    heard: list[str] = []
    found: list[StudyResult] = []
    # Two workers at least, or the first would wait for ever: that is what is claimed.
    for part in in_parallel([first, second], heard.append):
        found.append(part)
        second_is_seen.set()
    assert [part.claims[0].name for part in found] == ["second", "first"]
    assert [claim.name for claim in merge(found).claims] == ["first", "second"]
    assert heard == ["second"]


def test_a_part_that_fails_ends_the_others_and_leaves_those_before():
    """What came before it is kept; a part under way ends at its next report."""
    begun, ended = threading.Event(), threading.Event()

    def good(progress: ReportProgress) -> StudyResult:
        return result("good")

    def bad(progress: ReportProgress) -> StudyResult:
        assert begun.wait(10)
        raise RuntimeError("bad")

    def endless(progress: ReportProgress) -> StudyResult:
        begun.set()
        try:
            while True:
                progress("still at it")
        finally:
            ended.set()

    parts = in_parallel([good, bad, endless], lambda message: None)
    assert next(parts).claims[0].name == "good"
    with pytest.raises(RuntimeError, match="bad"):
        next(parts)
    assert ended.is_set()
