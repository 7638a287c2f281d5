"""Runs the service until a signal. Restarts it for a new configuration, and for a state file that
is damaged, was replaced or cannot be written."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace

from snoopsync.config.settings import Config
from snoopsync.control.channel import ControlServer
from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import (
    ConfigError,
    StateDamaged,
    StateFull,
    StateReadOnly,
    StateReplaced,
    Unwritable,
)
from snoopsync.core.events import Event, log_event
from snoopsync.core.protocol import ImageCollection
from snoopsync.core.text import counted
from snoopsync.runtime.signals import caught, wakeup
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.runtime.writability import why_unwritable
from snoopsync.service.control_router import ControlRouter
from snoopsync.service.environment import Environment, Reload, Showing
from snoopsync.service.exporters import Exporters
from snoopsync.service.generation import Service
from snoopsync.service.reload_check import require_usable
from snoopsync.state.lock import locked
from snoopsync.sync.components import (
    Components,
    Dependencies,
    embedded_path,
    open_components,
    open_state,
    opened_collection,
    set_aside,
)
from snoopsync.version import __version__
from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync.service")

#: The pauses before retrying a file whose disk was full or read-only, and then how often to check
#: whether the file can be written.
_UNWRITABLE_BACKOFF = Backoff(base_seconds=4.0, cap_seconds=600.0)
_CHECK_SECONDS = 1.0

#: The events of a file that cannot be written.
_UNWRITABLE = {
    StateFull: Event.STATE_FULL,
    StateReadOnly: Event.STATE_READ_ONLY,
    Unwritable: Event.COLLECTION_UNWRITABLE,
}


def run_service(
    config: Config,
    showing: Showing,
    reload: Reload,
    begin_to_log: Callable[[Config], Config],
    systemd: SystemdNotifier | None = None,
) -> None:
    """Run the service until SIGTERM or SIGINT. On SIGHUP it uses the configuration that ``reload``
    reads and ``begin_to_log`` completes. ``showing`` shows the progress of the first resync. Raises
    ``StateLocked`` if a service is already running, ``StateError`` if the state file cannot be
    used, and ``ConfigError`` if notifications or metrics cannot be used.

    When the state file is damaged, was replaced, or cannot be written, everything restarts from the
    file on disk, because only recorded facts are reliable.
    """
    with caught() as signals, wakeup(signals) as wakes:
        environment = Environment(signals, wakes, reload, systemd or SystemdNotifier({}))
        router = ControlRouter()
        with Exporters(config, environment.counters, router.view) as exporters:
            _Daemon(config, showing, environment, router, exporters, begin_to_log).run()
            log_event(log, logging.INFO, Event.STOPPED, "stopped")


class _Daemon:
    """Runs one generation of the service after another, each with the last accepted
    configuration."""

    def __init__(
        self,
        config: Config,
        showing: Showing,
        environment: Environment,
        router: ControlRouter,
        exporters: Exporters,
        begin_to_log: Callable[[Config], Config],
    ) -> None:
        self._config = config
        self._begin_to_log = begin_to_log
        self._showing = showing
        self._read_config = environment.reload
        self._environment = replace(environment, reload=self._reload)
        self._router = router
        self._exporters = exporters
        self._exports = False
        self._collection: ImageCollection | None = None
        self._is_over = False
        self._was_damaged = False
        self._failures = 0

    def run(self) -> None:
        """Run until a signal or an error."""
        while not (self._is_over or self._environment.signals.stop):
            try:
                with locked(self._config.state) as require_lock:
                    self._run_locked(require_lock)
            except StateReadOnly as error:
                # Wait without the lock: no file may be open on a file system that must be repaired,
                # and nobody else can lock a read-only file.
                self._begin_exports()
                self._wait_until_writable(error)

    def _begin_exports(self) -> None:
        """Begin to export, now that it is certain that no other service is running and using the
        address."""
        if not self._exports:
            self._exporters.use(self._config)
            self._exports = True

    def _reload(self) -> Config:
        """Read the current configuration and use it for logs and exporters. Raises ``ConfigError``
        if it cannot be used, and then changes nothing."""
        config = self._read_config()
        if config != self._config:
            require_usable(config, self._config, self._collection)
        config = self._begin_to_log(config)
        try:
            self._exporters.use(config)
        except ConfigError:
            self._begin_to_log(self._config)
            raise
        return config

    def _run_locked(self, require_lock: Callable[[], None]) -> None:
        self._begin_exports()
        try:
            self._serve(require_lock)
        except StateReplaced as error:
            path = str(self._config.state)
            message = "%s: restarting"
            log_event(log, logging.WARNING, Event.STATE_REPLACED, message, error, path=path)
        except StateDamaged as error:
            if self._was_damaged:
                raise  # the disk or the memory is bad; systemd may restart the service
            self._was_damaged = True
            set_aside(self._config.state, error)
        except (StateFull, Unwritable) as error:
            self._wait_until_writable(error)

    def _serve(self, require_lock: Callable[[], None]) -> None:
        """Run generations of the service while the collection and the state file stay the same."""
        with ExitStack() as stack:
            database = stack.enter_context(closing(open_state(self._config.state)))
            counters = self._environment.counters
            collection = stack.enter_context(opened_collection(self._config, counters=counters))
            self._collection = collection
            stack.callback(self._router.clear)
            self._open_socket(stack)
            watcher = Watcher(
                lambda: before.engine.wake() if before is not None else None, counters=counters
            )
            stack.callback(watcher.stop)

            def require_state() -> None:
                database.require_in_place()
                require_lock()

            environment = replace(self._environment, require_state=require_state)
            before: Components | None = None
            is_compared = False
            while True:
                config, stop = self._config, threading.Event()
                with open_components(
                    config,
                    database,
                    collection,
                    stop=stop,
                    patience_seconds=None,
                    watcher=watcher,
                    dependencies=Dependencies(counters=counters),
                    before=before,
                ) as components:
                    _log_start(config, is_new=before is None)
                    before = components
                    service = Service(
                        components, watcher, stop, environment, reconciled=is_compared
                    )
                    self._router.service = service
                    next_config = service.run(self._showing)
                    is_compared = service.reconciled
                if next_config is None:
                    self._is_over = True
                    return
                self._config = next_config
                if _foundation(config) != _foundation(next_config):
                    return

    def _open_socket(self, stack: ExitStack) -> None:
        try:
            server = stack.enter_context(self._control_server())
        except OSError as error:
            log_event(
                log,
                logging.WARNING,
                Event.NO_SOCKET,
                "commands cannot reach this service, because its socket can't be created: %s",
                error,
                error=str(error),
            )
            return
        if server.group_error is not None:
            error_text = server.group_error
            message = "the socket is only for this user: %s"
            log_event(
                log, logging.WARNING, Event.CONTROL_GROUP, message, error_text, error=error_text
            )

    def _control_server(self) -> ControlServer:
        config = self._config
        return ControlServer(config.state, self._router.answer, config.control.group)

    def _wait_until_writable(self, error: StateFull | StateReadOnly | Unwritable) -> None:
        """Wait until the file that the error is about can be written again, or until a signal.
        Until then, commands get the error."""
        environment, config = self._environment, self._config
        path = embedded_path(config.state) if isinstance(error, Unwritable) else config.state
        message = "%s; nothing is mirrored until this is fixed"
        log_event(log, logging.ERROR, _UNWRITABLE[type(error)], message, error, path=str(path))
        environment.systemd.ready()
        environment.systemd.status(str(error))
        self._router.trouble = error
        self._failures += 1
        pause = _UNWRITABLE_BACKOFF.pause(self._failures, random.random())
        not_before = time.monotonic() + pause
        with ExitStack() as stack:
            stack.callback(self._router.clear)
            with suppress(OSError):
                stack.enter_context(self._control_server())
            while not environment.signals.stop:
                environment.wakeup.wait(_CHECK_SECONDS)
                environment.systemd.alive()
                # While a file system is repaired, its mount point is empty.
                exists = path.exists() or not isinstance(error, StateReadOnly)
                is_due = time.monotonic() >= not_before
                if is_due and exists and why_unwritable(path, trying=True) is None:
                    message = "%s can be written again: restarting"
                    log_event(log, logging.INFO, Event.STATE_ROOM, message, path, path=str(path))
                    return


def _foundation(config: Config) -> tuple[object, ...]:
    """What a reload cannot change while the state file and the collection are open."""
    return config.collection, config.state, config.control


def _log_start(config: Config, *, is_new: bool) -> None:
    count = len(config.folders)
    folders = counted(count, "folder")
    if is_new:
        log_event(
            log,
            logging.INFO,
            Event.STARTED,
            "snoopsync %s: %s into %s",
            *(__version__, folders, collection_name(config)),
            folders=count,
            version=__version__,
        )
    else:
        message = "configuration reloaded: %s"
        log_event(log, logging.INFO, Event.RELOADED, message, folders)


def collection_name(config: Config) -> str:
    """The name of the collection, for people."""
    if config.collection.embedded:
        return "the embedded collection"
    return config.collection.endpoint
