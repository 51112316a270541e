"""Runs on other threads: what `Model.run_async` gives."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from martlet._progress import Progress
from martlet._results import Results


class RunFuture(Future[Results]):
    """A run on another thread: ``result()`` waits for its `Results`.

    ``cancel()`` also ends a run that has begun, soon: then ``result()`` raises
    `martlet.CancelledError`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_unwanted = threading.Event()

    def cancel(self) -> bool:
        """Whether the run will not be done; a run under way ends before its next node."""
        if super().cancel():
            return True
        if self.done():
            return False
        self._is_unwanted.set()
        return True

    def _goes_on(self, progress: Progress | None) -> Progress:
        """A progress function that also looks whether the run is still wanted."""

        def told(fraction: float, stage: str) -> bool | None:
            if self._is_unwanted.is_set():
                return False
            return None if progress is None else progress(fraction, stage)

        return told


_lock = threading.Lock()
_executor: ThreadPoolExecutor | None = None


def _forget() -> None:
    """A child of fork() has none of its parent's threads."""
    global _executor, _lock
    _executor, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def start(run: Callable[[Progress], Results], progress: Progress | None) -> RunFuture:
    """Calls ``run(progress)`` on a thread that is kept for such runs."""
    global _executor
    future = RunFuture()

    def work() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            results = run(future._goes_on(progress))
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(results)

    with _lock:
        if _executor is None:
            count = max(2, len(os.sched_getaffinity(0)))
            _executor = ThreadPoolExecutor(count, thread_name_prefix="martlet-run")
        _executor.submit(work)
    return future
