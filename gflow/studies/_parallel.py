"""Parts of a study side by side: most of a small study's time is compilation."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from ._study import ReportProgress, StudyResult

Part = Callable[[ReportProgress], StudyResult]


def in_parallel(
    parts: Sequence[Part], progress: ReportProgress
) -> Iterator[StudyResult]:
    """The results of the parts, in their order, computed in as many threads as cores.

    XLA compiles outside of Python's lock, so two parts compile at once. Each part calls
    the progress it is given before each of its runs; when the caller gives up (an
    exception, Ctrl-C) that call ends the other parts, so that none goes on unseen for
    longer than a run.
    """
    given_up = threading.Event()

    def report(message: str) -> None:
        if given_up.is_set():
            raise _GivenUpError
        progress(message)

    pool = ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 1))
    try:
        yield from pool.map(lambda part: part(report), parts)
    finally:
        given_up.set()
        pool.shutdown(wait=True, cancel_futures=True)


class _GivenUpError(Exception):
    """Ends a part whose result nobody waits for."""
