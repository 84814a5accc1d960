"""Parts of a study side by side."""

import math
import os
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from gflow.studies import Claim, StudyResult, merge
from gflow.studies._parallel import Divided, in_parallel, make_room
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


def test_a_divided_part_is_joined_when_its_last_piece_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pieces run side by side, the dearest first, and are joined in their order."""
    # Two threads: the whole part and the dearest piece have them first.
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    begun: list[int] = []
    dearest_has_begun, second_is_done = threading.Event(), threading.Event()

    def piece(number: int, progress: ReportProgress) -> int:
        assert number != 1 or dearest_has_begun.wait(10)
        begun.append(number)
        if number == 1:
            second_is_done.set()
        if number == 2:
            dearest_has_begun.set()
            assert second_is_done.wait(10)
        return number

    def join(found: Sequence[int]) -> StudyResult:
        return result("pieces-" + "-".join(map(str, found)))

    divided = Divided([partial(piece, k) for k in range(3)], [1.0, 2.0, 3.0], join)
    parts = [divided, lambda progress: result("whole")]
    found = list(in_parallel(parts, lambda message: None))
    assert begun == [2, 1, 0]
    names = [claim.name for claim in merge(found).claims]
    assert names == ["pieces-0-1-2", "whole"]


def test_a_piece_that_fails_ends_its_part() -> None:
    """Nothing is joined of the pieces that were done."""

    def piece(number: int, progress: ReportProgress) -> int:
        return 1 // number

    def join(found: Sequence[int]) -> StudyResult:
        return result("joined")

    divided = Divided([partial(piece, k) for k in (1, 0)], [1.0, 1.0], join)
    parts = in_parallel([divided, lambda progress: result("whole")], lambda _: None)
    found: list[StudyResult] = []
    with pytest.raises(ZeroDivisionError):
        found.extend(parts)
    assert "joined" not in [part.claims[0].name for part in found]


def test_linear_algebra_has_one_thread_while_parts_run_side_by_side() -> None:
    """And what it had before once they are done."""

    def threads() -> set[int]:
        libraries = threadpool_info()
        return {lib["num_threads"] for lib in libraries if lib["user_api"] == "blas"}

    seen: list[set[int]] = []

    def part(progress: ReportProgress) -> StudyResult:
        seen.append(threads())
        return result("part")

    with threadpool_limits(3, user_api="blas"):
        assert threads() == {3}
        list(in_parallel([part], lambda message: None))
        assert threads() == {3}
    assert seen == [{1}]


@pytest.mark.parametrize(("most", "num_traces"), [(1, 2), (10**9, 1)])
def test_programs_are_let_go_where_they_are_too_many(
    most: int, num_traces: int
) -> None:
    """And a program that went is traced anew where it is called again."""
    traces: list[int] = []

    @jax.jit
    def double(x: jax.Array) -> jax.Array:
        traces.append(1)
        return 2 * x

    double(jnp.ones(3))
    make_room(most)
    double(jnp.ones(3))
    expected = num_traces if Path("/proc/self/maps").exists() else 1
    assert len(traces) == expected


def test_parts_look_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one mapping is too many, a part's report lets programs go."""
    monkeypatch.setattr("gflow.studies._parallel._most_mappings", lambda: 2)
    cleared: list[int] = []
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(1))

    def part(progress: ReportProgress) -> StudyResult:
        progress("a run")
        return result("part")

    list(in_parallel([part], lambda message: None))
    assert len(cleared) == (1 if Path("/proc/self/maps").exists() else 0)


@pytest.mark.parametrize(
    ("most", "num_cores", "num_threads"),
    [(65_530, 4, 4), (65_530, 64, 8), (1e6, 64, 64), (1.0, 1, 2), (math.inf, 16, 16)],
)
def test_no_more_threads_than_there_is_room_for_their_programs(
    most: float, num_cores: int, num_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of 2,000 mappings in each takes a quarter of the room at most."""
    monkeypatch.setattr("gflow.studies._parallel._most_mappings", lambda: most)
    monkeypatch.setattr(os, "cpu_count", lambda: num_cores)
    seen: set[str] = set()
    together = threading.Barrier(num_threads, timeout=60)

    def part(progress: ReportProgress) -> StudyResult:
        together.wait()
        seen.add(threading.current_thread().name)
        return result("part")

    list(in_parallel([part] * 2 * num_threads, lambda _: None))
    assert len(seen) == num_threads
