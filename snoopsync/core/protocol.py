"""What a collection is: the operations that every implementation has, and what they answer.

Three things implement ``ImageCollection``: the HTTP client (``collection.Collection``), the
embedded collection (``embedded.EmbeddedCollection``) and the retrying coat that goes around either
(``retrying.RetryingCollection``). The names, arguments and dictionaries are those of the
published VisualSnoop client; where that client returned a refusal, these raise a
``CollectionError``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NotRequired, Protocol, TypedDict, runtime_checkable

#: In place of a PEM file: the certificates that the system trusts.
SYSTEM_STORE = "system"

#: What one picture can be to another that it is like.
KINDS = frozenset(
    {
        "identical",
        "reencoded",
        "recoloured",
        "edited",
        "rotated",
        "mirrored",
        "bordered",
        "cropped",
    }
)

#: An image's ID, for the client of a service; everywhere else it is the text.
ImageId = str | int

#: An image to send: a path (a text or a ``PathLike``), the picture's own bytes, or a binary file
#: that is read from where it stands to its end.
ImageSource = str | bytes | os.PathLike[str] | BinaryIO


class ImageAnswer(TypedDict):
    """The answer about one image. ``image_time`` is ISO 8601, when its bytes last changed.
    ``outdated``: an older version of the service has described it (see ``Renewable``)."""

    status: int
    message: str
    collection_id: str
    image_id: str
    image_time: str
    outdated: NotRequired[bool]


class Evidence(TypedDict):
    """What a picture's file says about where it comes from; see ``decoding.evidence``."""

    camera: NotRequired[bool]
    jpeg_quality: NotRequired[int | None]
    lossless: NotRequired[bool]
    palette: NotRequired[bool]
    resaved: NotRequired[bool]


class PictureFacts(TypedDict):
    """How large a picture is, upright, in pixels and in bytes, and the evidence in its file."""

    width: NotRequired[int]
    height: NotRequired[int]
    size_bytes: NotRequired[int]
    evidence: NotRequired[Evidence]


class Match(PictureFacts):
    """One image that is like the one asked about.

    ``rank`` is 0 for the same picture and grows as they differ. What follows is only there when
    the service tells it, as ours does: ``sha256`` (hexadecimal) of the image's bytes, the facts
    about it, ``kind``, what the one is to the other (``embedded.kinds``), and the facts about the
    picture that was ``asked`` about.
    """

    id: str
    rank: int
    sha256: NotRequired[str]
    kind: NotRequired[str]
    asked: NotRequired[PictureFacts]


class SearchAnswer(TypedDict):
    """The answer to a search; ``results`` has the best match first. ``partial``: another version
    has described some images, which were compared by their bytes only. ``cut``: there are more
    results, and only the nearest are told."""

    status: int
    message: str
    collection_id: str
    results: list[Match]
    partial: NotRequired[bool]
    cut: NotRequired[bool]


class SearchByIdAnswer(SearchAnswer):
    """The answer to a search by ID: with the image that was asked about, which is no result.
    ``outdated``: an older version has described it."""

    image_id: str
    image_time: str
    outdated: NotRequired[bool]


class ListedImage(TypedDict):
    """One line of a listing."""

    id: str
    image_time: str


class ListAnswer(TypedDict):
    """One page of the listing, newest first; ``next_image_id`` starts the next, if there is one."""

    status: int
    message: str
    collection_id: str
    images: list[ListedImage]
    next_image_id: str | None


class ImageCollection(Protocol):
    """A collection of images that can be searched by likeness. Its methods may be called from
    several threads at once, and raise ``CollectionError``."""

    @property
    def id(self) -> str:
        """The collection's ID."""

    @property
    def name(self) -> str:
        """The collection's name."""

    @property
    def user(self) -> str:
        """Whose it is."""

    def add_image(
        self, image: ImageSource, image_id: str | None = None, update_existing: bool = False
    ) -> ImageAnswer:
        """Add an image, under an ID of the service's making if ``image_id`` is ``None``.

        Raises ``Conflict`` if the ID is there already; with ``update_existing`` replaces that
        image, and raises ``NotFound`` if there is none (some services add it instead: 201).
        """

    def get_image(self, image_id: str) -> ImageAnswer:
        """Is it there? Raises ``NotFound`` if not."""

    def delete_image(self, image_id: str) -> ImageAnswer:
        """Remove it. Raises ``NotFound`` if it is not there."""

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        """One page of the listing, from the image ``start`` on, newest first."""

    def images(self) -> Iterator[ListedImage]:
        """Every image of the collection, page after page."""

    def search_images_by_id(self, image_id: str) -> SearchByIdAnswer:
        """Images like one of the collection, itself left out. Raises ``NotFound``."""

    def search_images(self, image: ImageSource) -> SearchAnswer:
        """Images like this one."""

    def close(self) -> None:
        """Let go of connections and files. A call under way may fail; none may be made after."""


class OutdatedAnswer(TypedDict):
    """One page of the images that an older version has described. ``total``, with the first page,
    is how many there are. ``next`` is passed for the next page; ``None`` if this is the last."""

    status: int
    message: str
    collection_id: str
    total: int | None
    ids: list[str]
    next: str | None


@runtime_checkable
class Renewable(Protocol):
    """A collection that keeps descriptions of pictures, and no pictures: when a new version
    describes them in another way, it needs each picture once more."""

    def outdated(self, owner: str | None = None, after: str | None = None) -> OutdatedAnswer:
        """One page of the images of this owner, or of all, that an older version has described,
        from ``next`` of the page before on. Raises ``NotFound`` where that is not offered."""

    def renew_image(self, image_id: str, image: ImageSource) -> ImageAnswer:
        """Describe an image again, by its own bytes: nothing else of it changes.

        Raises ``NotFound``, and ``Conflict`` if it has other bytes.
        """


@runtime_checkable
class NamesAll(Protocol):
    """A collection that can name all of its images at once, without the pages of a listing."""

    def image_ids(self) -> set[str]:
        """The IDs of all images that there are."""
