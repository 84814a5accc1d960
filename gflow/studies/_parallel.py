"""Parts of a study side by side: most of a small study's time is compilation."""

import dataclasses
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from ._study import ReportProgress, StudyResult

Part = Callable[[ReportProgress], StudyResult]
_SECONDS_BETWEEN_LOOKS = 10.0
# Of the largest program seen, one flow of a ReLU net (x86-64, jaxlib 0.10).
_MAPPINGS_OF_A_PROGRAM = 2000


@dataclasses.dataclass(frozen=True)
class Divided:
    """A part made of pieces that run side by side, for parts that outlast the others.

    **Arguments:**

    - `pieces`: each called with the progress.
    - `costs`: of each piece, in any unit: the dearest is begun first, so that no thread
        is left alone with it at the end.
    - `join`: makes the part's result of what the pieces return, in their order.
    """

    pieces: Sequence[Callable[[ReportProgress], Any]]
    costs: Sequence[float]
    join: Callable[[Sequence[Any]], StudyResult]


def in_parallel(
    parts: Sequence[Part | Divided], progress: ReportProgress
) -> Iterator[StudyResult]:
    """The results of the parts as they come, computed in at most a thread a core.

    In so few that the programs of the runs under way take a quarter of what the system
    has room for, as programs are let go only where they take half of it: at most eight
    under Linux's usual limit of 65,530 mappings, and at least two.

    Whole parts are begun first, in their order, then the pieces of divided ones. XLA
    compiles outside of Python's lock, so two parts compile at once. Each result knows
    its place among the parts. Each part calls the progress it is given before
    each of its runs; when the caller gives up (an exception, Ctrl-C) that call ends the
    other parts, so that none goes on unseen for longer than a run. If a part fails,
    its exception is raised, after the results of those that were done before.

    LAPACK has one thread meanwhile: the cores are taken, and threads of its own would
    wait for each other at each small factorization, many times as long as that takes.
    Compiled programs are let go before they are too many.
    """
    # What jax calls LAPACK through: loaded now, so that its threads can be limited.
    import_module("scipy.linalg")
    with threadpool_limits(1, user_api="blas"):
        yield from _in_threads(parts, progress)


def _in_threads(
    parts: Sequence[Part | Divided], progress: ReportProgress
) -> Iterator[StudyResult]:
    given_up = threading.Event()
    last_look = -math.inf

    def report(message: str) -> None:
        nonlocal last_look
        if given_up.is_set():
            raise _GivenUpError
        progress(message)
        if time.monotonic() - last_look > _SECONDS_BETWEEN_LOOKS:
            last_look = time.monotonic()
            make_room(_most_mappings() / 2)

    pool = ThreadPoolExecutor(max_workers=_num_threads())
    jobs = [job for place, part in enumerate(parts) for job in _jobs(place, part)]
    jobs.sort(key=lambda job: -job.cost)
    futures = [pool.submit(job.run, report) for job in jobs]
    unseen = set(futures)
    try:
        for future in as_completed(futures):
            failed = future.exception() is not None
            # Those done at the same time come first.
            ready = {f for f in unseen if _is_ready(f)} if failed else {future}
            unseen -= ready
            yield from _results(ready)
            if failed:
                future.result()
    except KeyboardInterrupt:
        progress("interrupted: waiting for the runs under way")
        given_up.set()
        pool.shutdown(wait=True, cancel_futures=True)
        yield from _results(future for future in unseen if _is_ready(future))
        raise
    finally:
        given_up.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _num_threads() -> int:
    room = _most_mappings() / 4 / _MAPPINGS_OF_A_PROGRAM
    return max(2, int(min(os.cpu_count() or 1, room)))


def make_room(most: float) -> None:
    """Lets all compiled programs go where the process maps memory `most` times or more.

    Linux ends a process, in the middle of LLVM, that maps memory more often than 65,530
    times. What is needed again is compiled again. Other systems have no such count, and
    nothing is done.
    """
    try:
        with Path("/proc/self/maps").open(encoding="utf-8") as mappings:
            num_mappings = sum(1 for _ in mappings)
    except OSError:
        return
    if num_mappings >= most:
        import_module("jax").clear_caches()


def _most_mappings() -> float:
    try:
        return int(Path("/proc/sys/vm/max_map_count").read_text(encoding="utf-8"))
    except OSError:
        return math.inf


class _Job(NamedTuple):
    """Something to do; None where others of its part are still at work."""

    cost: float
    run: Callable[[ReportProgress], StudyResult | None]


def _jobs(place: int, part: Part | Divided) -> list[_Job]:
    if not isinstance(part, Divided):
        return [
            _Job(
                math.inf, lambda report: dataclasses.replace(part(report), place=place)
            )
        ]
    found: dict[int, Any] = {}
    lock = threading.Lock()

    def run(number: int, report: ReportProgress) -> StudyResult | None:
        piece = part.pieces[number](report)
        with lock:
            found[number] = piece
            is_last = len(found) == len(part.pieces)
        if not is_last:
            return None
        joined = part.join([found[k] for k in range(len(found))])
        return dataclasses.replace(joined, place=place)

    return [_Job(cost, partial(run, k)) for k, cost in enumerate(part.costs)]


def _results(futures: Iterable[Future[StudyResult | None]]) -> Iterator[StudyResult]:
    results = (future.result() for future in futures)
    return (result for result in results if result is not None)


def _is_ready(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


class _GivenUpError(Exception):
    """Ends a part whose result nobody waits for."""
