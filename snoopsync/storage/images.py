"""The interface of the images of one collection, which each engine implements.

An image's ``moment`` is the time when its bytes last changed, as Unix time in microseconds. No
moment is used twice in a collection, and each is larger than all earlier ones, whatever the clock
does. The moment is both the image's time and its position in the listing. Moments become visible in
ascending order: a reader that sees a moment never finds a smaller new one later.

The ``mark`` of an image shows an index what is new. It equals the moment until a newer version
describes the image again. Then the image gets a new mark from the same series, and keeps its
moment.

The ``version`` of an image (the column ``feed``) is the version of snoopsync's codes that described
the image: ``features.FEED_VERSION`` at that time. Images that different versions described can only
be compared by their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from snoopsync.core.errors import Conflict, NotFound
from snoopsync.core.protocol import IdRange
from snoopsync.decoding.features import FEED_VERSION, Features

#: The version and the ID of an outdated image. Outdated images are listed in this order.
OutdatedKey = tuple[int, str]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One stored image, without its features. ``label``: what its owner calls it."""

    moment: int
    image_id: str
    sha256: bytes
    mark: int = 0
    version: int = FEED_VERSION
    label: str | None = None

    @property
    def is_outdated(self) -> bool:
        """Whether an older version described the image."""
        return self.version < FEED_VERSION


@dataclass(frozen=True, slots=True)
class DescribedImage:
    """An image with the features that the version ``stored.version`` extracted."""

    stored: StoredImage
    features: Features


@dataclass(frozen=True, slots=True)
class Copies:
    """Images with the same bytes. ``first``: the first two of them."""

    first: tuple[StoredImage, ...]
    count: int

    def besides(self, image_id: str | None) -> tuple[StoredImage | None, int]:
        """The first one but that image, which must be one of them, and how many there are but that
        image."""
        named = next((each for each in self.first if each.image_id != image_id), None)
        return named, self.count - (image_id is not None)


@dataclass(frozen=True, slots=True)
class StoredCodes:
    """The codes of some images, in ascending order of their marks. The first search may read a
    million of them, so they are arrays in bytes: marks are native integers of 64 bits, and codes
    have ``CODE_BYTES`` each.

    ``codes`` are those of ``marks``. ``trimmed`` are the codes without borders of
    ``trimmed_marks``, which have some. ``regions`` are the first ``INDEXED_REGIONS`` regions of
    each of ``marks``; those that a picture does not have are zeros.
    """

    last_mark: int
    marks: bytes
    codes: bytes
    trimmed_marks: bytes
    trimmed: bytes
    regions: bytes


@dataclass(frozen=True, slots=True)
class Position:
    """How far a collection is. ``history`` is another text if the database may have lost changes:
    after a failover, or after a backup was restored. ``changes``: how many changes there were.
    ``moment``: the last one that was used."""

    history: str
    changes: int
    moment: int


class ImageStore(Protocol):
    """The images of one collection. Several threads, processes and machines may use it.

    A change is durable when the method returns. Methods raise ``Unavailable`` if the database
    can't be read or written.
    """

    @property
    def collection_id(self) -> str:
        """The collection's ID."""
        ...

    def close(self) -> None:
        """Release what this object holds. A second call does nothing."""

    def add(
        self, image_id: str, features: Features, now: int, label: str | None = None
    ) -> StoredImage:
        """Store a new image at ``now`` (microseconds). Raises ``Conflict`` if the ID is taken."""
        ...

    def replace(
        self, image_id: str, features: Features, now: int, label: str | None = None
    ) -> tuple[StoredImage, StoredImage]:
        """Store other features for this image, and another label if there is one. Returns the image
        before and after the change. The image keeps its moment if its bytes are the same and an
        older version described them. Raises ``NotFound``."""
        ...

    def renew(self, image_id: str, features: Features, now: int) -> tuple[StoredImage, StoredImage]:
        """Store the features that this version extracted from an image's bytes. Returns the image
        before and after the change. Changes nothing if this version already described the image.
        Raises ``NotFound``, and ``Conflict`` if the image has other bytes."""
        ...

    def set_label(self, image_id: str, label: str | None) -> StoredImage:
        """Set the label of an image; ``None`` clears it. Returns the image after the change. Raises
        ``NotFound``."""
        ...

    def remove(self, image_id: str) -> StoredImage:
        """Remove this image. Returns the removed image. Raises ``NotFound``."""
        ...

    def find(self, image_id: str) -> StoredImage | None:
        """The image with this ID; ``None`` if there is none."""
        ...

    def find_described(self, image_id: str) -> DescribedImage | None:
        """The image with this ID, and its features; ``None`` if there is none."""
        ...

    def page(self, newest: int | None, count: int) -> list[StoredImage]:
        """Up to ``count`` images of the listing, newest first, beginning at the moment
        ``newest``; ``None`` for the newest image."""
        ...

    def remember_page_start(self, stored: StoredImage) -> None:
        """Remember the moment of an image that a page named as the start of the next page."""

    def page_start(self, image_id: str) -> int | None:
        """The moment of an image that a page named, even if the image was removed since; ``None``
        if no page named it, or if that was too long ago."""
        ...

    def walk(self) -> Iterator[list[tuple[int, str]]]:
        """The moment and ID of every image, newest first, in blocks. Changes after the first block
        have no effect."""
        ...

    def ids(self, after: str, most: int) -> IdRange:
        """At most ``most`` IDs of all images, in the order of their bytes, beginning after
        ``after``."""
        ...

    def others_after(self, moment: int, owner: str, count: int) -> list[StoredImage]:
        """Up to ``count`` images with a later moment whose ID does not begin with ``owner``, in the
        order of their moments."""
        ...

    def count(self) -> int:
        """The number of images."""
        ...

    def position(self) -> Position:
        """How far the collection is."""
        ...

    def marks_of_same_picture(self, features: Features, version: int) -> list[int]:
        """The marks of the images that are the same picture: those with the same bytes, and those
        with the same size and digest if ``version`` described them."""
        ...

    def same_picture(
        self, features: Features, version: int, after: int, count: int
    ) -> list[StoredImage]:
        """Up to ``count`` of the images with the same size and digest that ``version`` described,
        and with other bytes, in the order of their moments, beginning after ``after``."""
        ...

    def copies(self, sha256: bytes, owner: str) -> Copies:
        """The images with these bytes. Those whose ID does not begin with ``owner`` come first."""
        ...

    def copy_of_owner(self, sha256: bytes, owner: str) -> StoredImage | None:
        """An image with these bytes whose ID begins with ``owner``, the first one by ID; ``None``
        if there is none."""
        ...

    def marks_of_bytes(self, sha256: bytes) -> list[int]:
        """The marks of the images with these bytes."""
        ...

    def with_marks(self, marks: Sequence[int]) -> list[DescribedImage]:
        """The images with these marks. Images that were removed or changed are left out."""
        ...

    def stored_with_marks(self, marks: Sequence[int]) -> list[StoredImage]:
        """As ``with_marks``, without the features."""
        ...

    def codes_after(self, mark: int, version: int) -> Iterator[StoredCodes]:
        """The codes of the images that ``version`` described, in ascending order of their marks,
        beginning after ``mark``, in blocks. Images without codes are left out."""
        ...

    def has_other_versions(self, version: int) -> bool:
        """Whether another version than ``version`` described any image."""
        ...

    def count_outdated(self, first_id: str = "", end_id: str | None = None) -> int:
        """The number of images that an older version described, with IDs from ``first_id`` up to,
        but not including, ``end_id``."""
        ...

    def outdated(
        self, after: OutdatedKey, count: int, first_id: str = "", end_id: str | None = None
    ) -> list[OutdatedKey]:
        """Up to ``count`` of the images that ``count_outdated`` counts, after the key ``after``."""
        ...


def id_taken(image_id: str) -> Conflict:
    """The error for an ID that another image has."""
    return Conflict(f"an image with the ID {image_id!r} already exists", status=409)


def other_bytes(image_id: str) -> Conflict:
    """The error for an image that has other bytes than those that were sent to renew it."""
    return Conflict(f"the image {image_id!r} has other bytes", status=409)


def image_not_found(image_id: str) -> NotFound:
    """The error for an ID that no image has."""
    return NotFound(f"no image has the ID {image_id!r}", status=404)
