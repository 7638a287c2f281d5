"""Threads that run one job after another and never keep the process from ending."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")
Item = TypeVar("Item")


#: The number of processor cores.
CORES = os.cpu_count() or 1


class Workers:
    """Runs jobs on ``count`` daemon threads. The standard library's executors join their threads at
    exit, so a request that hangs would keep the process from ending."""

    def __init__(self, count: int, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """The number of jobs that no thread has begun yet."""
        return self._jobs.qsize()

    def submit(self, job: Callable[[], Result]) -> Future[Result]:
        """Run the job on one of the threads. Returns a future with its result or exception."""
        future: Future[Result] = Future()
        self._jobs.put((future, job))
        return future

    def map(self, job: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Run the job for every item, in parallel. Returns the results in the order of the
        items."""
        futures = [self.submit(lambda item=item: job(item)) for item in items]  # type: ignore[misc]
        return [future.result() for future in futures]

    def close(self, timeout_seconds: float) -> bool:
        """Cancel the waiting jobs, and wait for the running ones. Returns whether all threads ended
        within the timeout."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                job[0].cancel()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout_seconds / len(self._threads))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, function = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as error:  # the caller gets it from the future
                future.set_exception(error)
