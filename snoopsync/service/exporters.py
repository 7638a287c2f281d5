"""What is beside the service, if it is configured: who tells of it, and who lets it be asked.

Both outlive every service that is put together anew, and take a new configuration, or refuse it,
before a service does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from snoopsync.config.settings import Config, default_owner
from snoopsync.control.report import Live
from snoopsync.core.addresses import Address, is_loopback
from snoopsync.core.errors import ConfigError, Problem
from snoopsync.core.events import Event, log_event
from snoopsync.notify.apprise_target import targets_of
from snoopsync.notify.notifier import Notifier
from snoopsync.runtime.counters import Counters
from snoopsync.status.snapshot import SnapshotReader

if TYPE_CHECKING:
    from snoopsync.status.prometheus import MetricsServer

log = logging.getLogger("snoopsync.service")

#: How long notifications that wait may take when the service ends.
_FAREWELL_SECONDS = 2.0


class Companions:
    """Notifications and metrics. Used by one thread."""

    def __init__(self, config: Config, counters: Counters, live: Callable[[], Live]) -> None:
        """Nothing is told or answered before ``take``. ``live``: what the service shows."""
        self._counters = counters
        self._overview = SnapshotReader(config, live)
        self._notifier: Notifier | None = None
        self._server: MetricsServer | None = None

    def __enter__(self) -> Companions:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, config: Config) -> None:
        """From now on, what this configuration says. Raises ``ConfigError``; all is as it was
        then."""
        targets = targets_of(config)
        self._listen_on(config.metrics.listen if config.metrics is not None else None)
        self._overview.take(config)
        if config.notify is not None:
            self._notifier = self._notifier or Notifier(self._counters)
            self._notifier.configure(
                config.notify, config.collection.owner or default_owner(), targets
            )
        elif self._notifier is not None:
            self._notifier.close(_FAREWELL_SECONDS)
            self._notifier = None

    def close(self) -> None:
        """Answer nobody any more, and send the notifications that wait, for a moment."""
        self._listen_on(None)
        if self._notifier is not None:
            self._notifier.close(_FAREWELL_SECONDS)
            self._notifier = None

    def _listen_on(self, address: Address | None) -> None:
        before = self._server
        if before is None or address is None or address.port != before.address.port:
            self._server = self._opened(address)
            if before is not None:
                before.close()
        elif address != before.address:
            # It would be in the way of the other: one of them may be for all addresses.
            before.close()
            try:
                self._server = self._opened(address)
            except ConfigError:
                self._server = self._opened(before.address)
                raise

    def _opened(self, address: Address | None) -> MetricsServer | None:
        if address is None:
            return None
        # Late, because it takes 0.1 s, and is an extra.
        from snoopsync.status.prometheus import MetricsServer

        try:
            server = MetricsServer(address, self._overview, self._counters)
        except OSError as error:
            problem = f"can't listen on {address}: {error.strerror}"
            raise ConfigError("configuration", (Problem("metrics.listen", problem),)) from None
        if not is_loopback(address.host):
            log_event(
                log,
                logging.WARNING,
                Event.METRICS_EXPOSED,
                "metrics.listen is %s: whoever can reach it can read the names of the folders, and"
                " how many images are in them",
                address,
                address=str(address),
            )
        message = "metrics are at http://%s/metrics"
        log_event(log, logging.INFO, Event.METRICS, message, address, address=str(address))
        return server
