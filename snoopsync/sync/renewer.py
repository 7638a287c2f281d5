"""When the service has pictures described again: after everything else, and a little at a time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import CollectionError, NotFound, Unauthorized
from snoopsync.sync.engine import SyncEngine
from snoopsync.sync.renewal import Renewal

#: How often the collection is asked which pictures an older version of it has described; and how
#: often one that does not offer that.
_AGAIN_SECONDS = 3600.0
_OFFERED_AGAIN_SECONDS = 86_400.0

#: The pauses after a failure.
_BACKOFF = Backoff(base_seconds=30.0, cap_seconds=1800.0)

#: How often it is looked whether there is something more important to do.
_WAIT_SECONDS = 0.5


class Renewer:
    """Works off a ``Renewal`` until it is told to stop. ``run`` is for a thread of its own.

    ``is_reconciled``: was everything compared once? At the start, files are sent first.
    ``on_renewed`` is called when all pictures are described again, ``on_refused`` when the
    collection refuses the keys.
    """

    def __init__(
        self,
        renewal: Renewal,
        mirror: SyncEngine,
        stop: threading.Event,
        *,
        is_reconciled: Callable[[], bool],
        on_renewed: Callable[[], None],
        on_refused: Callable[[Unauthorized], None],
    ) -> None:
        self._renewal = renewal
        self._mirror = mirror
        self._stop = stop
        self._is_reconciled = is_reconciled
        self._on_renewed = on_renewed
        self._on_refused = on_refused

    def run(self) -> None:
        """Return when it is told to stop."""
        while not self._is_reconciled():
            if self._stop.wait(_WAIT_SECONDS):
                return
        failures = 0
        while self._rest(0.0):
            try:
                if self._renewal.work_off(self._rest):
                    self._on_renewed()
                failures = 0
                self._stop.wait(_AGAIN_SECONDS)
            except NotFound:
                self._stop.wait(_OFFERED_AGAIN_SECONDS)
            except CollectionError as error:
                if isinstance(error, Unauthorized):
                    self._on_refused(error)
                # Of a collection that is away, the engine and the searches tell.
                failures += 1
                self._stop.wait(_BACKOFF.pause(failures, random.random()))

    def _rest(self, seconds: float) -> bool:
        """Wait for so long, and until nothing else is to be sent. False when it has to stop."""
        while not self._stop.wait(seconds):
            mirror = self._mirror
            if mirror.trouble is None and not (mirror.in_flight or mirror.unsettled):
                return True
            seconds = _WAIT_SECONDS
        return False
