"""Sending one image, or removing one: what a worker does, and what came of it as a value."""

from __future__ import annotations

from dataclasses import dataclass

from snoopsync.client.retrying import put_image, remove_image
from snoopsync.errors import (
    BadAnswer,
    CollectionError,
    FileChanged,
    Refused,
    Stopped,
    Unavailable,
)
from snoopsync.folder import Folder
from snoopsync.model import Gone, Place
from snoopsync.protocol import ImageCollection
from snoopsync.state.images import Outstanding, Sent


@dataclass(frozen=True, slots=True)
class Removal:
    """An image to remove. ``place`` is ``None`` for one that no record knows. ``by_request``: its
    user approved it, or pruned it by name, so it is not counted as one of many."""

    image_id: str
    place: Place | None
    submount: bool = False
    mark: int = 0
    attempts: int = 0
    by_request: bool = False


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The collection holds these bytes."""

    sent: Sent
    place: Place
    was_known: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """The collection does not hold the image any more."""

    removal: Removal


@dataclass(frozen=True, slots=True)
class LookAgain:
    """The file is not what was planned for: look at its place again."""

    image_id: str
    place: Place


@dataclass(frozen=True, slots=True)
class Rejected:
    """This image can't be sent (or removed) now, for a reason of its own; the others can."""

    image_id: str
    place: Place | None
    mark: int
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The collection can't be used at all: it is away, or doesn't take the keys."""

    image_id: str
    error: CollectionError


Outcome = Uploaded | Deleted | LookAgain | Rejected | Trouble


def upload(folder: Folder, item: Outstanding, collection: ImageCollection) -> Outcome | None:
    """Send a file, if it still is the one that was planned for. ``None`` if stopped before."""
    record = item.record

    def rejected(reason: str) -> Rejected:
        return Rejected(record.image_id, record.place, item.mark, item.attempts, reason)

    if record.seen.size == 0:
        return rejected("the file is empty")
    try:
        with folder.open(record.place.path) as file:
            if file.fingerprint != record.seen:
                return LookAgain(record.image_id, record.place)
            answer = put_image(
                collection, record.image_id, file, expected=record.sha256 is not None
            )
            sha256 = file.sha256 or file.hash_all()
    except (FileChanged, FileNotFoundError, NotADirectoryError):
        return LookAgain(record.image_id, record.place)
    except OSError as error:
        return rejected(f"can't be read: {error.strerror}")
    except (Refused, Unavailable, BadAnswer) as error:
        return rejected(str(error))
    except CollectionError as error:
        return Trouble(record.image_id, error)
    except Stopped:
        return None
    sent = Sent(record.image_id, item.mark, sha256, answer["image_time"])
    return Uploaded(sent, record.place, record.sha256 is not None)


def delete(folder: Folder, removal: Removal, collection: ImageCollection) -> Outcome | None:
    """Remove an image, if its file is proven, now, to be gone. ``None`` if stopped before."""
    place = removal.place
    if place is not None and not isinstance(folder.prove_gone(place.path, removal.submount), Gone):
        return LookAgain(removal.image_id, place)
    return remove(removal, collection)


def remove(removal: Removal, collection: ImageCollection) -> Outcome | None:
    """Remove an image without a look at the disk: its user has asked for it by name."""
    try:
        remove_image(collection, removal.image_id)
    except (Refused, Unavailable, BadAnswer) as error:
        return Rejected(removal.image_id, removal.place, removal.mark, removal.attempts, str(error))
    except CollectionError as error:
        return Trouble(removal.image_id, error)
    except Stopped:
        return None
    return Deleted(removal)
