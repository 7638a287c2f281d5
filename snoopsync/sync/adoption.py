"""Which of the collection's images a file is, found by searching with its bytes.

It is asked about files that no record knows, while the collection holds images of ours that no
record knows either: after the state file was lost, say. The searches take as long as the network
does, so the thread that plans never waits for one: it asks, goes on, and plans for these files once
all of them were searched for, since of several copies all must be known to tell which is which.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace

from snoopsync.core.errors import CollectionError, FileChanged, Refused, Stopped
from snoopsync.core.events import Event, log_event
from snoopsync.core.model import File, Fingerprint, RelPath
from snoopsync.core.planner import PlanInput, Remote, newcomers
from snoopsync.core.protocol import ImageCollection, Match
from snoopsync.core.text import counted
from snoopsync.folders.folder import Folder
from snoopsync.log.throttle import LogThrottle
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.workers import Workers

log = logging.getLogger("snoopsync.mirror")

#: How many searches are under way at once.
_SEARCHES_AT_ONCE = 2

#: How long to wait after the service had no answer to any search.
_AGAIN_SECONDS = 60.0

#: How many files are named that could not be searched for.
_SAMPLE = 3

#: The smallest GIF there is: whether a service can search at all is asked with it.
_TINY_PICTURE = base64.b64decode("R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs=")


@dataclass(frozen=True, slots=True)
class Recognition:
    """What was found out about a file: its SHA-256, if it could be read, and the images that are
    the same picture."""

    seen: Fingerprint
    sha256: bytes | None = None
    image_ids: tuple[str, ...] = ()


#: What a search came to; ``None`` is of a file that was not as it had been seen.
_Finding = Recognition | CollectionError | None

_TOPIC = "new files wait, since the collection can't search"


class Recognizer:
    """Searches on threads of its own, in rounds, and keeps what a round has brought until the next
    one. ``on_done`` is called from one of them when a round has ended; the rest is for one thread.
    """

    def __init__(
        self,
        folders: Mapping[str, Folder],
        collection: ImageCollection,
        clock: Clock,
        make_workers: Callable[[int, str], Workers],
        on_done: Callable[[], None],
    ) -> None:
        self._folders = folders
        self._collection = collection
        self._clock = clock
        self._searchers = make_workers(_SEARCHES_AT_ONCE, "recognize")
        self._rounds = make_workers(1, "recognition")
        self._on_done = on_done
        self._round: Future[dict[RelPath, Recognition | None]] | None = None
        self._known: dict[RelPath, Recognition] = {}
        self._not_before = 0.0
        self._throttle = LogThrottle(log)

    @property
    def may_ask(self) -> bool:
        """Is it of use to ask now? Not while a round is under way, nor soon after one that the
        service had no answers for."""
        return self._round is None and self._clock.monotonic() >= self._not_before

    def recognize(
        self, plan_input: PlanInput, remote: Remote
    ) -> tuple[PlanInput, dict[RelPath, File]]:
        """The same world with what the collection holds. Files that may be images of it already,
        and have not been searched for, are not decided on in it: they are returned beside it, and
        are searched for, if that is of use now."""
        if not remote.unclaimed:
            return replace(plan_input, remote=remote), {}
        found, unknown = {}, {}
        for rel_path in newcomers(plan_input):
            file = plan_input.observations[rel_path]
            assert isinstance(file, File)
            known = self._known.get(rel_path)
            if known is not None and known.seen == file.fingerprint:
                found[rel_path] = known
            else:
                unknown[rel_path] = file
        if unknown and self.may_ask:
            self._ask(unknown)
        hashes = {rel_path: known.sha256 for rel_path, known in found.items() if known.sha256}
        matches = {rel_path: known.image_ids for rel_path, known in found.items()}
        plan_input = replace(
            plan_input,
            asked=plan_input.asked - unknown.keys(),
            hashes={**plan_input.hashes, **hashes},
            remote=replace(remote, matches=matches),
        )
        return plan_input, unknown

    def _ask(self, files: Mapping[RelPath, File]) -> None:
        """Begin a round of searches with these files."""
        self._round = self._rounds.submit(lambda: self._search_all(files))
        self._round.add_done_callback(lambda _: self._on_done())

    def collect(self) -> list[RelPath]:
        """Take what a round has brought, if one has ended. Returns the places of the files that
        were not as they had been seen. Raises ``CollectionError`` if the service can't search."""
        self._throttle.log_suppressed(self._clock.monotonic())
        if self._round is None or not self._round.done():
            return []
        ended, self._round = self._round, None
        try:
            findings = ended.result()
        except Stopped:
            return []
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
        self._known = {rel_path: found for rel_path, found in findings.items() if found is not None}
        return [rel_path for rel_path, found in findings.items() if found is None]

    def close(self) -> None:
        """End. What is under way is abandoned."""
        self._rounds.close(timeout_seconds=0.1)
        self._searchers.close(timeout_seconds=0.1)
        self._throttle.close()

    # A round, on its own thread.

    def _search_all(self, files: Mapping[RelPath, File]) -> dict[RelPath, Recognition | None]:
        results = self._searchers.map(lambda item: self._search(*item), files.items())
        findings: dict[RelPath, _Finding] = dict(zip(files, results, strict=True))
        failed = {
            rel_path: found
            for rel_path, found in findings.items()
            if isinstance(found, CollectionError)
        }
        if failed:
            if not any(isinstance(found, Recognition) for found in findings.values()):
                self._require_search(next(iter(failed.values())))
            samples, error = list(failed)[:_SAMPLE], next(iter(failed.values()))
            log_event(
                log,
                logging.WARNING,
                Event.UNRECOGNIZED,
                "%s could not be searched for in the collection, treated as new: %s (%s)",
                *(counted(len(failed), "file"), ", ".join(map(str, samples)), error),
                count=len(failed),
                samples=[rel_path.full_text for rel_path in samples],
                error=str(error),
            )
        return {
            rel_path: Recognition(files[rel_path].fingerprint)
            if isinstance(found, CollectionError)
            else found
            for rel_path, found in findings.items()
        }

    def _require_search(self, error: CollectionError) -> None:
        """No file could be searched for. Is it they? Raises ``error`` if it is the service."""
        try:
            self._collection.search_images(io.BytesIO(_TINY_PICTURE))
        except Refused:
            pass  # that is an answer
        except CollectionError:
            raise error from None

    def _search(self, rel_path: RelPath, file: File) -> _Finding:
        if file.fingerprint.size == 0:
            return Recognition(file.fingerprint)
        try:
            with self._folders[rel_path.folder].open(rel_path.path) as steady:
                if steady.fingerprint != file.fingerprint:
                    return None
                matches = self._collection.search_images(steady)["results"]
                sha256 = steady.sha256 or steady.hash_all()
        except (FileChanged, FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, Refused):
            # Sending it will say what is wrong with it.
            return Recognition(file.fingerprint)
        except CollectionError as error:
            if error.concerns_all:
                raise
            return error
        return Recognition(file.fingerprint, sha256, tuple(_same(matches, sha256.hex())))


def _same(matches: Iterable[Match], sha256: str) -> Iterator[str]:
    """The IDs of the same picture: rank 0, and, where the service also tells the content, the same
    bytes."""
    return (
        match["id"]
        for match in matches
        if match["rank"] == 0 and match.get("sha256", sha256) == sha256
    )
