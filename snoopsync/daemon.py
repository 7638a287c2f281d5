"""Runs the service, from its start to the last signal, through everything that it has to start over
for: a state file that is damaged, was replaced or can't grow, and a new configuration."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace

from snoopsync.assembly import Assembly, assembled, open_state, opened_collection, set_aside
from snoopsync.config.settings import Config
from snoopsync.control import ControlServer, Message
from snoopsync.errors import StateDamaged, StateFull, StateReplaced
from snoopsync.exits import Exit
from snoopsync.reconciler import Showing
from snoopsync.service import Reload, Service, Surroundings
from snoopsync.signals import bell, caught
from snoopsync.state.database import obstacle
from snoopsync.state.lock import locked
from snoopsync.supervisor import Supervisor
from snoopsync.version import __version__
from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync.service")

#: How long to wait, and at most after many times, until a state file whose disk was full is tried
#: again; and how often to look for room after that.
_FULL_AGAIN_SECONDS = 2.0
_FULL_AGAIN_AT_MOST_SECONDS = 300.0
_LOOK_FOR_ROOM_SECONDS = 1.0


def run_service(
    config: Config, showing: Showing, reload: Reload, supervisor: Supervisor | None = None
) -> None:
    """Run the service until SIGTERM or SIGINT; with SIGHUP it takes the configuration that
    ``reload`` reads. ``showing`` is for how the first comparison goes on. Raises ``StateLocked`` if
    a service runs already, ``StateError`` if the state file can't be used.

    When the state file turns out to be damaged, was replaced, or can't grow, all starts over with
    what is there then: only what was written down is known for sure.
    """
    next_config: Config | None = config
    with caught() as signals, bell(signals) as it:
        around = Surroundings(signals, it, reload, supervisor or Supervisor({}))
        while next_config is not None:
            with locked(next_config.state):
                next_config = _run_with_state(next_config, showing, around)
        log.info("stopped")


def _run_with_state(config: Config, showing: Showing, around: Surroundings) -> Config | None:
    """Run the service on one state file. Returns the configuration that names another one."""
    pause_seconds = _FULL_AGAIN_SECONDS
    is_healed = False
    state = config.state
    while not around.signals.stop:
        try:
            next_config = _serve(config, showing, around)
            if next_config is None or next_config.state != state:
                return next_config
            config = next_config
        except StateReplaced as error:
            log.warning("%s: starting over", error)
        except StateDamaged as error:
            if is_healed:
                raise  # the disk, or the memory; whoever starts services may try again
            is_healed = True
            set_aside(state, error)
        except StateFull as error:
            _wait_for_room(config, error, pause_seconds, around)
            pause_seconds = min(2 * pause_seconds, _FULL_AGAIN_AT_MOST_SECONDS)
    return None


class _Desk:
    """Answers on the socket, from one service to the next."""

    def __init__(self) -> None:
        self.service: Service | None = None

    def answer(self, question: Message) -> Iterator[Message]:
        """What the service says to it."""
        if self.service is None:
            return iter([{"error": "the service is starting", "exit_code": Exit.LOCKED}])
        return self.service.questions.answer(question)


def _serve(config: Config, showing: Showing, around: Surroundings) -> Config | None:
    """Serve, with one configuration after the other, as long as their collection and state file
    stay the same. Returns the first one that has others."""
    with ExitStack() as stack:
        database = stack.enter_context(closing(open_state(config.state)))
        collection = stack.enter_context(opened_collection(config))
        desk = _Desk()
        _open_socket(stack, config, desk)
        watcher = Watcher(lambda: before.mirror.wake() if before is not None else None)
        stack.callback(watcher.stop)
        around = replace(around, require_state=database.require_in_place)
        before: Assembly | None = None
        is_compared = False
        while True:
            stop = threading.Event()
            with assembled(
                config,
                database,
                collection,
                stop=stop,
                patience_seconds=None,
                watcher=watcher,
                before=before,
            ) as assembly:
                _greet(config, is_new=before is None)
                before = assembly
                desk.service = Service(assembly, watcher, stop, around, reconciled=is_compared)
                next_config = desk.service.run(showing)
                is_compared = desk.service.reconciled
            if next_config is None or not _is_same_mirror(config, next_config):
                return next_config
            config = next_config


def _is_same_mirror(config: Config, other: Config) -> bool:
    return (config.collection, config.state) == (other.collection, other.state)


def _greet(config: Config, *, is_new: bool) -> None:
    count = len(config.folders)
    folders = "1 folder" if count == 1 else f"{count} folders"
    if is_new:
        log.info("snoopsync %s: %s into %s", __version__, folders, collection_name(config))
    else:
        log.info("the new configuration is taken: %s", folders)


def _open_socket(stack: ExitStack, config: Config, desk: _Desk) -> None:
    try:
        stack.enter_context(ControlServer(config.state, desk.answer))
    except OSError as error:
        log.warning(
            "commands can't ask this service for anything, there is no socket beside the state"
            " file: %s",
            error,
        )


def _wait_for_room(
    config: Config, error: StateFull, pause_seconds: float, around: Surroundings
) -> None:
    """Wait until the state file can be written again, or for a signal. Commands are told why."""
    log.error("%s; nothing is mirrored until then", error)
    around.supervisor.ready()
    around.supervisor.status(str(error))
    message: Message = {"error": str(error), "exit_code": Exit.BUG}
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(ControlServer(config.state, lambda _question: iter([message])))
        not_before = time.monotonic() + pause_seconds
        while not around.signals.stop:
            around.bell.wait(_LOOK_FOR_ROOM_SECONDS)
            around.supervisor.alive()
            if time.monotonic() >= not_before and obstacle(config.state) is None:
                log.info("there is room for %s again: starting over", config.state)
                return


def collection_name(config: Config) -> str:
    """The collection for people."""
    if config.collection.embedded:
        return "the embedded collection"
    return config.collection.endpoint
