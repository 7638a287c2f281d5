"""Processes that run snoopsync, and that are killed at a chosen moment.

A ``Nursery`` is a process that has imported everything, and forks a child for every ``Life``: so a
life does not cost the start of an interpreter. A child runs what snoopsync's own assembly puts
together; only its edges to the world (see ``fused``) count their calls, and end the process by
SIGKILL at the one that was asked for. What happens on the disk meanwhile is the business of the
process that has opened the nursery: the child asks it for ``Turn`` after ``Turn``.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from snoopsync.cli.exit_codes import of_resync
from snoopsync.config.settings import (
    CollectionConfig,
    Config,
    DuplicatesConfig,
    FolderConfig,
    HoldPolicy,
    SyncConfig,
)
from snoopsync.core.exits import Exit
from snoopsync.sync.components import Components, Dependencies, open_components
from snoopsync.sync.resync import ResyncRequest
from tests.support.fused import Fuse, FusedCollection, FusedDatabase, FusedDisk
from tests.support.paths import ROOT
from tests.support.world import OWNER, InlineWorkers, JumpingClock, ToldWatcher

#: The folders of every life, each a directory of ``Life.base``.
FOLDERS = ("photos", "scans")

#: More steps than these, without coming to rest, are a failure.
_MOST_STEPS = 1000

_PROGRAM = "import sys; from tests.support.crashing import breed; breed(int(sys.argv[1]))"


@dataclass(frozen=True, slots=True)
class Life:
    """What a child runs: the service while a story is played, or (not ``in_story``) a resync.

    ``kill_at``: at which of its edge calls it is killed; the first is 1. ``now``: the Unix time at
    its start. ``hold``: when deletions are held. Its folders and files are below ``base``.
    """

    base: Path
    endpoint: str
    now: float
    kill_at: int | None = None
    in_story: bool = False
    hold: HoldPolicy = field(default_factory=HoldPolicy)


@dataclass(frozen=True, slots=True)
class Turn:
    """What has changed on the disk: files and whole directories, as folder and path. Then
    snoopsync takes this number of ``steps``, or (``None``) works until nothing is left to do."""

    files: Sequence[tuple[str, str]] = ()
    trees: Sequence[tuple[str, str]] = ()
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Killed:
    """A child was killed at this edge."""

    edge: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A child has ended normally, after ``edges`` edge calls. ``left``: how many images a second
    resync still had to change."""

    edges: int
    left: int = 0


#: Returns the next event when a child asks for it; ``None`` ends the story.
Tell = Callable[[], Turn | None]


class LifeFailed(Exception):
    """A child has ended with an exception: its traceback."""


def state_path(base: Path) -> Path:
    """Where the lives below ``base`` have their state file."""
    return base / "state" / "state.sqlite3"


def alerts_path(base: Path) -> Path:
    """Where they write their alerts, a JSON line each."""
    return base / "alerts.jsonl"


class Nursery:
    """The process that the children come from; a context manager. It has no threads, so forking it
    is safe."""

    def __enter__(self) -> Self:
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
            )
        return self

    def __exit__(self, *_exc: object) -> None:
        self._pipe.close()
        self._process.wait()

    def live(self, life: Life, tell: Tell = lambda: None) -> Killed | Ended:
        """Run one child, and return how it ended. Raises ``LifeFailed``."""
        self._pipe.send(life)
        fate: Killed | Ended | str = "it said nothing"
        while not isinstance(message := self._pipe.recv(), int):
            if message is None:
                self._pipe.send(tell())
            else:
                fate = message
        if isinstance(fate, str):
            raise LifeFailed(fate)
        expected = -signal.SIGKILL if isinstance(fate, Killed) else 0
        assert os.waitstatus_to_exitcode(message) == expected
        return fate


# In the nursery's own process.


def breed(descriptor: int) -> None:
    """Fork a child for every life that comes through this pipe, one after the other."""
    logging.getLogger("snoopsync").addHandler(logging.NullHandler())  # or it goes to stderr
    with Connection(descriptor) as pipe:
        while True:
            try:
                life = pipe.recv()
            except EOFError:
                return
            child = os.fork()
            if child == 0:
                _be(life, pipe)
            pipe.send(os.waitpid(child, 0)[1])


def _be(life: Life, pipe: Connection) -> None:
    """Run the child, and exit without returning into the code of the nursery."""
    try:
        fuse = Fuse(life.kill_at, lambda edge: pipe.send(Killed(edge)))
        pipe.send(_live(life, fuse, pipe))
    except BaseException:  # sent to the test, which fails with it
        pipe.send(traceback.format_exc())
    finally:
        os._exit(0)


def _live(life: Life, fuse: Fuse, pipe: Connection) -> Ended:
    config = Config(
        collection=CollectionConfig(owner=OWNER),
        folders=tuple(FolderConfig(name, life.base / name) for name in FOLDERS),
        sync=SyncConfig(hold_deletes_over=life.hold),
        duplicates=DuplicatesConfig(log=alerts_path(life.base)),
        state=state_path(life.base),
    )
    watcher = ToldWatcher() if life.in_story else None
    dependencies = Dependencies(
        Leaps(life.now), FusedDisk(fuse), InlineWorkers, retry_seconds=0.001
    )
    with (
        closing(FusedDatabase(config.state, fuse)) as database,
        FusedCollection(life.endpoint, fuse) as collection,
        open_components(
            config,
            database,
            collection,
            stop=threading.Event(),
            patience_seconds=5.0,
            watcher=watcher,
            dependencies=dependencies,
        ) as components,
    ):
        _reconcile(components)
        if watcher is not None:
            _follow(components, watcher, pipe)
            return Ended(fuse.burnt)
        edges_so_far = fuse.burnt
        return Ended(edges_so_far, _reconcile(components))


def _reconcile(components: Components) -> int:
    """As at every start; how many images there was something to do about."""
    run = components.engine.begin_resync(ResyncRequest(FOLDERS))
    while not run.is_over:
        components.engine.step()
        _alert(components)
        components.engine.wait()
    report = run.report
    assert report is not None
    assert of_resync(report) in (Exit.OK, Exit.HELD_OR_MISSING), report
    _alert(components)
    done = report.summary
    return done.added + done.updated + done.deleted + done.renamed + done.adopted


def _follow(components: Components, watcher: ToldWatcher, pipe: Connection) -> None:
    """Go along with the story, to its end."""
    while True:
        pipe.send(None)  # what is next?
        turn = pipe.recv()
        if turn is None:
            return
        for name, path in turn.files:
            watcher.told[name].tell(path)
        for name, path in turn.trees:
            watcher.told[name].tell_tree(path)
        _work(components, turn.steps)


def _work(components: Components, steps: int | None) -> None:
    for _ in range(_MOST_STEPS if steps is None else steps):
        components.engine.step()
        _alert(components)
        if steps is None and components.engine.is_idle:
            return
        components.engine.wait()
    assert steps is not None, "it does not come to rest"


def _alert(components: Components) -> None:
    # A service has a thread for this. Here the edge calls shall have one order.
    components.duplicate_search.work_off(lambda: False)


class Leaps(JumpingClock):
    """Time that only passes where everything waits: also the thread that reads the listing."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self._seconds = now

    def wait(self, event: threading.Event, seconds: float) -> None:
        while threading.active_count() > 1 and not event.wait(0.001):
            pass
        if not event.is_set():
            self.advance(seconds)
