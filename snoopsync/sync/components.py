"""Puts the parts together, for the service and for a single resync, and takes them apart again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from collections.abc import Collection as Container
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from snoopsync.client.circuit_breaker import CircuitBreaker, RetryPolicy
from snoopsync.client.paging import DEFAULT_LIMITS, ListingLimits
from snoopsync.client.retrying import RetryingCollection
from snoopsync.config.settings import CollectionConfig, Config, FolderConfig
from snoopsync.core.errors import StateDamaged
from snoopsync.core.events import Event, log_event
from snoopsync.core.protocol import ImageCollection
from snoopsync.embedded import EmbeddedCollection
from snoopsync.folders.configured import monitors_of
from snoopsync.folders.disk import Disk
from snoopsync.folders.hard_links import HardLinks
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.folders.ownership import owner_of, recall_owner, report_host
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.counters import Counters
from snoopsync.runtime.workers import Workers
from snoopsync.state.database import Database
from snoopsync.state.file import move_aside
from snoopsync.state.images import State
from snoopsync.state.lock import COLLECTION_DIRECTORY
from snoopsync.state.pairs import Pairs
from snoopsync.state.schedule import Schedule, begin_schedule
from snoopsync.sync.delete_guard import DeletionGuard
from snoopsync.sync.duplicate_search import DuplicateSearch, announce_to_file, announce_to_log
from snoopsync.sync.engine import Settings, SyncEngine
from snoopsync.sync.in_flight import InFlight, path_of
from snoopsync.sync.renewal import Renewal

if TYPE_CHECKING:
    from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync")

#: The fact that remembers which collection the state file is about.
COLLECTION_FACT = "collection_id"

#: How long a command waits for a collection that is away.
COMMAND_PATIENCE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Components:
    """The parts, put together. ``searched`` is the collection as it is searched for duplicates,
    whose failures are nobody else's."""

    config: Config
    state: State
    pairs: Pairs
    collection: RetryingCollection
    searched: RetryingCollection
    clock: Clock
    schedule: Schedule
    monitors: tuple[FolderMonitor, ...]
    mirror: SyncEngine
    duplicate_search: DuplicateSearch
    renewal: Renewal


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the parts meet the world with; tests bring their own. ``retry_seconds``: how long the
    first pause is before a request is tried again; ``outage_clock``: whose time that is;
    ``listing_limits``: how much of a listing is read; ``counters`` counts what is done."""

    clock: Clock = field(default_factory=Clock)
    disk: Disk = field(default_factory=Disk)
    make_workers: Callable[[int, str], Workers] = Workers
    retry_seconds: float = RetryPolicy().base_seconds
    outage_clock: Clock = field(default_factory=Clock)
    listing_limits: ListingLimits = DEFAULT_LIMITS
    counters: Counters = field(default_factory=Counters)


def embedded_path(state: Path) -> Path:
    """Where the embedded collection of this state file is."""
    return state.parent / COLLECTION_DIRECTORY / "collection.sqlite3"


@contextmanager
def opened_collection(
    config: Config,
    timeout_seconds: float | None = None,
    *,
    make: bool = True,
    counters: Counters | None = None,
) -> Iterator[ImageCollection]:
    """The configured collection, without retries. ``timeout_seconds`` instead of the configured
    timeout. Without ``make`` an embedded collection that is not there yet is not made: an empty
    one takes its place. ``counters`` counts the bytes that are sent to a service."""
    with ExitStack() as stack:
        if not config.collection.embedded:
            yield stack.enter_context(
                closing(_client(config.collection, timeout_seconds, counters))
            )
            return
        path = embedded_path(config.state)
        if not make and not path.exists():
            path = Path(stack.enter_context(TemporaryDirectory())) / path.name
        yield stack.enter_context(closing(EmbeddedCollection(path)))


def _client(
    settings: CollectionConfig, timeout_seconds: float | None, counters: Counters | None
) -> ImageCollection:
    # Late, because requests takes 0.1 s: what has the embedded collection does without it.
    from snoopsync.client.collection import Collection, is_insecure

    if is_insecure(settings.endpoint):
        log_event(
            log,
            logging.WARNING,
            Event.NOT_ENCRYPTED,
            "%s is not encrypted, and the signature covers neither pictures nor queries: anyone"
            " on the way can read and change them. Use https://",
            settings.endpoint,
            endpoint=settings.endpoint,
        )
    return Collection(
        public_key=settings.public_key or "",
        secret_key=settings.secret_key.reveal() if settings.secret_key else "",
        endpoint=settings.endpoint,
        timeout=timeout_seconds or settings.timeout_seconds,
        ca_file=settings.ca_file,
        on_sent=(counters or Counters()).sent,
    )


def open_state(path: Path) -> Database:
    """Open the state file. A damaged one is moved aside, and a new one begun: it is rebuilt from
    the folders and the collection's listing."""
    try:
        return Database(path)
    except StateDamaged as error:
        set_aside(path, error)
        return Database(path)


def set_aside(path: Path, error: StateDamaged) -> None:
    """Move a damaged state file out of the way, and say so. Raises ``StateError``."""
    # To the microsecond, so that no second one takes the first one's place.
    aside = move_aside(path, datetime.now(UTC).strftime("damaged-%Y%m%dT%H%M%S.%fZ"))
    log_event(
        log,
        logging.WARNING,
        Event.STATE_DAMAGED,
        "%s; it is now %s, and is rebuilt from disk and collection",
        *(error, aside),
        path=str(path),
        moved_to=str(aside),
    )


@contextmanager
def open_components(
    config: Config,
    database: Database,
    collection: ImageCollection,
    *,
    stop: threading.Event,
    patience_seconds: float | None,
    watcher: Watcher | None = None,
    only: Container[str] | None = None,
    rehearsal: bool = False,
    dependencies: Dependencies | None = None,
    before: Components | None = None,
) -> Iterator[Components]:
    """Put the parts together. Without a ``watcher`` the folders are only scanned, ``only`` those
    named there. What is given here stays the caller's to close. ``before``: go on where these
    parts, for the same collection and the same ``database`` and ``watcher``, have ended."""
    sync = config.sync
    dependencies = dependencies or Dependencies()
    state = State(database) if before is None else before.state
    policy = RetryPolicy(
        base_seconds=dependencies.retry_seconds, max_outage_seconds=patience_seconds
    )
    breaker = CircuitBreaker(policy, stop=stop, clock=dependencies.outage_clock)
    retrying = RetryingCollection(
        collection, breaker, limits=dependencies.listing_limits, counters=dependencies.counters
    )
    searched = RetryingCollection(
        collection,
        CircuitBreaker(
            policy,
            stop=stop,
            clock=dependencies.outage_clock,
            service="the collection's search",
            parent=breaker,
        ),
        counters=dependencies.counters,
    )
    kept = _kept(config, before)
    if before is not None:
        _let_go(before, kept, watcher)
    if config.collection.embedded:
        recall_owner(state, collection)
    monitors = monitors_of(
        config, state, watcher, only, dependencies.disk, kept, dependencies.clock
    )
    schedule = begin_schedule(state, dependencies.clock)
    report_host(config.collection, state)
    settings = Settings(
        owner=owner_of(config.collection, state),
        settle_seconds=0.0 if rehearsal else sync.settle_seconds,
        delete_after_seconds=0.0 if rehearsal else sync.delete_after_seconds,
        workers=sync.workers,
        rehearsal=rehearsal,
    )
    if before is None:
        remembered = InFlight(state, None if rehearsal else path_of(config.state))
    else:
        remembered = before.mirror.sender.remembered
    mirror = SyncEngine(
        settings,
        monitors,
        state,
        DeletionGuard(sync.hold_deletes_over, state),
        retrying,
        searched,
        schedule=schedule,
        remembered=remembered,
        make_workers=dependencies.make_workers,
    )
    pairs = Pairs(database)
    announce = (
        announce_to_log
        if config.duplicates.log is None
        else announce_to_file(config.duplicates.log)
    )
    folders = {monitor.folder.name: monitor.folder for monitor in monitors}
    duplicate_search = DuplicateSearch(
        searched,
        pairs,
        config.duplicates.max_rank,
        announce,
        quiet=not config.duplicates.alert,
        counters=dependencies.counters,
        hard_links=HardLinks(state, folders),
        folders=config.folder_order,
    )
    if before is not None:
        mirror.take_over(before.mirror)
    renewal = Renewal(settings.owner, state, pairs, folders, searched)
    yield Components(
        *(
            config,
            state,
            pairs,
            retrying,
            searched,
            dependencies.clock,
            schedule,
            monitors,
            mirror,
            duplicate_search,
        ),
        renewal,
    )
    searched.log_suppressed()


def _kept(config: Config, before: Components | None) -> dict[str, FolderMonitor]:
    """The surveys of the folders that are configured as before, by name."""
    if before is None:
        return {}
    earlier = {folder.name: folder for folder in before.config.folders}
    kept = {
        folder.name
        for folder in config.folders
        if folder.name in earlier and _is_same_folder(folder, earlier[folder.name])
    }
    return {each.folder.name: each for each in before.monitors if each.folder.name in kept}


def _is_same_folder(folder: FolderConfig, other: FolderConfig) -> bool:
    return folder == replace(other, poll_interval_seconds=folder.poll_interval_seconds)


def _let_go(before: Components, kept: Container[str], watcher: Watcher | None) -> None:
    for monitor in before.monitors:
        if monitor.folder.name not in kept and watcher is not None:
            watcher.unwatch(monitor.folder.name)
