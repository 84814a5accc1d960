"""Parts of a study side by side: most of a small study's time is compilation."""

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from ._study import ReportProgress, StudyResult

Part = Callable[[ReportProgress], StudyResult]


def in_parallel(
    parts: Sequence[Part], progress: ReportProgress
) -> Iterator[StudyResult]:
    """The results of the parts as they come, computed in as many threads as cores.

    XLA compiles outside of Python's lock, so two parts compile at once. Each result
    knows its place among the parts. Each part calls the progress it is given before
    each of its runs; when the caller gives up (an exception, Ctrl-C) that call ends the
    other parts, so that none goes on unseen for longer than a run. If a part fails,
    its exception is raised, after the results of those that were done before.
    """
    given_up = threading.Event()

    def report(message: str) -> None:
        if given_up.is_set():
            raise _GivenUpError
        progress(message)

    def run(place: int, part: Part) -> StudyResult:
        return dataclasses.replace(part(report), place=place)

    pool = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1))
    futures = [pool.submit(run, *numbered) for numbered in enumerate(parts)]
    unseen = set(futures)
    try:
        for future in as_completed(futures):
            failed = future.exception() is not None
            # Those done at the same time come first.
            ready = {f for f in unseen if _is_ready(f)} if failed else {future}
            unseen -= ready
            yield from (f.result() for f in ready)
            if failed:
                future.result()
    except KeyboardInterrupt:
        progress("interrupted: waiting for the runs under way")
        given_up.set()
        pool.shutdown(wait=True, cancel_futures=True)
        yield from (future.result() for future in unseen if _is_ready(future))
        raise
    finally:
        given_up.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _is_ready(future: Future[StudyResult]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


class _GivenUpError(Exception):
    """Ends a part whose result nobody waits for."""
