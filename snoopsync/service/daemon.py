"""Runs the service, from its start to the last signal, through everything that it has to start over
for: a state file that is damaged, was replaced or can't be written, and a new configuration."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace

from snoopsync.config.settings import Config
from snoopsync.control.channel import ControlServer, Message
from snoopsync.control.report import Live
from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import (
    CollectionError,
    ConfigError,
    Problem,
    SnoopsyncError,
    StateDamaged,
    StateError,
    StateFull,
    StateReadOnly,
    StateReplaced,
    Unwritable,
)
from snoopsync.core.events import Event, log_event
from snoopsync.core.exits import Exit, exit_code
from snoopsync.core.text import counted
from snoopsync.runtime.signals import caught, wakeup
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.runtime.writability import why_unwritable
from snoopsync.service.exporters import Companions
from snoopsync.service.reconciler import Showing
from snoopsync.service.service import Reload, Service, Surroundings
from snoopsync.state.database import Database
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

#: The pauses until a file whose disk was full or read-only is tried again; and how often to look
#: whether it can be, after that.
_UNWRITABLE_BACKOFF = Backoff(base_seconds=4.0, cap_seconds=600.0)
_LOOK_AGAIN_SECONDS = 1.0

#: What is told of a file that can't be written.
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
    """Run the service until SIGTERM or SIGINT; with SIGHUP it takes the configuration that
    ``reload`` reads, and ``begin_to_log`` with it. ``showing`` is for how the first
    comparison goes on. Raises ``StateLocked`` if a service runs already, ``StateError`` if the
    state file can't be used, ``ConfigError`` if nobody can be told or asked as it says.

    When the state file turns out to be damaged, was replaced, or can't be written, all starts over
    with what is there then: only what was written down is known for sure.
    """
    with caught() as signals, wakeup(signals) as it:
        around = Surroundings(signals, it, reload, systemd or SystemdNotifier({}))
        desk = _Desk()
        with Companions(config, around.counters, desk.live) as companions:
            _Daemon(config, showing, around, desk, companions, begin_to_log).run()
            log_event(log, logging.INFO, Event.STOPPED, "stopped")


class _Daemon:
    """One service after the other, with the configuration that was taken last."""

    def __init__(
        self,
        config: Config,
        showing: Showing,
        around: Surroundings,
        desk: _Desk,
        companions: Companions,
        begin_to_log: Callable[[Config], Config],
    ) -> None:
        self._config = config
        self._begin_to_log = begin_to_log
        self._showing = showing
        self._reload = around.reload
        self._around = replace(around, reload=self._configuration_anew)
        self._desk = desk
        self._companions = companions
        self._has_companions = False
        self._is_over = False
        self._is_healed = False
        self._failures = 0

    def run(self) -> None:
        """Until the end."""
        while not (self._is_over or self._around.signals.stop):
            try:
                with locked(self._config.state) as require_lock:
                    self._run_locked(require_lock)
            except StateReadOnly as error:
                # Without the lock: no file may be open on a file system that has to be repaired,
                # and there nobody else can take it.
                self._begin_to_tell()
                self._wait_until_writable(error)

    def _begin_to_tell(self) -> None:
        """Not before it is sure that no other service runs, which would have the address."""
        if not self._has_companions:
            self._companions.take(self._config)
            self._has_companions = True

    def _configuration_anew(self) -> Config:
        """What is configured now. Raises ``ConfigError`` if it can't be used; then everything is
        as it was."""
        config = self._reload()
        if config.state != self._config.state:
            _require_usable_state(config)
        config = self._begin_to_log(config)
        try:
            self._companions.take(config)
        except ConfigError:
            self._begin_to_log(self._config)
            raise
        return config

    def _run_locked(self, require_lock: Callable[[], None]) -> None:
        self._begin_to_tell()
        try:
            self._serve(require_lock)
        except StateReplaced as error:
            path = str(self._config.state)
            message = "%s: starting over"
            log_event(log, logging.WARNING, Event.STATE_REPLACED, message, error, path=path)
        except StateDamaged as error:
            if self._is_healed:
                raise  # the disk, or the memory; whoever starts services may try again
            self._is_healed = True
            set_aside(self._config.state, error)
        except (StateFull, Unwritable) as error:
            self._wait_until_writable(error)

    def _serve(self, require_lock: Callable[[], None]) -> None:
        """Serve, with one configuration after the other, as long as their collection and state
        file stay the same."""
        with ExitStack() as stack:
            database = stack.enter_context(closing(open_state(self._config.state)))
            counters = self._around.counters
            collection = stack.enter_context(opened_collection(self._config, counters=counters))
            stack.callback(self._desk.leave)
            self._open_socket(stack)
            watcher = Watcher(
                lambda: before.mirror.wake() if before is not None else None, counters=counters
            )
            stack.callback(watcher.stop)

            def require_state() -> None:
                database.require_in_place()
                require_lock()

            around = replace(self._around, require_state=require_state)
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
                    _greet(config, is_new=before is None)
                    before = components
                    service = Service(components, watcher, stop, around, reconciled=is_compared)
                    self._desk.service = service
                    next_config = service.run(self._showing)
                    is_compared = service.reconciled
                if next_config is None:
                    self._is_over = True
                    return
                self._config = next_config
                if (config.collection, config.state) != (next_config.collection, next_config.state):
                    return

    def _open_socket(self, stack: ExitStack) -> None:
        try:
            stack.enter_context(ControlServer(self._config.state, self._desk.answer))
        except OSError as error:
            log_event(
                log,
                logging.WARNING,
                Event.NO_SOCKET,
                "commands can't ask this service for anything, there is no socket beside the state"
                " file: %s",
                error,
                error=str(error),
            )

    def _wait_until_writable(self, error: StateFull | StateReadOnly | Unwritable) -> None:
        """Wait until the file can be written again that the error is about, or for a signal.
        Commands are told why."""
        around, config = self._around, self._config
        path = embedded_path(config.state) if isinstance(error, Unwritable) else config.state
        message = "%s; nothing is mirrored until then"
        log_event(log, logging.ERROR, _UNWRITABLE[type(error)], message, error, path=str(path))
        around.systemd.ready()
        around.systemd.status(str(error))
        self._desk.trouble = error
        self._failures += 1
        pause = _UNWRITABLE_BACKOFF.pause(self._failures, random.random())
        not_before = time.monotonic() + pause
        with ExitStack() as stack:
            stack.callback(self._desk.leave)
            with suppress(OSError):
                stack.enter_context(ControlServer(config.state, self._desk.answer))
            while not around.signals.stop:
                around.wakeup.wait(_LOOK_AGAIN_SECONDS)
                around.systemd.alive()
                # A file system that has to be repaired is away for a while, and its mount point
                # empty.
                is_there = path.exists() or not isinstance(error, StateReadOnly)
                is_due = time.monotonic() >= not_before
                if is_due and is_there and why_unwritable(path, trying=True) is None:
                    message = "%s can be written again: starting over"
                    log_event(log, logging.INFO, Event.STATE_ROOM, message, path, path=str(path))
                    return


def _require_usable_state(config: Config) -> None:
    """Raises ``ConfigError`` if a service could not start with the state file of this
    configuration, or with the embedded collection beside it."""
    try:
        with locked(config.state):
            # A damaged one is moved aside by the service that starts with it.
            with suppress(StateDamaged), closing(Database(config.state)):
                pass
            if config.collection.embedded:
                with opened_collection(config):
                    pass
    except (StateError, CollectionError) as error:
        problem = Problem("state", f"can't be used: {error}")
        raise ConfigError(str(config.source or "configuration"), (problem,)) from None


class _Desk:
    """Answers for the service, from one to the next: for the one that is there, or for the trouble
    that keeps one from being there."""

    def __init__(self) -> None:
        self.service: Service | None = None
        self.trouble: SnoopsyncError | None = None

    def leave(self) -> None:
        """There is neither now."""
        self.service = self.trouble = None

    def answer(self, question: Message) -> Iterator[Message]:
        """What is said to a question that came on the socket."""
        service, trouble = self.service, self.trouble
        if trouble is not None:
            return iter([{"error": str(trouble), "exit_code": exit_code(trouble)}])
        if service is None:
            return iter([{"error": "the service is starting", "exit_code": Exit.LOCKED}])
        return service.questions.answer(question)

    def live(self) -> Live:
        """What is shown."""
        service, trouble = self.service, self.trouble
        if trouble is not None:
            return Live(trouble=str(trouble))
        return Live() if service is None else service.live


def _greet(config: Config, *, is_new: bool) -> None:
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
        message = "the new configuration is taken: %s"
        log_event(log, logging.INFO, Event.RELOADED, message, folders)


def collection_name(config: Config) -> str:
    """The collection for people."""
    if config.collection.embedded:
        return "the embedded collection"
    return config.collection.endpoint
