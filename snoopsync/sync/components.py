"""Creates and connects the components, for the service and for a single resync."""

from __future__ import annotations

import logging
import socket
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
from snoopsync.core.addresses import is_insecure
from snoopsync.core.errors import StateDamaged
from snoopsync.core.events import Event, log_event
from snoopsync.core.labels import Labelling
from snoopsync.core.protocol import ImageCollection
from snoopsync.core.shots import Distinctions
from snoopsync.embedded import ADDING_THREADS, open_embedded
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
from snoopsync.state.schedule import begin_schedule
from snoopsync.state.searches import Searches
from snoopsync.sync.changes_poll import ChangesPoll
from snoopsync.sync.duplicate_search import (
    DuplicateSearch,
    SearchSettings,
    announce_to_file,
    announce_to_log,
)
from snoopsync.sync.engine import Settings, SyncEngine
from snoopsync.sync.in_flight import InFlight, path_of
from snoopsync.sync.label_updates import LabelUpdates
from snoopsync.sync.planning import PlanningPace
from snoopsync.sync.renewal import Renewal
from snoopsync.sync.shots import ShotRelations, shot_relations

if TYPE_CHECKING:
    from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync")

#: Stands for the name of a machine that has none.
_NO_HOST = "localhost"


@dataclass(frozen=True, slots=True)
class Components:
    """The connected components. ``search_collection`` is the collection for searches: a failed
    search affects nothing else."""

    config: Config
    state: State
    searches: Searches
    search_collection: RetryingCollection
    engine: SyncEngine
    duplicate_search: DuplicateSearch
    renewal: Renewal
    label_updates: LabelUpdates


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The external dependencies of the components, which tests replace. ``retry_seconds``: the
    first pause before a request is retried, on the ``outage_clock``. ``listing_limits``: how much
    of a listing is read. ``counters``: the counters for metrics. ``planning``: how many files are
    planned together. ``host``: the name of this machine, for labels."""

    clock: Clock = field(default_factory=Clock)
    disk: Disk = field(default_factory=Disk)
    make_workers: Callable[[int, str], Workers] = Workers
    retry_seconds: float = RetryPolicy().base_seconds
    outage_clock: Clock = field(default_factory=Clock)
    listing_limits: ListingLimits = DEFAULT_LIMITS
    counters: Counters = field(default_factory=Counters)
    planning: PlanningPace = field(default_factory=PlanningPace)
    host: str = field(default_factory=socket.gethostname)


def embedded_path(state: Path) -> Path:
    """The path of the embedded collection that belongs to this state file."""
    return state.parent / COLLECTION_DIRECTORY / "collection.sqlite3"


@contextmanager
def opened_collection(
    config: Config,
    timeout_seconds: float | None = None,
    *,
    make: bool = True,
    counters: Counters | None = None,
) -> Iterator[ImageCollection]:
    """The configured collection, without retries. ``timeout_seconds`` replaces the configured
    timeout. Without ``make``, an embedded collection that does not exist is not created, and an
    empty temporary collection is used instead. ``counters`` counts the bytes that are sent to a
    service."""
    with ExitStack() as stack:
        if not config.collection.embedded:
            yield stack.enter_context(
                closing(_client(config.collection, timeout_seconds, counters))
            )
            return
        path = embedded_path(config.state)
        if not make and not path.exists():
            path = Path(stack.enter_context(TemporaryDirectory())) / path.name
        yield stack.enter_context(closing(open_embedded(path)))


def _client(
    settings: CollectionConfig, timeout_seconds: float | None, counters: Counters | None
) -> ImageCollection:
    # Imported late, because requests takes 0.1 s, and the embedded collection does not need it.
    from snoopsync.client.collection import Collection

    if is_insecure(settings.endpoint):
        log_event(
            log,
            logging.WARNING,
            Event.NOT_ENCRYPTED,
            "%s is not encrypted, and the signature covers neither pictures nor queries: others on"
            " the network can read and change them. Use https://",
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
    """Open the state file. A damaged file is moved aside, and a new file is created, which is
    rebuilt from the folders and the collection's listing."""
    try:
        return Database(path)
    except StateDamaged as error:
        set_aside(path, error)
        return Database(path)


def set_aside(path: Path, error: StateDamaged) -> None:
    """Move a damaged state file out of the way, and log that. Raises ``StateError``."""
    # The name has microseconds, so that a second damaged file never replaces the first one.
    aside = move_aside(path, datetime.now(UTC).strftime("damaged-%Y%m%dT%H%M%S.%fZ"))
    log_event(
        log,
        logging.WARNING,
        Event.STATE_DAMAGED,
        "%s; the file was moved to %s, and the state is rebuilt from folders and collection",
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
    """Create the components. Without a ``watcher`` the folders are only scanned. ``only``: the
    names of the folders to scan. The caller closes what it passes. ``before``: components with the
    same collection, ``database`` and ``watcher``, whose work the new ones continue."""
    deps = dependencies or Dependencies()
    state = State(database) if before is None else before.state
    policy = RetryPolicy(base_seconds=deps.retry_seconds, max_outage_seconds=patience_seconds)
    breaker = CircuitBreaker(policy, stop=stop, clock=deps.outage_clock)
    search_breaker = CircuitBreaker(
        policy,
        stop=stop,
        clock=deps.outage_clock,
        service="the collection's search",
        parent=breaker,
    )
    retrying = RetryingCollection(
        collection, breaker, limits=deps.listing_limits, counters=deps.counters
    )
    search_collection = RetryingCollection(collection, search_breaker, counters=deps.counters)
    kept = _kept(config, before)
    if before is not None:
        _unwatch_dropped(before, kept, watcher)
    if config.collection.embedded:
        recall_owner(state, collection)
    monitors = monitors_of(config, state, watcher, only, deps.disk, kept, deps.clock)
    schedule = begin_schedule(state, deps.clock)
    report_host(config.collection, state)
    settings = _settings(config, owner_of(config.collection, state), deps, rehearsal=rehearsal)
    if not rehearsal:
        state.labels.use(settings.labelling.host)
    engine = SyncEngine(
        settings, monitors, state, retrying, search_collection, schedule, deps.make_workers
    )
    if before is not None:
        engine.take_over(before.engine)
    elif not rehearsal:
        engine.sender.in_flight_file = InFlight(state, path_of(config.state))
    searches = Searches(database)
    duplicates = config.duplicates
    searches.distinguish(Distinctions(duplicates.companions, duplicates.series))
    folders = {monitor.folder.name: monitor.folder for monitor in monitors}
    poll = None
    if not config.collection.embedded:  # it has no other owners
        poll = ChangesPoll(
            settings.owner, state, searches.reported, search_collection, config.duplicates.max_rank
        )
    duplicate_search = _duplicate_search(
        *(config, search_collection, searches, deps.counters),
        hard_links=HardLinks(state, folders),
        changes_poll=poll,
        relations=shot_relations(searches, folders),
    )
    renewal = Renewal(settings.owner, state, searches, folders, search_collection)
    label_updates = LabelUpdates(settings.labelling, state.labels, search_collection)
    yield Components(
        *(config, state, searches, search_collection, engine, duplicate_search, renewal),
        label_updates,
    )
    search_collection.log_suppressed()
    label_updates.log_suppressed()


def _settings(config: Config, owner: str, deps: Dependencies, *, rehearsal: bool) -> Settings:
    return Settings(
        owner=owner,
        settle_seconds=0.0 if rehearsal else config.sync.settle_seconds,
        delete_after_seconds=0.0 if rehearsal else config.sync.delete_after_seconds,
        workers=ADDING_THREADS if config.collection.embedded else config.sync.workers,
        hold_over=config.sync.hold_deletes_over,
        rehearsal=rehearsal,
        planning=deps.planning,
        labelling=Labelling((deps.host or _NO_HOST) if config.collection.share_names else ""),
    )


def _duplicate_search(
    config: Config,
    collection: RetryingCollection,
    searches: Searches,
    counters: Counters,
    *,
    hard_links: HardLinks,
    changes_poll: ChangesPoll | None,
    relations: ShotRelations | None,
) -> DuplicateSearch:
    file = config.duplicates.log
    return DuplicateSearch(
        collection,
        searches,
        SearchSettings(
            config.duplicates.max_rank,
            quiet=not config.duplicates.alert,
            folders=config.folder_order,
        ),
        announce_to_log if file is None else announce_to_file(file),
        counters=counters,
        hard_links=hard_links,
        changes_poll=changes_poll,
        relations=relations,
    )


def _kept(config: Config, before: Components | None) -> dict[str, FolderMonitor]:
    """The monitors of the folders whose configuration has not changed, by name."""
    if before is None:
        return {}
    earlier = {folder.name: folder for folder in before.config.folders}
    kept = {
        folder.name
        for folder in config.folders
        if folder.name in earlier and _is_same_folder(folder, earlier[folder.name])
    }
    return {each.folder.name: each for each in before.engine.monitors if each.folder.name in kept}


def _is_same_folder(folder: FolderConfig, other: FolderConfig) -> bool:
    return folder == replace(other, poll_interval_seconds=folder.poll_interval_seconds)


def _unwatch_dropped(before: Components, kept: Container[str], watcher: Watcher | None) -> None:
    for monitor in before.engine.monitors:
        if monitor.folder.name not in kept and watcher is not None:
            watcher.unwatch(monitor.folder.name)
