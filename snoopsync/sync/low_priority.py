"""Runs work in the service that is less important than everything else, a little at a time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Protocol

from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import CollectionError, NotFound, Unauthorized
from snoopsync.sync.engine import SyncEngine

#: Waits for a number of seconds, then until nothing more important is left to do. Returns false to
#: stop.
Rest = Callable[[float], bool]

#: How often to ask a collection that does not support the work.
_UNSUPPORTED_SECONDS = 86_400.0

#: The pauses after a failure.
_BACKOFF = Backoff(base_seconds=30.0, cap_seconds=1800.0)

#: How often to check whether something more important is left to do.
_WAIT_SECONDS = 0.5

#: The interval between two runs varies by this fraction, so that machines that were started
#: together do not ask together.
_JITTER = 0.25


class LowPriorityWork(Protocol):
    """Work for the collection that can wait."""

    def work_off(self, rest: Rest) -> bool:
        """Do everything that is left to do, with a ``rest`` after each step. Returns whether there
        is something new for the search for duplicates. Raises ``NotFound`` if the collection does
        not support the work, and other errors of the collection."""
        ...


class LowPriorityTask:
    """Runs the work repeatedly until ``stop`` is set. ``run`` is for a separate thread.

    ``is_reconciled`` returns whether everything was compared once, because at the start files are
    sent first. ``on_news`` is called if the work has something new for the search for duplicates,
    ``on_refused`` when the collection refuses the keys.
    """

    def __init__(
        self,
        work: LowPriorityWork,
        interval_seconds: float,
        engine: SyncEngine,
        stop: threading.Event,
        *,
        is_reconciled: Callable[[], bool],
        on_news: Callable[[], None],
        on_refused: Callable[[Unauthorized], None],
    ) -> None:
        self._work = work
        self._interval_seconds = interval_seconds
        self._engine = engine
        self._stop = stop
        self._is_reconciled = is_reconciled
        self._on_news = on_news
        self._on_refused = on_refused

    def run(self) -> None:
        """Run until ``stop`` is set."""
        while not self._is_reconciled():
            if self._stop.wait(_WAIT_SECONDS):
                return
        failures = 0
        while self._rest(0.0):
            try:
                if self._work.work_off(self._rest):
                    self._on_news()
                failures = 0
                jitter = random.uniform(1.0 - _JITTER, 1.0 + _JITTER)
                self._stop.wait(self._interval_seconds * jitter)
            except NotFound:
                self._stop.wait(_UNSUPPORTED_SECONDS)
            except CollectionError as error:
                if isinstance(error, Unauthorized):
                    self._on_refused(error)
                # The engine and the searches report a collection that is down.
                failures += 1
                pause = _BACKOFF.pause(failures, random.random())
                self._stop.wait(max(pause, error.retry_after or 0.0))

    def _rest(self, seconds: float) -> bool:
        """Wait for ``seconds``, then until nothing else is left to send. Returns false if ``stop``
        is set."""
        while not self._stop.wait(seconds):
            engine = self._engine
            if engine.trouble is None and not (engine.in_flight or engine.unsettled):
                return True
            seconds = _WAIT_SECONDS
        return False
