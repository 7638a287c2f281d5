"""The thread that searches for duplicates of confirmed images."""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import closing

from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import CollectionError, Unauthorized
from snoopsync.core.events import Event
from snoopsync.log.throttle import LogThrottle
from snoopsync.sync.duplicate_search import DuplicateSearch
from snoopsync.sync.engine import SyncEngine

log = logging.getLogger("snoopsync.service")

#: How many failures of the search are logged. Further ones are only counted.
_MAX_LOGGED = 5

#: While pictures are sent, the thread rests after each search for this many times as long as the
#: search took. Pictures that arrive together are mirrored first. Alerts about them come later.
_RESTS = 9

#: How often to check, during a rest, whether pictures are still being sent.
_LOOK_SECONDS = 0.1

_KEEPS_FAILING = "the search for duplicates keeps failing and working again"


class SearchThread:
    """Searches for duplicates in ``run``. The other methods are for any thread. ``error``: why the
    last search failed, or ``None``."""

    def __init__(
        self,
        duplicate_search: DuplicateSearch,
        engine: SyncEngine,
        stop: threading.Event,
        backoff: Backoff,
    ) -> None:
        """``backoff``: the pauses after failures."""
        self.error: CollectionError | None = None
        self._duplicate_search = duplicate_search
        self._engine = engine
        self._stop = stop
        self._backoff = backoff
        self._failures = 0
        #: When images whose search failed are searched for again, in monotonic seconds. New images
        #: do not wait for this.
        self._again_at: float | None = None
        self._refusal: Unauthorized | None = None
        # Set from the start: images may be due since an earlier process, or an upgrade.
        self._due = threading.Event()
        self._due.set()
        self._retry = threading.Event()

    def search_soon(self) -> None:
        """Note that there are images to search for."""
        self._due.set()

    def retry_now(self) -> None:
        """Do not wait any longer for the next attempt."""
        self._retry.set()
        self._due.set()

    def end(self) -> None:
        """Stop waiting. Call this after setting ``stop``."""
        self._due.set()
        self._retry.set()

    def note_refusal(self, error: Unauthorized) -> None:
        """Note that the collection refused the keys. The engine then stops sending, and regularly
        checks whether the keys are accepted again."""
        self._refusal = error

    def take_refusal(self) -> Unauthorized | None:
        """Remove and return the last refusal, or ``None``."""
        refusal, self._refusal = self._refusal, None
        return refusal

    def run(self) -> None:
        """Search until ``stop`` is set."""
        with closing(LogThrottle(log, _MAX_LOGGED)) as throttle:
            while not self._stop.is_set():
                throttle.log_suppressed(time.monotonic())
                self._due.wait(self._seconds_left())
                self._due.clear()
                if self._engine.trouble is not None:
                    # The engine already checks whether the collection can be used again.
                    self._wait(self._backoff.base_seconds)
                    self._due.set()
                    continue
                self._search(throttle)

    def _seconds_left(self) -> float | None:
        return None if self._again_at is None else max(0.0, self._again_at - time.monotonic())

    def _search(self, throttle: LogThrottle) -> None:
        only_new = not self._retry.is_set() and bool(self._seconds_left())
        try:
            self._duplicate_search.work_off(self._stop.is_set, only_new=only_new, rest=self._rest)
        except CollectionError as error:
            self._note(error, throttle)
            self._failures += 1
            pause = self._backoff.pause(self._failures, random.random())
            if not self._duplicate_search.has_tried_all:
                self._wait(pause)
                self._due.set()
                self._again_at = None
            elif not only_new:
                self._retry.clear()
                self._again_at = time.monotonic() + pause
        else:
            if not self._duplicate_search.has_tried_all:
                self._due.set()  # ``run`` waits until the engine can send again
            elif not only_new:
                self.error = self._again_at = None
                self._failures = 0

    def _note(self, error: CollectionError, throttle: LogThrottle) -> None:
        if isinstance(error, Unauthorized):
            self.note_refusal(error)
            self.error = None
            return
        if self.error is None and not error.concerns_all:
            throttle.log(
                time.monotonic(),
                _KEEPS_FAILING,
                logging.WARNING,
                Event.SEARCH_FAILED,
                "the search for duplicates failed, and will be retried: %s",
                error,
                error=str(error),
            )
        self.error = error

    def _rest(self, seconds: float) -> bool:
        """Rest after a search that took so many seconds, if pictures are being sent. Returns false
        if the engine knows that no request succeeds."""
        rested_at = time.monotonic() + _RESTS * seconds
        while seconds and self._engine.in_flight:
            left = rested_at - time.monotonic()
            if left <= 0 or self._stop.wait(min(left, _LOOK_SECONDS)):
                break
        return self._engine.trouble is None

    def _wait(self, seconds: float) -> None:
        """Wait for ``seconds``, or until ``retry_now`` or ``end`` is called."""
        self._retry.clear()
        if not self._stop.is_set():
            self._retry.wait(seconds)
