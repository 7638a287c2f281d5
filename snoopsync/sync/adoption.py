"""Finds the image in the collection that a new file already is, by searching with the file's bytes.

This is needed for files that no record knows, while the collection holds images of ours that no
record knows either: after the state file was lost, for example. A search takes as long as the
network does, so the engine never waits for one. It asks for a round of searches, goes on, and plans
for these files once the round has ended: only then is it known which of several copies is which
image.
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

#: How many searches are given to these threads at the same time: each of them takes memory.
_SUBMITTED_AT_ONCE = 1000

#: How long to wait after a round in which the service answered no search.
_AGAIN_SECONDS = 60.0

#: How many files a log line names.
_SAMPLE = 3

#: The smallest GIF that exists. A search for it shows whether the service can search at all.
_TINY_PICTURE = base64.b64decode("R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=")

_TOPIC = "new files wait, since the collection can't search"


@dataclass(frozen=True, slots=True)
class _Searched:
    """What was found about a file: its SHA-256, if the file could be read, and the images that are
    the same picture."""

    seen: Fingerprint
    sha256: bytes | None = None
    image_ids: tuple[str, ...] = ()


#: The outcome of one search; ``None`` if the file had changed.
_Outcome = _Searched | CollectionError | None


@dataclass(frozen=True, slots=True)
class _Round:
    """What a round of searches found. ``assigned``: the image that each file is."""

    searched: Mapping[RelPath, _Searched] = field(default_factory=dict)
    assigned: Mapping[RelPath, str] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    changed: tuple[RelPath, ...] = ()


class Adoption:
    """Searches in rounds, on threads of its own, and remembers what the last round found. Files
    that changed meanwhile go to the ``inbox``. ``on_round_ended`` is called on another thread; the
    rest is for the engine's thread."""

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
        self._not_before = 0.0
        self._throttle = LogThrottle(log)

    @property
    def can_search(self) -> bool:
        """Can a round begin now? Not while another one runs, nor soon after one in which the
        service had no answers."""
        return self._round is None and self._clock.monotonic() >= self._not_before

    @property
    def is_searching(self) -> bool:
        """Is a round under way?"""
        return self._round is not None and not self._round.done()

    def forget(self) -> None:
        """Forget what was found: the collection is about to be listed again."""
        self._last = _Round()

    def add_found(self, remote: Remote, observations: Mapping[RelPath, Observation]) -> Remote:
        """The remote side with what the last round found about these files."""
        found = {}
        for rel_path, observation in observations.items():
            searched = self._last.searched.get(rel_path)
            if searched is None or not isinstance(observation, File):
                continue
            if searched.seen == observation.fingerprint:
                found[rel_path] = Found(self._last.assigned.get(rel_path), searched.sha256)
        return replace(remote, found=found, reserved=self._last.reserved)

    def search(self, files: Mapping[RelPath, File], unclaimed: frozenset[str]) -> None:
        """Begin a round with these files. ``unclaimed``: the images that they may be."""
        self._round = self._rounds.submit(lambda: self._search_all(files, unclaimed))
        self._round.add_done_callback(lambda _: self._on_round_ended())

    def collect(self) -> None:
        """Remember what a round found, if one has ended. Raises ``CollectionError`` if the service
        cannot search."""
        self._throttle.log_suppressed(self._clock.monotonic())
        if self._round is None or not self._round.done():
            return
        ended, self._round = self._round, None
        try:
            self._last = ended.result()
        except Stopped:
            return
        except CollectionError as error:
            now = self._clock.monotonic()
            self._not_before = now + _AGAIN_SECONDS
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
        self._inbox.put(self._last.changed)

    def close(self, timeout_seconds: float) -> bool:
        """End. Searches under way are abandoned after ``timeout_seconds``; false if there are
        any."""
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
        """Every search failed. Raises ``error`` if the service is the reason, not the files."""
        try:
            self._collection.search_images(io.BytesIO(_TINY_PICTURE))
        except Refused:
            pass  # the service can search: it looked at the picture
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
            # Sending the file fails with the reason.
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
        "%d files can't be searched for in the collection, and count as new: %s (%s)",
        *(len(failed), ", ".join(map(str, samples)), error),
        count=len(failed),
        samples=[rel_path.full_text for rel_path in samples],
        error=str(error),
    )


def _same(matches: Iterable[Match], sha256: str) -> Iterator[str]:
    """The IDs of the same picture: those with rank 0 and, where the service also reports the
    content, the same bytes."""
    return (
        match["id"]
        for match in matches
        if match["rank"] == 0 and match.get("sha256", sha256) == sha256
    )
