"""The real service in a thread of the test's, on the clock that jumps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from snoopsync import service
from snoopsync.assembly import Edges, assembled, open_state, opened_collection
from snoopsync.exits import Exit
from snoopsync.resync import Show
from snoopsync.service import Ends, Service
from snoopsync.state.lock import locked
from snoopsync.status import read_status
from snoopsync.workers import Workers
from tests.world import DEADLINE_SECONDS, ToldWatcher, World


@contextmanager
def serving(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToldWatcher]:
    """The real service, in a thread, on the clock that jumps; its own pauses are short."""
    for name in ("_RECONCILE_AGAIN_SECONDS", "_SEARCH_AGAIN_SECONDS"):
        monkeypatch.setattr(service, name, 0.05)
    stop = threading.Event()
    watcher = ToldWatcher()

    @contextmanager
    def showing() -> Iterator[Show]:
        yield lambda progress: None

    with (
        closing(Ends()) as ends,
        locked(world.state_path),
        closing(open_state(world.state_path)) as database,
        opened_collection(world.config) as collection,
        assembled(
            world.config,
            database,
            collection,
            stop=stop,
            patience_seconds=None,
            watcher=watcher,
            edges=Edges(world.clock, make_workers=Workers),
        ) as assembly,
    ):
        running = Service(assembly, watcher, stop, ends)
        thread = threading.Thread(target=running.run, args=(showing,))
        thread.start()
        try:
            yield watcher
        finally:
            ends.note()
            thread.join(DEADLINE_SECONDS)


def the_service_says(world: World, code: Exit) -> bool:
    """Does ``status`` have this exit code, by the service's own account?"""
    status = read_status(world.config)
    return status.service.account is not None and status.exit_code == code
