"""A small complete world for tests: folders, a state file, a collection behind HTTP, and snoopsync
built from its own components.

Everything is real but the time, which jumps to the next thing to do as soon as there is nothing to
do now, and (where a test does not ask for threads) the workers, which do a job when they get it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from sqlite3 import ProgrammingError
from typing import Any, TypeVar

from snoopsync.client.paging import DEFAULT_LIMITS, ListingLimits
from snoopsync.config.secrets import Secret
from snoopsync.config.settings import (
    CollectionConfig,
    Config,
    DuplicatesConfig,
    FolderConfig,
    HoldPolicy,
    SyncConfig,
)
from snoopsync.core.errors import CollectionError, Conflict, NotFound, Refused
from snoopsync.core.model import File, Fingerprint, Record, RelPath, image_ids
from snoopsync.core.planner import Action, Add, Verb
from snoopsync.core.protocol import (
    ImageAnswer,
    ImageCollection,
    ImageSource,
    ListAnswer,
    ListedImage,
    Match,
    SearchAnswer,
    SearchByIdAnswer,
)
from snoopsync.folders.disk import Disk
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.workers import Workers
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.state.pairs import Duplicate, Pairs
from snoopsync.state.reading import scratch
from snoopsync.sync.components import (
    Components,
    Dependencies,
    open_components,
    open_state,
    opened_collection,
)
from snoopsync.sync.in_flight import InFlight
from snoopsync.sync.planning import PlanningPace
from snoopsync.sync.pruning import Approve, Pruning
from snoopsync.sync.resync import ResyncRequest, run_resync
from snoopsync.sync.resync_report import ResyncReport
from snoopsync.watching.hint_source import HintSource
from snoopsync.watching.hints import Hints
from snoopsync.watching.watcher import Watcher
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer, Seen

OWNER = "tester"
SETTLE_SECONDS = 0.5
DELETE_AFTER_SECONDS = 5.0

#: How long something that must happen may take, in real seconds.
DEADLINE_SECONDS = 30.0

#: More steps than these, and a small world will never come to rest.
MOST_STEPS = 400

#: How long the clock lets threads that are not ours go first, before it jumps.
_YIELD_SECONDS = 0.003

Result = TypeVar("Result")
Item = TypeVar("Item")


class JumpingClock(Clock):
    """Time that passes only when snoopsync waits: the wait ends at once."""

    def __init__(self) -> None:
        self._seconds = 1_000_000_000.0
        self._suspended = 0.0
        self._stepped = 0.0

    def now(self) -> float:
        return self.boottime() + self._stepped

    def monotonic(self) -> float:
        return self._seconds

    def boottime(self) -> float:
        return self._seconds + self._suspended

    def boot_id(self) -> str:
        return "a boot"

    def wait(self, event: threading.Event, seconds: float) -> None:
        if not event.wait(_YIELD_SECONDS):
            self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._seconds += seconds

    def suspend(self, seconds: float) -> None:
        """Suspend the machine for ``seconds``."""
        self._suspended += seconds

    def set_wall_clock(self, seconds: float) -> None:
        """Set the wall clock forward by ``seconds``, or back if ``seconds`` is negative."""
        self._stepped += seconds


class InlineWorkers(Workers):
    """No threads: a job is done when it is submitted. While ``keeps_back`` is true, results are
    withheld until ``release``."""

    def __init__(self, count: int, name: str) -> None:
        self.keeps_back = False
        self._kept: list[Callable[[], None]] = []

    @property
    def waiting(self) -> int:
        return 0

    def submit(self, job: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            result = job()
        except BaseException as error:  # as in a thread: it belongs to whoever asks
            future.set_exception(error)
        else:
            self._kept.append(lambda: future.set_result(result))
        if not self.keeps_back:
            self.release()
        return future

    def map(self, job: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        return [job(item) for item in items]

    def release(self) -> None:
        kept, self._kept = self._kept, []
        for tell in kept:
            tell()

    def close(self, timeout_seconds: float) -> bool:
        return True


def fake_picture(number: int, size: int = 40) -> bytes:
    """Bytes that ``Shelf`` takes for a picture, unlike those of every other number."""
    return b"picture %09d " % number + bytes(size)


class Shelf:
    """A collection in memory, that takes anything for a picture and only knows the same bytes from
    others. ``tells_content``: it gives a match's SHA-256. ``hidden`` are left out of listings."""

    id = "shelf"
    name = "shelf"
    user = "tester"

    def __init__(self, *, tells_content: bool = True) -> None:
        self.hidden: set[str] = set()
        self._tells_content = tells_content
        self._lock = threading.Lock()
        self._digests: dict[str, str] = {}
        self._by_digest: dict[str, set[str]] = {}

    def add_image(
        self,
        image: ImageSource,
        image_id: str | None = None,
        update_existing: bool = False,
        label: str | None = None,
    ) -> ImageAnswer:
        assert image_id is not None
        digest = self._digest(image)
        with self._lock:
            known = image_id in self._digests
            if known and not update_existing:
                raise Conflict("there already", status=409)
            if not known and update_existing:
                raise NotFound("no such image", status=404)
            self._take(image_id)
            self._digests[image_id] = digest
            self._by_digest.setdefault(digest, set()).add(image_id)
        return self._about(image_id, 200 if known else 201)

    def get_image(self, image_id: str) -> ImageAnswer:
        self._find(image_id)
        return self._about(image_id, 200)

    def delete_image(self, image_id: str) -> ImageAnswer:
        with self._lock:
            self._find(image_id)
            self._take(image_id)
        return self._about(image_id, 200)

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        with self._lock:
            ids = [image_id for image_id in reversed(self._digests) if image_id not in self.hidden]
        if start is not None and start not in ids:
            raise NotFound("no such image to start at", status=404)
        begin = ids.index(start) if start is not None else 0
        end = begin + (count or 100)
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "images": [{"id": image_id, "image_time": ""} for image_id in ids[begin:end]],
            "next_image_id": ids[end] if end < len(ids) else None,
        }

    def images(self) -> Iterator[ListedImage]:
        return iter(self.get_images(count=len(self._digests) + 1)["images"])

    def search_images_by_id(self, image_id: str, limit: int | None = None) -> SearchByIdAnswer:
        with self._lock:
            matches = self._alike(self._find(image_id), image_id)
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "image_id": image_id,
            "image_time": "",
            "results": matches,
        }

    def search_images(self, image: ImageSource, limit: int | None = None) -> SearchAnswer:
        digest = self._digest(image)
        with self._lock:
            matches = self._alike(digest)
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "results": matches,
        }

    def close(self) -> None:
        pass

    def _digest(self, image: ImageSource) -> str:
        assert not isinstance(image, str | bytes | os.PathLike)
        data = image.read()
        if not data.startswith(b"picture"):
            raise Refused("not a picture", status=400)
        return hashlib.sha256(data).hexdigest()

    def _find(self, image_id: str) -> str:
        try:
            return self._digests[image_id]
        except KeyError:
            raise NotFound("no such image", status=404) from None

    def _take(self, image_id: str) -> None:
        digest = self._digests.pop(image_id, None)
        if digest is not None:
            self._by_digest[digest].discard(image_id)

    def _alike(self, digest: str, but: str | None = None) -> list[Match]:
        same = sorted(self._by_digest.get(digest, set()) - {but})
        if self._tells_content:
            return [{"id": image_id, "rank": 0, "sha256": digest} for image_id in same]
        return [{"id": image_id, "rank": 0} for image_id in same]

    def _about(self, image_id: str, status: int) -> ImageAnswer:
        return {
            "status": status,
            "message": "OK",
            "collection_id": self.id,
            "image_id": image_id,
            "image_time": "2026-01-01T00:00:00+00:00",
        }


@dataclass
class DiskFolder:
    """One folder on the disk, and what people do in it. Paths are below it, and given as text."""

    root: Path

    def write(self, path: str, data: bytes) -> None:
        """Write a file as ``cp`` does: a known one keeps its inode."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def replace(self, path: str, data: bytes) -> None:
        """Save as careful programs do: a new file takes the place of the old one at once."""
        aside = self.root.parent / "being-saved"
        aside.write_bytes(data)
        aside.replace(self.root / path)

    def rename(self, path: str, to: str, folder: DiskFolder | None = None) -> None:
        """Rename or move a file or a directory, if need be into another folder."""
        target = (folder or self).root / to
        target.parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).rename(target)

    def swap(self, path: str, other: str) -> None:
        """Two files change their places."""
        aside = self.root.parent / "being-swapped"
        (self.root / path).rename(aside)
        (self.root / other).rename(self.root / path)
        aside.rename(self.root / other)

    def copy(self, path: str, to: str) -> None:
        """Make a second file with the same bytes."""
        self.write(to, self.read(path))

    def touch(self, path: str) -> None:
        """A new time, the same bytes."""
        os.utime(self.root / path)

    def remove(self, path: str) -> None:
        """Remove a file, or a directory with all that is in it."""
        target = self.root / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    def read(self, path: str) -> bytes:
        """The bytes of a file."""
        return (self.root / path).read_bytes()

    def paths(self) -> list[str]:
        """The paths of all files, in order."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        return sorted(map(str, found))

    def directories(self) -> list[str]:
        """The paths of all directories below the folder, in order."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_dir())
        return sorted(map(str, found))


class Remote:
    """The collection's side, through its real HTTP server."""

    def __init__(self, server: CollectionServer) -> None:
        self.server = server

    def ids(self) -> set[str]:
        """The IDs of all images in the collection."""
        return set(self.server.contents)

    def digest(self, image_id: str) -> str:
        """The SHA-256 of an image's bytes, in hexadecimal."""
        return self.server.contents[image_id]

    def digests(self) -> dict[str, str]:
        """The SHA-256 of every image of this owner."""
        contents = self.server.contents.items()
        return {name: digest for name, digest in contents if name.startswith(f"{OWNER}.")}

    def holds(self, data: bytes) -> bool:
        """Is there an image with these bytes?"""
        return hashlib.sha256(data).hexdigest() in self.server.contents.values()

    def uploads(self) -> list[Seen]:
        """The requests that sent image bytes to be kept."""
        return [
            seen
            for seen in self.server.requests
            if seen.method in ("POST", "PUT") and "/image" in seen.path
        ]

    def deletes(self) -> list[Seen]:
        """The requests to remove an image."""
        return self.server.sent("DELETE")

    def changes(self) -> list[Seen]:
        """The requests that could change anything."""
        return self.uploads() + self.deletes()

    def forget_requests(self) -> None:
        """Forget the requests so far."""
        self.server.requests.clear()

    def add(self, image_id: str, data: bytes) -> None:
        """Another client adds an image."""
        self.server.collection.add_image(io.BytesIO(data), image_id)
        self.server.contents[image_id] = hashlib.sha256(data).hexdigest()

    def remove(self, image_id: str) -> None:
        """Another client removes an image."""
        self.server.collection.delete_image(image_id)
        del self.server.contents[image_id]


class ToldWatch:
    """A watch that hints at what the test tells it."""

    unwatched: Mapping[bytes, str] = {}
    alive = True
    behind = False
    last_proof: float | None = 0.0
    restarts = 0

    def __init__(self) -> None:
        self._names: dict[bytes, set[bytes]] = {}
        self._trees: set[bytes] = set()

    def tell(self, path: str) -> None:
        """Something happened to the file or directory at this path."""
        directory, _, name = os.fsencode(path).rpartition(b"/")
        self._names.setdefault(directory, set()).add(name)

    def tell_tree(self, path: str) -> None:
        """A directory came or went here."""
        self._trees.add(os.fsencode(path))

    def cover(self, directory: bytes) -> bool:
        return True

    def forget(self, directory: bytes) -> None:
        pass

    def take(self) -> Hints:
        names = {directory: frozenset(names) for directory, names in self._names.items()}
        hints = Hints(names, frozenset(self._trees))
        self._names, self._trees = {}, set()
        return hints


class ToldWatcher(Watcher):
    """Gives every folder a ``ToldWatch``."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.told: dict[str, ToldWatch] = {}

    def watch(self, name: str, root: bytes) -> HintSource:
        return self.told.setdefault(name, ToldWatch())


@dataclass
class Live:
    """snoopsync at work, a step at a time, in the test's own thread."""

    components: Components
    stop: threading.Event

    def reconcile(self) -> ResyncReport:
        """Compare everything, as the service does first."""
        names = [monitor.folder.name for monitor in self.components.engine.monitors]
        return run_resync(self.components.engine, ResyncRequest(names, retry_refused=False))

    def scan(self) -> None:
        """Look at everything, from the next step on."""
        for monitor in self.components.engine.monitors:
            monitor.scan()

    def step(self) -> None:
        """One step, and the wait after it."""
        self.components.engine.step()
        self.components.engine.wait()

    def until(self, condition: Callable[[], bool]) -> None:
        """Step until the condition is true."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "the condition did not become true in time"
            self.step()

    def rest(self) -> None:
        """Step until there is nothing left to do."""
        self.components.engine.step()
        for _ in range(MOST_STEPS):
            if self.components.engine.is_idle:
                return
            self.step()
        raise AssertionError("it does not come to rest")

    def settle(self) -> None:
        """Look at everything, and step until there is nothing left to do."""
        self.scan()
        self.rest()


def approves(_pruning: Pruning) -> bool:
    """A person who approves any prune."""
    return True


@dataclass(frozen=True, slots=True)
class Plan:
    """The result of a rehearsal: its lines, and its report."""

    lines: tuple[tuple[Verb, str | None, str], ...]
    report: ResyncReport


def lines(actions: Sequence[Action]) -> tuple[tuple[Verb, str | None, str], ...]:
    """Actions as they are compared: verb, place and image ID, in an order of their own."""
    shown = [
        (action.verb, str(action.rel_path) if action.rel_path else None, action.image_id)
        for action in actions
    ]
    return tuple(sorted(shown, key=str))


@dataclass
class World:
    """The folders, the state file, the collection and the configuration, from one run to the next.

    ``hold`` is ``None`` if no deletion is ever held. ``database`` is that of the service that runs.
    """

    base: Path
    remote: Remote
    clock: JumpingClock = field(default_factory=JumpingClock)
    hold: HoldPolicy | None = None
    sync: SyncConfig = field(
        default_factory=lambda: SyncConfig(
            settle_seconds=SETTLE_SECONDS, delete_after_seconds=DELETE_AFTER_SECONDS, workers=2
        )
    )
    duplicates: DuplicatesConfig = field(default_factory=DuplicatesConfig)
    folders: dict[str, FolderConfig] = field(default_factory=dict)
    disk_edge: Disk = field(default_factory=Disk)
    make_workers: Callable[[int, str], Workers] = InlineWorkers
    open_database: Callable[[Path], Database] = open_state
    database: Database | None = None
    timeout_seconds: float = 20.0
    listing_limits: ListingLimits = DEFAULT_LIMITS
    planning: PlanningPace = field(default_factory=PlanningPace)

    def add_folder(self, name: str) -> DiskFolder:
        """Make a folder, and configure it."""
        root = self.base / name
        root.mkdir()
        self.folders[name] = FolderConfig(name, root)
        return DiskFolder(root)

    def configure(self, name: str, **changes: Any) -> None:
        """Edit the configuration of a folder."""
        self.folders[name] = replace(self.folders[name], **changes)

    @property
    def disk(self) -> DiskFolder:
        """The first folder."""
        return DiskFolder(next(iter(self.folders.values())).path)

    @property
    def state_path(self) -> Path:
        """The state file."""
        return self.base / "state" / "state.sqlite3"

    @property
    def config(self) -> Config:
        """The configuration as it is now."""
        return Config(
            collection=CollectionConfig(
                endpoint=self.remote.server.endpoint,
                public_key=PUBLIC_KEY,
                secret_key=Secret(SECRET_KEY),
                owner=OWNER,
                timeout_seconds=self.timeout_seconds,
            ),
            folders=tuple(self.folders.values()),
            sync=replace(self.sync, hold_deletes_over=self.hold),
            duplicates=self.duplicates,
            state=self.state_path,
        )

    @contextmanager
    def _assembled(
        self,
        database: Database,
        stop: threading.Event,
        watcher: Watcher | None = None,
        *,
        only: Sequence[str] | None = None,
        rehearsal: bool = False,
    ) -> Iterator[Components]:
        edges = Dependencies(
            self.clock,
            self.disk_edge,
            self.make_workers,
            retry_seconds=0.001,
            listing_limits=self.listing_limits,
            planning=self.planning,
        )
        config = self.config
        with (
            opened_collection(config) as collection,
            open_components(
                config,
                database,
                collection,
                stop=stop,
                patience_seconds=5.0,
                watcher=watcher,
                only=only,
                rehearsal=rehearsal,
                dependencies=edges,
            ) as components,
        ):
            yield components

    def resync(
        self, *folders: str, prune: bool = False, approve: Approve = approves
    ) -> ResyncReport:
        """``snoopsync resync``, with ``--prune`` and, unless ``approve`` says no, ``--yes``."""
        return self.resync_telling(lambda _actions: None, *folders, prune=prune, approve=approve)

    def resync_telling(
        self,
        tell: Callable[[Sequence[Action]], None],
        *folders: str,
        prune: bool = False,
        approve: Approve = approves,
    ) -> ResyncReport:
        """``snoopsync resync``, with the actions that it carries out."""
        stop = threading.Event()
        names = folders or tuple(self.folders)
        with (
            closing(open_state(self.state_path)) as database,
            self._assembled(database, stop, only=names) as components,
        ):
            components.engine.on_done = tell
            request = ResyncRequest(names, prune=approve if prune else None)
            report = run_resync(components.engine, request)
            components.engine.close(DEADLINE_SECONDS)
            if report.trouble is None:
                with suppress(CollectionError):
                    components.duplicate_search.work_off(stop.is_set)
            return report

    def rehearse(self, *folders: str, prune: bool = False, approve: Approve = approves) -> Plan:
        """``snoopsync resync --dry-run``."""
        stop = threading.Event()
        planned: list[Action] = []
        names = folders or tuple(self.folders)
        with (
            closing(scratch(self.state_path)) as database,
            self._assembled(database, stop, only=names, rehearsal=True) as components,
        ):
            components.engine.on_done = planned.extend
            request = ResyncRequest(names, prune=approve if prune else None)
            report = run_resync(components.engine, request)
            components.engine.close(DEADLINE_SECONDS)
        return Plan(lines(planned), report)

    @contextmanager
    def running(self, watcher: Watcher | None = None, *, reconcile: bool = True) -> Iterator[Live]:
        """``snoopsync run``, stepped by the test, and shut down in order at the end."""
        with self.running_until_it_crashes(watcher) as live:
            if reconcile:
                live.reconcile()
            yield live
            live.components.engine.close(DEADLINE_SECONDS)

    @contextmanager
    def running_until_it_crashes(self, watcher: Watcher | None = None) -> Iterator[Live]:
        """``snoopsync run`` that ends as if its process had been killed: requests may have arrived,
        but no result is recorded."""
        stop = threading.Event()
        with ExitStack() as stack:
            database = stack.enter_context(closing(self.open_database(self.state_path)))
            self.database = database
            components = stack.enter_context(self._assembled(database, stop, watcher))
            yield Live(components, stop)
            stop.set()
            components.engine.sender.in_flight_file = InFlight(components.state, None)
            database.close()
            with suppress(ProgrammingError):
                components.engine.close(DEADLINE_SECONDS)

    def take_for_mirrored(self) -> None:
        """Record all files of the first folder as mirrored: a fast way to a large world."""
        name, disk = next(iter(self.folders)), self.disk
        with closing(open_state(self.state_path)) as database, database.transaction():
            state = State(database)
            for path in disk.paths():
                rel_path = RelPath(name, os.fsencode(path))
                image_id = next(image_ids(OWNER, rel_path))
                data = disk.read(path)
                self.remote.add(image_id, data)
                file = File(Fingerprint.of((disk.root / path).lstat()))
                state.intents.apply([Add(rel_path, image_id, file)], self.clock.now())
                sent = Sent(image_id, 1, hashlib.sha256(data).digest(), None)
                state.intents.confirm(sent, self.clock.now())
            database.change("UPDATE image SET search_due = 0")

    # What is known.

    @contextmanager
    def _state(self) -> Iterator[Database]:
        with closing(Database(self.state_path, readonly=True)) as database:
            yield database

    def records(self) -> list[Record]:
        """All images in the state file."""
        with self._state() as database:
            state = State(database)
            return [record for row in state.folders.rows() for record in state.records_in(row.name)]

    def ids(self) -> dict[str, str]:
        """The image ID of every place, as ``folder/path``."""
        return {str(record.rel_path): record.image_id for record in self.records()}

    def id_of(self, path: str, folder: str | None = None) -> str:
        """The image ID of the picture at this path, in the first folder by default."""
        return self.ids()[f"{folder or next(iter(self.folders))}/{path}"]

    def folder_state(self, name: str | None = None) -> str:
        """The state of a folder in ``status``."""
        with self._state() as database:
            rows = {row.name: row for row in State(database).folders.rows()}
        return rows[name or next(iter(self.folders))].state.value

    def held(self) -> int:
        """The number of held deletions."""
        with self._state() as database:
            return sum(counts.held for counts in State(database).counts().values())

    def approve(self, *, discard: bool = False) -> int:
        """``snoopsync approve`` without a service, for every folder."""
        with closing(Database(self.state_path)) as database:
            state = State(database)
            decide = state.deletions.discard if discard else state.deletions.approve
            return sum(decide(name) for name in self.folders)

    def duplicates_known(self) -> list[Duplicate]:
        """``snoopsync duplicates --all``."""
        with self._state() as database:
            return list(Pairs(database).listed(everything=True))

    def dump(self) -> list[Any]:
        """Every row of every table of the state file."""
        with self._state() as database:
            tables = database.query("SELECT name FROM sqlite_schema WHERE type = 'table'")
            return [(name, database.query(f"SELECT * FROM {name}")) for (name,) in tables]

    def lose_state(self) -> None:
        """Remove the state file."""
        shutil.rmtree(self.state_path.parent)

    def on_disk(self) -> dict[str, str]:
        """The SHA-256 of every file, by ``folder/path``."""
        return {
            f"{name}/{path}": hashlib.sha256(disk.read(path)).hexdigest()
            for name, folder in self.folders.items()
            for disk in [DiskFolder(folder.path)]
            for path in disk.paths()
        }

    def mirrored(self) -> dict[str, str | None]:
        """The SHA-256 of the image of every path in the collection, by ``folder/path``."""
        contents = self.remote.server.contents
        return {rel_path: contents.get(image_id) for rel_path, image_id in self.ids().items()}

    def check_mirrored(self) -> None:
        """Check that the collection has exactly the files, byte for byte, under one ID each."""
        on_disk, ids = self.on_disk(), self.ids()
        assert self.mirrored() == on_disk
        assert len(set(ids.values())) == len(ids)
        assert set(self.remote.digests()) == set(ids.values())


class ServedWorld:
    """A context manager: a world whose collection is served, with one folder, ``photos``."""

    def __init__(self, base: Path, collection: ImageCollection | None = None) -> None:
        self._server = CollectionServer(collection or Shelf())
        self._base = base

    def __enter__(self) -> World:
        self._server.__enter__()
        world = World(self._base, Remote(self._server))
        world.add_folder("photos")
        return world

    def __exit__(self, *_exc: object) -> None:
        self._server.__exit__()


@contextmanager
def while_stopped(world: World) -> Iterator[None]:
    """Changes inside are made while snoopsync does not run. Afterwards they are synced."""
    yield
    world.resync()


@contextmanager
def while_running(world: World) -> Iterator[None]:
    """Changes inside are made while snoopsync runs, with the kernel's own events. Afterwards they
    are synced."""
    live_now: list[Live] = []
    watcher = Watcher(lambda: live_now[0].components.engine.wake() if live_now else None)
    try:
        with world.running(watcher) as live:
            live_now.append(live)
            yield
            live.until(lambda: world.mirrored() == world.on_disk())
            live.rest()
    finally:
        watcher.stop()
