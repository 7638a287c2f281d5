"""Sends or removes one image on a worker's thread, and returns the result as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from snoopsync.client.changing import put_image, remove_image
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import CollectionError, FileChanged, NotFound, Refused, Stopped
from snoopsync.core.labels import Labelling
from snoopsync.core.model import File, Gone, Observation, Record, RelPath, Unclear
from snoopsync.core.protocol import ImageCollection
from snoopsync.folders.folder import Folder
from snoopsync.folders.stable_file import StableFile
from snoopsync.runtime.counters import Call
from snoopsync.state.intents import Outstanding, Sent
from snoopsync.sync.deletion_guard import Cleared

#: The statuses with which a service may refuse a format: a bad request, an unsupported media type,
#: and content that cannot be processed.
_REFUSALS_OF_FORMATS = frozenset({400, 415, 422})


@dataclass(frozen=True, slots=True)
class Removal:
    """An image to remove. The guard has cleared the removal.

    ``mark`` and ``attempts`` are those of the image's row, or ``None`` and 0 if it has no planned
    row. ``confirmed``: the collection is known to have held the image, so if it is absent now, it
    was removed. ``counts``: the guard counts the removal, because nobody approved it.
    """

    cleared: Cleared
    mark: int | None = None
    attempts: int = 0
    confirmed: bool = True
    counts: bool = True

    @classmethod
    def of(cls, cleared: Cleared, item: Outstanding) -> Removal:
        """The removal of an outstanding image."""
        record = item.record
        return cls(
            # The file may have been renamed since the deletion was cleared.
            replace(cleared, delete=replace(cleared.delete, rel_path=record.rel_path)),
            item.mark,
            item.attempts,
            confirmed=record.sha256 is not None,
            counts=cleared.counts and not item.approved,
        )

    @property
    def image_id(self) -> str:
        """The ID of the image."""
        return self.cleared.delete.image_id

    @property
    def rel_path(self) -> RelPath | None:
        """The path of the image's file, or ``None`` for an image without a record."""
        return self.cleared.delete.rel_path


#: Looks at the path right before a request to delete is sent. The request is only sent if the
#: result is ``Gone``.
Proof = Callable[[], Observation]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The collection holds these bytes. ``record`` is the record they were sent for."""

    sent: Sent
    record: Record


@dataclass(frozen=True, slots=True)
class Deleted:
    """The collection no longer holds the image, or never held it (not ``was_held``)."""

    removal: Removal
    was_held: bool = True


@dataclass(frozen=True, slots=True)
class FileDiffers:
    """The file has changed since it was planned."""

    image_id: str
    rel_path: RelPath


@dataclass(frozen=True, slots=True)
class Rejected:
    """This image cannot be sent or removed now. ``is_of_format``: a service refused the picture,
    perhaps because it does not accept the format. Otherwise the reason affects no other image."""

    image_id: str
    rel_path: RelPath | None
    mark: int | None
    attempts: int
    reason: str
    is_of_format: bool = False

    @classmethod
    def of(cls, item: Outstanding, reason: str, *, is_of_format: bool = False) -> Rejected:
        """The result for an outstanding image."""
        record = item.record
        return cls(record.image_id, record.rel_path, item.mark, item.attempts, reason, is_of_format)


@dataclass(frozen=True, slots=True)
class Trouble:
    """The collection cannot be used at all: it is down, or refuses the keys."""

    error: CollectionError


TransferResult = Uploaded | Deleted | FileDiffers | Rejected | Trouble


class _Unproven(Exception):
    """A file is not proven to be gone."""

    def __init__(self, observation: File | Unclear) -> None:
        super().__init__()
        self.observation = observation


class Transfer:
    """Sends and removes images, one per call. For any thread. ``upload`` and ``delete`` return
    ``None`` if the process is stopping. Images are labelled as ``labelling`` says."""

    def __init__(self, collection: RetryingCollection, labelling: Labelling) -> None:
        self._collection = collection
        self._labelling = labelling

    def probe(self) -> CollectionError | None:
        """Send one small request. Returns why the collection cannot be used, or ``None``. Waits for
        the end of an outage."""
        try:
            self._collection.get_images(count=1)
        except CollectionError as error:
            return error
        return None

    def upload(self, folder: Folder, item: Outstanding) -> TransferResult | None:
        """Send a file, unless it has changed since it was planned."""
        record = item.record
        if record.seen.size == 0:
            return Rejected.of(item, "the file is empty")
        try:
            with folder.open(record.rel_path.path) as file:
                if file.fingerprint != record.seen:
                    return FileDiffers(record.image_id, record.rel_path)
                return Uploaded(self._send(item, file), record)
        except (FileChanged, FileNotFoundError, NotADirectoryError):
            return FileDiffers(record.image_id, record.rel_path)
        except OSError as error:
            return Rejected.of(item, f"can't be read: {error.strerror}")
        except CollectionError as error:
            if error.concerns_all:
                return Trouble(error)
            # This machine refuses with ``Undecodable``, which concerns the file only.
            is_of_format = type(error) is Refused and error.status in _REFUSALS_OF_FORMATS
            return Rejected.of(item, str(error), is_of_format=is_of_format)
        except Stopped:
            return None

    def delete(self, removal: Removal, proof: Proof) -> TransferResult | None:
        """Remove an image if ``proof`` returns ``Gone``. The proof is called right before each
        attempt, because the request may have waited for hours while the collection was down."""

        def prove() -> None:
            observation = proof()
            if not isinstance(observation, Gone):
                raise _Unproven(observation)

        def rejected(reason: str) -> Rejected:
            return Rejected(
                removal.image_id, removal.rel_path, removal.mark, removal.attempts, reason
            )

        try:
            was_held = self._remove(removal, prove)
        except _Unproven as unproven:
            if isinstance(unproven.observation, File) and removal.rel_path is not None:
                return FileDiffers(removal.image_id, removal.rel_path)
            assert isinstance(unproven.observation, Unclear)
            return rejected(unproven.observation.reason)
        except CollectionError as error:
            return Trouble(error) if error.concerns_all else rejected(str(error))
        except Stopped:
            return None
        return Deleted(removal, was_held or removal.confirmed)

    def _send(self, item: Outstanding, file: StableFile) -> Sent:
        image_id = item.record.image_id
        expected = item.record.sha256 is not None
        label = self._labelling.label_of(item.record.rel_path)
        answer = put_image(self._collection, image_id, file, expected=expected, label=label)
        confirmed = answer.get("label")
        is_labelled = None if label is None and confirmed is None else label == confirmed
        sha256 = file.sha256 or file.hash_all()
        return Sent(image_id, item.mark, sha256, answer["image_time"], is_labelled)

    def _remove(self, removal: Removal, prove: Callable[[], None]) -> bool:
        """Remove the image. Returns whether the collection held it."""

        def attempt(collection: ImageCollection) -> bool:
            prove()
            return remove_image(collection, removal.image_id)

        return self._collection.retry(Call.DELETE, attempt)


class Rehearsal(Transfer):
    """Performs everything except requests that change the collection, and treats those as
    successful."""

    #: Stands for the digest of a file that was not read.
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
