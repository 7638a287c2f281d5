"""Sending one image, or removing one: what a worker does, and what came of it as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snoopsync.client.retrying import RetryingCollection, put_image, remove_image
from snoopsync.core.errors import CollectionError, FileChanged, NotFound, Stopped
from snoopsync.core.model import File, Gone, Observation, Record, RelPath, Unclear
from snoopsync.core.protocol import ImageCollection
from snoopsync.folders.folder import Folder
from snoopsync.folders.stable_file import StableFile
from snoopsync.runtime.counters import Call
from snoopsync.state.intents import Outstanding, Sent
from snoopsync.sync.delete_guard import Cleared


@dataclass(frozen=True, slots=True)
class Removal:
    """An image to remove, which the guard has cleared. ``mark`` and ``attempts`` are those of its
    row, ``None`` and 0 where nothing was planned for one. ``confirmed``: the collection is known to
    have held it, so one that it does not hold any more was removed. ``counts``: the guard counts
    it, since nobody approved it."""

    cleared: Cleared
    mark: int | None = None
    attempts: int = 0
    confirmed: bool = True
    counts: bool = True

    @property
    def image_id(self) -> str:
        """The image."""
        return self.cleared.delete.image_id

    @property
    def rel_path(self) -> RelPath | None:
        """Where its file was; ``None`` for an image that no record knows."""
        return self.cleared.delete.rel_path


#: Looks, right before a request to delete is sent, whether that is still proven to be right.
Proof = Callable[[], Observation]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The collection holds these bytes. ``record`` is what they were sent for."""

    sent: Sent
    record: Record


@dataclass(frozen=True, slots=True)
class Deleted:
    """The collection does not hold the image any more, or (not ``was_there``) never did."""

    removal: Removal
    was_there: bool = True


@dataclass(frozen=True, slots=True)
class LookAgain:
    """The file is not what was planned for: look at its place again."""

    image_id: str
    rel_path: RelPath


@dataclass(frozen=True, slots=True)
class Rejected:
    """This image can't be sent (or removed) now, for a reason of its own; the others can."""

    image_id: str
    rel_path: RelPath | None
    mark: int | None
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The collection can't be used at all: it is away, or doesn't take the keys."""

    error: CollectionError


Outcome = Uploaded | Deleted | LookAgain | Rejected | Trouble


class _Unproven(Exception):
    """A file is not proven to be gone."""

    def __init__(self, observation: File | Unclear) -> None:
        super().__init__()
        self.observation = observation


class Transfer:
    """Sends and removes, one image a call. Its methods may be called from several threads, and
    return ``None`` if they were stopped before."""

    def __init__(self, collection: RetryingCollection) -> None:
        self._collection = collection

    def upload(self, folder: Folder, item: Outstanding) -> Outcome | None:
        """Send a file, if it still is the one that was planned for."""
        record = item.record

        def rejected(reason: str) -> Rejected:
            return Rejected(record.image_id, record.rel_path, item.mark, item.attempts, reason)

        if record.seen.size == 0:
            return rejected("the file is empty")
        try:
            with folder.open(record.rel_path.path) as file:
                if file.fingerprint != record.seen:
                    return LookAgain(record.image_id, record.rel_path)
                return Uploaded(self._send(item, file), record)
        except (FileChanged, FileNotFoundError, NotADirectoryError):
            return LookAgain(record.image_id, record.rel_path)
        except OSError as error:
            return rejected(f"can't be read: {error.strerror}")
        except CollectionError as error:
            return Trouble(error) if error.concerns_all else rejected(str(error))
        except Stopped:
            return None

    def delete(self, removal: Removal, proof: Proof) -> Outcome | None:
        """Remove an image, if ``proof`` gives ``Gone``. The proof is asked for right before each
        attempt: the request may have waited for hours, while the collection was away."""

        def prove() -> None:
            observation = proof()
            if not isinstance(observation, Gone):
                raise _Unproven(observation)

        def rejected(reason: str) -> Rejected:
            return Rejected(
                removal.image_id, removal.rel_path, removal.mark, removal.attempts, reason
            )

        try:
            was_there = self._remove(removal, prove)
        except _Unproven as unproven:
            if isinstance(unproven.observation, File) and removal.rel_path is not None:
                return LookAgain(removal.image_id, removal.rel_path)
            assert isinstance(unproven.observation, Unclear)
            return rejected(unproven.observation.reason)
        except CollectionError as error:
            return Trouble(error) if error.concerns_all else rejected(str(error))
        except Stopped:
            return None
        return Deleted(removal, was_there or removal.confirmed)

    def _send(self, item: Outstanding, file: StableFile) -> Sent:
        image_id = item.record.image_id
        expected = item.record.sha256 is not None
        answer = put_image(self._collection, image_id, file, expected=expected)
        return Sent(image_id, item.mark, file.sha256 or file.hash_all(), answer["image_time"])

    def _remove(self, removal: Removal, prove: Callable[[], None]) -> bool:
        """Was there such an image?"""

        def attempt(collection: ImageCollection) -> bool:
            prove()
            return remove_image(collection, removal.image_id)

        return self._collection.retry(Call.DELETE, attempt)


class Rehearsal(Transfer):
    """Does everything but the requests that change anything: all of them succeed."""

    #: Stands for the digest of a file that nobody has read.
    UNREAD = b"unread"

    def _send(self, item: Outstanding, file: StableFile) -> Sent:
        return Sent(item.record.image_id, item.mark, self.UNREAD, None)

    def _remove(self, removal: Removal, prove: Callable[[], None]) -> bool:
        prove()
        if not removal.confirmed:
            try:
                self._collection.get_image(removal.image_id)
            except NotFound:
                return False
        return True
