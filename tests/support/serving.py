"""The real service in a thread of the test: with a clock that jumps, a collection that hangs..."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from snoopsync.cli.exit_codes import of_status
from snoopsync.control.channel import ControlServer
from snoopsync.core.backoff import Backoff
from snoopsync.core.exits import Exit
from snoopsync.core.protocol import ImageCollection
from snoopsync.runtime.signals import Signals, Wakeup
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.runtime.workers import Workers
from snoopsync.service.environment import Environment, Reload, Timing
from snoopsync.service.generation import Service
from snoopsync.state.lock import locked
from snoopsync.status.reading import read_status
from snoopsync.sync.components import Dependencies, open_components, open_state, opened_collection
from snoopsync.sync.resync import Show
from snoopsync.watching.watcher import Watcher
from tests.support.world import DEADLINE_SECONDS, World

QUICK = Backoff(base_seconds=0.1, cap_seconds=0.1)


@contextmanager
def _showing() -> Iterator[Show]:
    yield lambda progress: None


@contextmanager
def serving(
    world: World,
    watcher: Watcher,
    *,
    dependencies: Dependencies | None = None,
    collection: ImageCollection | None = None,
    systemd: SystemdNotifier | None = None,
    patience_seconds: float = 60.0,
    signals: Signals | None = None,
    reload: Reload | None = None,
    search_backoff: Backoff = QUICK,
) -> Iterator[Service]:
    """The service for this world, as long as the ``with`` lasts. Its own pauses are short. A test
    sends it ``signals``, upon which it may ``reload``."""
    signals, stop = signals or Signals(), threading.Event()
    with ExitStack() as stack:
        wakeup = stack.enter_context(closing(Wakeup()))
        stack.enter_context(locked(world.state_path))
        database = stack.enter_context(closing(open_state(world.state_path)))
        client = collection or stack.enter_context(opened_collection(world.config))
        components = stack.enter_context(
            open_components(
                world.config,
                database,
                client,
                stop=stop,
                patience_seconds=None,
                watcher=watcher,
                dependencies=dependencies or Dependencies(world.clock, make_workers=Workers),
            )
        )
        environment = Environment(
            signals,
            wakeup,
            reload or (lambda: world.config),
            systemd or SystemdNotifier({}),
            timing=Timing(patience_seconds, resync_backoff=QUICK, search_backoff=search_backoff),
        )
        running = Service(components, watcher, stop, environment)
        thread = threading.Thread(target=running.run, args=(_showing,))
        stack.enter_context(ControlServer(world.state_path, running.commands.answer))
        thread.start()
        try:
            yield running
        finally:
            signals.stop = True
            wakeup.notify()
            thread.join(DEADLINE_SECONDS)


def the_service_says(world: World, code: Exit) -> bool:
    """Does ``status`` have this exit code, as the service itself reports?"""
    status = read_status(world.config)
    return status.service.report is not None and of_status(status) == code
