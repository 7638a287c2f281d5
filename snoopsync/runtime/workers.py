"""A few threads that do one job after another, and never keep the process from ending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")
Item = TypeVar("Item")


class Workers:
    """``count`` daemon threads. An executor of the standard library would be joined at exit, and
    with it a request that hangs until its timeout."""

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

    def submit(self, job: Callable[[], Result]) -> Future[Result]:
        """Have a job done; its result, or its exception, is in the future."""
        future: Future[Result] = Future()
        self._jobs.put((future, job))
        return future

    def map(self, job: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Do the job for every item, side by side, and wait for all the results, in order."""
        futures = [self.submit(lambda item=item: job(item)) for item in items]  # type: ignore[misc]
        return [future.result() for future in futures]

    def close(self, timeout_seconds: float) -> bool:
        """Let the jobs under way end; those that wait are cancelled. True if all have ended."""
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
            except BaseException as error:  # it belongs to whoever waits for the future
                future.set_exception(error)
