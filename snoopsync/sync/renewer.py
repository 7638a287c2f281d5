"""Runs the renewal in the service: after everything else, and a little at a time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import CollectionError, NotFound, Unauthorized
from snoopsync.sync.engine import SyncEngine
from snoopsync.sync.renewal import Renewal

#: How often to ask the collection which pictures an older version described, and how often if it
#: does not support that.
_INTERVAL_SECONDS = 3600.0
_UNSUPPORTED_SECONDS = 86_400.0

#: The pauses after a failure.
_BACKOFF = Backoff(base_seconds=30.0, cap_seconds=1800.0)

#: How often to check whether something more important is left to do.
_WAIT_SECONDS = 0.5


class Renewer:
    """Runs a ``Renewal`` repeatedly until ``stop`` is set. ``run`` is for a separate thread.

    ``is_reconciled`` returns whether everything was compared once, because at the start files are
    sent first. ``on_renewed`` is called when all pictures are described again, ``on_refused`` when
    the collection refuses the keys.
    """

    def __init__(
        self,
        renewal: Renewal,
        engine: SyncEngine,
        stop: threading.Event,
        *,
        is_reconciled: Callable[[], bool],
        on_renewed: Callable[[], None],
        on_refused: Callable[[Unauthorized], None],
    ) -> None:
        self._renewal = renewal
        self._engine = engine
        self._stop = stop
        self._is_reconciled = is_reconciled
        self._on_renewed = on_renewed
        self._on_refused = on_refused

    def run(self) -> None:
        """Run until ``stop`` is set."""
        while not self._is_reconciled():
            if self._stop.wait(_WAIT_SECONDS):
                return
        failures = 0
        while self._rest(0.0):
            try:
                if self._renewal.work_off(self._rest):
                    self._on_renewed()
                failures = 0
                self._stop.wait(_INTERVAL_SECONDS)
            except NotFound:
                self._stop.wait(_UNSUPPORTED_SECONDS)
            except CollectionError as error:
                if isinstance(error, Unauthorized):
                    self._on_refused(error)
                # The engine and the searches report a collection that is down.
                failures += 1
                self._stop.wait(_BACKOFF.pause(failures, random.random()))

    def _rest(self, seconds: float) -> bool:
        """Wait for ``seconds``, then until nothing else is left to send. Returns false if ``stop``
        is set."""
        while not self._stop.wait(seconds):
            engine = self._engine
            if engine.trouble is None and not (engine.in_flight or engine.unsettled):
                return True
            seconds = _WAIT_SECONDS
        return False
