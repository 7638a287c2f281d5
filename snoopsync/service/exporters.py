"""Notifications and metrics, if they are configured.

Both keep running across generations of the service. They accept or refuse a new configuration
before a service uses it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from snoopsync.config.settings import Config, default_owner
from snoopsync.control.report import ServiceView
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

#: How long the remaining notifications may take when the service ends, in seconds.
_CLOSE_SECONDS = 2.0


class Exporters:
    """Notifications and metrics. Used by one thread."""

    def __init__(self, config: Config, counters: Counters, view: Callable[[], ServiceView]) -> None:
        """Nothing is sent or served before ``use``. ``view`` returns the current view of the
        service."""
        self._counters = counters
        self._snapshots = SnapshotReader(config, view)
        self._notifier: Notifier | None = None
        self._server: MetricsServer | None = None

    def __enter__(self) -> Exporters:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def use(self, config: Config) -> None:
        """Use this configuration from now on. Raises ``ConfigError``, and then changes nothing."""
        targets = targets_of(config)
        self._listen_on(config.metrics.listen if config.metrics is not None else None)
        self._snapshots.take(config)
        if config.notify is not None:
            self._notifier = self._notifier or Notifier(self._counters)
            self._notifier.configure(
                config.notify, config.collection.owner or default_owner(), targets
            )
        elif self._notifier is not None:
            self._notifier.close(_CLOSE_SECONDS)
            self._notifier = None

    def close(self) -> None:
        """Stop serving metrics, and spend a moment sending the remaining notifications."""
        self._listen_on(None)
        if self._notifier is not None:
            self._notifier.close(_CLOSE_SECONDS)
            self._notifier = None

    def _listen_on(self, address: Address | None) -> None:
        before = self._server
        if before is None or address is None or address.port != before.address.port:
            self._server = self._opened(address)
            if before is not None:
                before.close()
        elif address != before.address:
            # Both cannot listen at once, because one of them may use all addresses of the same
            # port.
            before.close()
            try:
                self._server = self._opened(address)
            except ConfigError:
                self._server = self._opened(before.address)
                raise

    def _opened(self, address: Address | None) -> MetricsServer | None:
        if address is None:
            return None
        # Imported late, because it takes 0.1 s, and is an extra.
        from snoopsync.status.prometheus import MetricsServer

        try:
            server = MetricsServer(address, self._snapshots, self._counters)
        except OSError as error:
            problem = f"can't listen on {address}: {error.strerror}"
            raise ConfigError("configuration", (Problem("metrics.listen", problem),)) from None
        if not is_loopback(address.host):
            log_event(
                log,
                logging.WARNING,
                Event.METRICS_EXPOSED,
                "metrics.listen is %s: anyone who can reach this address can read the names of the"
                " folders and the numbers of their images",
                address,
                address=str(address),
            )
        message = "metrics are at http://%s/metrics"
        log_event(log, logging.INFO, Event.METRICS, message, address, address=str(address))
        return server
