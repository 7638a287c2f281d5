"""Finds existing images of new files in the collection, by searching for the files' bytes.

This is needed for files without a record while the collection holds images of this owner without a
record, for example after the state file was lost. A search waits for the network, so the engine
never waits for a search. It starts a round of searches, continues, and plans for these files when
the round has ended: only then is it known which of several copies is which image.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from itertools import islice

from snoopsync.core.assignment import assign_images
from snoopsync.core.errors import CollectionError, FileChanged, Refused, Stopped
from snoopsync.core.events import Event, log_event
from snoopsync.core.model import File, Fingerprint, Observation, RelPath
from snoopsync.core.planner import Found, Remote
from snoopsync.core.protocol import ImageCollection, Match
from snoopsync.folders.folder import Folder
from snoopsync.folders.pending import Inbox
from snoopsync.log.throttle import LogThrottle
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.workers import Workers

log = logging.getLogger("snoopsync.mirror")

#: How many searches run at the same time.
_SEARCHES_AT_ONCE = 2

#: How many searches are queued for these threads at once. Each queued search takes memory.
_SUBMITTED_AT_ONCE = 1000

#: How long to wait after a round in which every search failed.
_RETRY_SECONDS = 60.0

#: How many files a log line names.
_SAMPLE = 3

#: The smallest possible GIF. A search for it shows whether the service can search at all.
_SMALLEST_GIF = base64.b64decode("R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=")

_TOPIC = "new files are waiting, because the collection can't search"


@dataclass(frozen=True, slots=True)
class _Searched:
    """The result of a search for a file: its SHA-256, if the file could be read, and the images
    that are the same picture."""

    seen: Fingerprint
    sha256: bytes | None = None
    image_ids: tuple[str, ...] = ()


#: The outcome of one search. ``None``: the file has changed.
_Outcome = _Searched | CollectionError | None


@dataclass(frozen=True, slots=True)
class _Round:
    """What a round of searches found. ``assigned``: the existing image of each file."""

    searched: Mapping[RelPath, _Searched] = field(default_factory=dict)
    assigned: Mapping[RelPath, str] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    changed: tuple[RelPath, ...] = ()


class Adoption:
    """Searches in rounds, on its own threads, and keeps the results of the last round. Files that
    changed meanwhile go to the ``inbox``. ``on_round_ended`` is called on another thread. The
    methods are for the engine's thread."""

    def __init__(
        self,
        owner: str,
        folders: Mapping[str, Folder],
        collection: ImageCollection,
        clock: Clock,
        make_workers: Callable[[int, str], Workers],
        inbox: Inbox,
        on_round_ended: Callable[[], None],
    ) -> None:
        self._owner = owner
        self._folders = folders
        self._collection = collection
        self._clock = clock
        self._searchers = make_workers(_SEARCHES_AT_ONCE, "adoption-search")
        self._rounds = make_workers(1, "adoption")
        self._inbox = inbox
        self._on_round_ended = on_round_ended
        self._round: Future[_Round] | None = None
        self._last = _Round()
        self._is_outdated = False
        self._not_before = 0.0
        self._throttle = LogThrottle(log)

    @property
    def can_search(self) -> bool:
        """Whether a round can begin now: no round is running, and the pause after a failed round is
        over."""
        return self._round is None and self._clock.monotonic() >= self._not_before

    @property
    def is_searching(self) -> bool:
        """Whether a round is running."""
        return self._round is not None and not self._round.done()

    def forget(self) -> None:
        """Forget the results, also those of a running round, because the collection is about to be
        listed again."""
        self._last = _Round()
        self._is_outdated = self._round is not None

    def add_found(self, remote: Remote, observations: Mapping[RelPath, Observation]) -> Remote:
        """``remote``, with what the last round found about these files."""
        found = {}
        for rel_path, observation in observations.items():
            searched = self._last.searched.get(rel_path)
            if searched is None or not isinstance(observation, File):
                continue
            if searched.seen == observation.fingerprint:
                found[rel_path] = Found(self._last.assigned.get(rel_path), searched.sha256)
        return replace(remote, found=found, reserved=self._last.reserved)

    def search(self, files: Mapping[RelPath, File], unclaimed: frozenset[str]) -> None:
        """Begin a round with these files. ``unclaimed``: the images that may belong to them."""
        self._round = self._rounds.submit(lambda: self._search_all(files, unclaimed))
        self._round.add_done_callback(lambda _: self._on_round_ended())

    def collect(self) -> None:
        """Keep the results of a round that has ended, if there is one. Raises ``CollectionError``
        if the service cannot search."""
        self._throttle.log_suppressed(self._clock.monotonic())
        if self._round is None or not self._round.done():
            return
        ended, self._round = self._round, None
        is_outdated, self._is_outdated = self._is_outdated, False
        try:
            result = ended.result()
        except Stopped:
            return
        except CollectionError as error:
            now = self._clock.monotonic()
            self._not_before = now + _RETRY_SECONDS
            if not error.concerns_all:
                self._throttle.log(
                    now,
                    _TOPIC,
                    logging.WARNING,
                    Event.RECOGNITION_FAILED,
                    "%s: %s",
                    *(_TOPIC, error),
                    error=str(error),
                )
            raise
        if is_outdated:
            return  # the postponed files are searched for again
        self._last = result
        self._inbox.put(result.changed)

    def close(self, timeout_seconds: float) -> bool:
        """Stop the threads. Returns false if searches did not end within ``timeout_seconds``. They
        are abandoned."""
        ended = [each.close(timeout_seconds / 2) for each in (self._rounds, self._searchers)]
        self._throttle.close()
        return all(ended)

    # A round, on its own thread.

    def _search_all(self, files: Mapping[RelPath, File], unclaimed: frozenset[str]) -> _Round:
        outcomes: dict[RelPath, _Outcome] = {}
        waiting = iter(files.items())
        while batch := dict(islice(waiting, _SUBMITTED_AT_ONCE)):
            results = self._searchers.map(lambda item: self._search(*item), batch.items())
            outcomes.update(zip(batch, results, strict=True))
        failed = {
            rel_path: outcome
            for rel_path, outcome in outcomes.items()
            if isinstance(outcome, CollectionError)
        }
        if failed:
            if not any(isinstance(outcome, _Searched) for outcome in outcomes.values()):
                self._require_search(next(iter(failed.values())))
            _log_failed(failed)
        searched = {}
        for rel_path, outcome in outcomes.items():
            if isinstance(outcome, CollectionError):
                outcome = _Searched(files[rel_path].fingerprint)
            if outcome is not None:
                searched[rel_path] = outcome
        matches = {rel_path: each.image_ids for rel_path, each in searched.items()}
        assigned = assign_images(self._owner, matches, unclaimed)
        changed = tuple(rel_path for rel_path, outcome in outcomes.items() if outcome is None)
        return _Round(searched, assigned, frozenset(assigned.values()), changed)

    def _require_search(self, error: CollectionError) -> None:
        """Raise ``error`` if every search failed because of the service, not because of the
        files."""
        try:
            self._collection.search_images(io.BytesIO(_SMALLEST_GIF))
        except Refused:
            pass  # the service examined the picture, so it can search
        except CollectionError:
            raise error from None

    def _search(self, rel_path: RelPath, file: File) -> _Outcome:
        if file.fingerprint.size == 0:
            return _Searched(file.fingerprint)
        try:
            with self._folders[rel_path.folder].open(rel_path.path) as stable:
                if stable.fingerprint != file.fingerprint:
                    return None
                matches = self._collection.search_images(stable)["results"]
                sha256 = stable.sha256 or stable.hash_all()
        except (FileChanged, FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, Refused):
            # Sending the file will fail and report the reason.
            return _Searched(file.fingerprint)
        except CollectionError as error:
            if error.concerns_all:
                raise
            return error
        return _Searched(file.fingerprint, sha256, tuple(_same(matches, sha256.hex())))


def _log_failed(failed: Mapping[RelPath, CollectionError]) -> None:
    samples, error = list(failed)[:_SAMPLE], next(iter(failed.values()))
    log_event(
        log,
        logging.WARNING,
        Event.UNRECOGNIZED,
        "%d files can't be searched for in the collection, so they count as new: %s (%s)",
        *(len(failed), ", ".join(map(str, samples)), error),
        count=len(failed),
        samples=[rel_path.full_text for rel_path in samples],
        error=str(error),
    )


def _same(matches: Iterable[Match], sha256: str) -> Iterator[str]:
    """The IDs of the images that are the same picture: rank 0, and the same bytes if the service
    reports the content."""
    return (
        match["id"]
        for match in matches
        if match["rank"] == 0 and match.get("sha256", sha256) == sha256
    )
