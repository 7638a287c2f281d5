"""The methods of every collection, and the shapes of their answers.

Three classes implement ``ImageCollection``: the HTTP client (``client.Collection``), the embedded
collection (``embedded.EmbeddedCollection``), and the retrying wrapper around either
(``client.RetryingCollection``). The names, arguments and dictionaries are those of the published
VisualSnoop client; where that client returned a refusal, these raise a ``CollectionError``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from json import loads
from typing import BinaryIO, NamedTuple, NotRequired, Protocol, TypedDict, runtime_checkable

#: Given in place of a PEM file: use the certificates that the system trusts.
SYSTEM_STORE = "system"

#: How a picture can differ from a similar one.
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

#: An image's ID as the HTTP client accepts it; everywhere else an ID is a ``str``.
ImageId = str | int

#: An image to send: a path (``str`` or ``PathLike``), the picture's bytes, or a binary file that is
#: read from its current position to its end.
ImageSource = str | bytes | os.PathLike[str] | BinaryIO


class ImageAnswer(TypedDict):
    """The answer about one image. ``image_time``: when its bytes last changed, in ISO 8601.
    ``outdated``: an older version of the service described the image (see ``Renewable``).
    ``label``: what its owner calls the image, if the service knows it (see ``Labelled``)."""

    status: int
    message: str
    collection_id: str
    image_id: str
    image_time: str
    outdated: NotRequired[bool]
    label: NotRequired[str]


class PictureEvidence(TypedDict):
    """What a picture's file shows about its origin; see ``decoding.evidence``."""

    camera: NotRequired[bool]
    jpeg_quality: NotRequired[int | None]
    lossless: NotRequired[bool]
    palette: NotRequired[bool]
    resaved: NotRequired[bool]


class PictureFacts(TypedDict):
    """The size of a picture in pixels (after its orientation is applied) and in bytes, and the
    evidence in its file."""

    width: NotRequired[int]
    height: NotRequired[int]
    size_bytes: NotRequired[int]
    evidence: NotRequired[PictureEvidence]


class Match(PictureFacts):
    """One image that is similar to the searched picture.

    ``rank`` is 0 for the same picture, and larger for less similar ones. The other keys exist only
    if the service reports them, as snoopsync's service does. ``sha256``: of the image's bytes, in
    hexadecimal. ``kind``: how the two differ (``embedded.kinds``). ``asked``: the facts about the
    searched picture. ``label``: what its owner calls the image. ``copies``, in a search with a
    limit: the number of images with the same bytes, which count as one.
    """

    id: str
    rank: int
    sha256: NotRequired[str]
    kind: NotRequired[str]
    asked: NotRequired[PictureFacts]
    copies: NotRequired[int]
    label: NotRequired[str]


class SearchAnswer(TypedDict):
    """The answer to a search. ``results``: the best match first. ``partial``: some images, which
    another version described, were compared by their bytes only. ``cut``: only the nearest results
    are in the answer, and there are more."""

    status: int
    message: str
    collection_id: str
    results: list[Match]
    partial: NotRequired[bool]
    cut: NotRequired[bool]


class SearchByIdAnswer(SearchAnswer):
    """The answer to a search by ID. The searched image is described here and is not among the
    results. ``outdated``: an older version described the searched image."""

    image_id: str
    image_time: str
    outdated: NotRequired[bool]


class ListedImage(TypedDict):
    """One image of a listing."""

    id: str
    image_time: str


class ListAnswer(TypedDict):
    """One page of the listing, newest first. ``next_image_id``: the start of the next page, if
    any."""

    status: int
    message: str
    collection_id: str
    images: list[ListedImage]
    next_image_id: str | None


class ImageCollection(Protocol):
    """A collection of images that can be searched by similarity. Any thread may call its methods,
    which raise ``CollectionError``."""

    @property
    def id(self) -> str:
        """The collection's ID."""

    @property
    def name(self) -> str:
        """The collection's name."""

    @property
    def user(self) -> str:
        """The user to whom the collection belongs."""

    def add_image(
        self,
        image: ImageSource,
        image_id: str | None = None,
        update_existing: bool = False,
        label: str | None = None,
    ) -> ImageAnswer:
        """Add an image. The service creates the ID if ``image_id`` is ``None``. Raises ``Conflict``
        if the collection already has the ID. ``label``: what the image is called; a service that
        does not offer labels ignores it.

        With ``update_existing``, replace the image instead. Raises ``NotFound`` if the collection
        does not have it; some services then add it and answer 201. Without ``label``, the image
        keeps its label.
        """

    def get_image(self, image_id: str) -> ImageAnswer:
        """The answer about one image. Raises ``NotFound``."""

    def delete_image(self, image_id: str) -> ImageAnswer:
        """Remove an image. Raises ``NotFound``."""

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        """One page of the listing, newest first, beginning with the image ``start``."""

    def images(self) -> Iterator[ListedImage]:
        """All images of the collection, read in pages."""

    def search_images_by_id(self, image_id: str, limit: int | None = None) -> SearchByIdAnswer:
        """Images similar to this image of the collection, which is not among them. ``limit``: at
        most so many, nearest first; images with the same bytes count as one. A service that does
        not offer limits returns more. Raises ``NotFound``."""

    def search_images(self, image: ImageSource, limit: int | None = None) -> SearchAnswer:
        """Images similar to this picture. ``limit``: as in ``search_images_by_id``."""

    def close(self) -> None:
        """Close connections and files. A call in progress may fail. No method may be called after
        this."""


@runtime_checkable
class PreparesSearches(Protocol):
    """A collection that searches for several images in less time if it knows them before."""

    def prepare_searches(self, image_ids: Iterable[str]) -> None:
        """Prepare ``search_images_by_id`` for these images, which follows for each of them."""
        ...


class OutdatedAnswer(TypedDict):
    """One page of the images that an older version described. ``total``: their number, on the first
    page. ``next``: the ``after`` of the next page; ``None`` on the last page."""

    status: int
    message: str
    collection_id: str
    total: int | None
    ids: list[str]
    next: str | None


@runtime_checkable
class Renewable(Protocol):
    """A collection that stores descriptions of pictures, but not the pictures. If a new version
    describes pictures in another way, the collection needs each picture again."""

    def outdated(self, owner: str | None = None, after: str | None = None) -> OutdatedAnswer:
        """One page of the images, of this owner or of all, that an older version described.
        ``after``: ``next`` of the previous page. Raises ``NotFound`` if the service does not offer
        this."""

    def renew_image(self, image_id: str, image: ImageSource) -> ImageAnswer:
        """Describe an image again from its bytes. Nothing else about the image changes.

        Raises ``NotFound``, and ``Conflict`` if the collection's image has other bytes.
        """


@runtime_checkable
class Labelled(Protocol):
    """A collection that stores what the owner of each image calls it."""

    def set_label(self, image_id: str, label: str | None) -> ImageAnswer:
        """Set the label of an image; ``None`` clears it. Nothing else about the image changes.
        Raises ``NotFound`` if the collection does not have the image, or if the service does not
        offer labels."""


class ChangedPair(TypedDict):
    """Two images that are similar. ``id``: an image of the owner that asked. It stands for all of
    this owner's images with its bytes. ``match``: an image of another owner. ``label``: what its
    owner calls it. ``rank`` and ``kind``: as in ``Match``. ``kind`` and ``label`` are ``None`` if
    they are unknown."""

    id: str
    match: str
    rank: int
    kind: str | None
    label: str | None


class ChangesAnswer(TypedDict):
    """One page of what other owners added. ``next``: the moment up to which the page looked, and
    the ``since`` of the next page. A page whose ``next`` equals its ``since`` is the last one."""

    status: int
    message: str
    collection_id: str
    pairs: list[ChangedPair]
    next: int


@runtime_checkable
class ReportsChanges(Protocol):
    """A collection that reports what other owners added."""

    def changes(self, since: int | None, owner: str) -> ChangesAnswer:
        """One page of the images that other owners added or changed after the moment ``since``, and
        that are like images of this owner, in the order of their moments. A moment is a number of
        the collection, which grows with each change. Without ``since``: no pairs, and the present
        moment as ``next``. Raises ``NotFound`` if the service does not offer this."""


class IdRange(NamedTuple):
    """IDs of images in order. ``json`` is a JSON array of them, as SQLite writes it, so that equal
    ranges are equal texts: to parse a hundred thousand IDs takes longer than to compare them.
    ``last`` is the last ID, if there may be more; else ``None``."""

    json: str
    last: str | None

    def ids(self) -> list[str]:
        """The IDs."""
        return list(loads(self.json))


@runtime_checkable
class NamesAll(Protocol):
    """A collection that can name all of its images in order, without the times of a listing."""

    def image_ids(self, after: str, most: int) -> IdRange:
        """At most ``most`` IDs of all images, in order, beginning after ``after``."""
