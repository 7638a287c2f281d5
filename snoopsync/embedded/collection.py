"""The operations of the embedded collection."""

from __future__ import annotations

import getpass
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from snoopsync.core.labels import check_label
from snoopsync.core.protocol import (
    ChangedPair,
    ChangesAnswer,
    IdRange,
    ImageAnswer,
    ImageSource,
    ListAnswer,
    ListedImage,
    Match,
    OutdatedAnswer,
    SearchAnswer,
    SearchByIdAnswer,
)
from snoopsync.decoding.features import FEED_VERSION, Features
from snoopsync.decoding.source import PictureFile
from snoopsync.embedded.answers import (
    EPOCH,
    check_id,
    facts_of,
    image_time,
    match_of,
    outdated_key,
)
from snoopsync.embedded.changes import changes_page, check_changes
from snoopsync.embedded.extraction import Extraction, require_libraries
from snoopsync.storage.images import ImageStore, StoredImage, id_taken, image_not_found

if TYPE_CHECKING:
    from snoopsync.embedded.scoring import Score
    from snoopsync.embedded.search import SimilaritySearch

DEFAULT_PAGE = 100
MAX_PAGE = 1000

#: The number of images on a page of outdated images.
OUTDATED_PAGE = 1000

#: The character after the dot in the order of IDs. An owner followed by it ends the range of the
#: owner's IDs.
_AFTER_DOT = "/"

_MICROSECOND = timedelta(microseconds=1)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def random_id() -> str:
    """A new ID, which nothing else has."""
    return secrets.token_hex(16)


class EmbeddedCollection:
    """A collection of images in this process: an ``ImageCollection`` on an ``ImageStore``.

    A change is durable when its method returns. Several threads may use the collection at once, and
    several processes may use one store. The collection stores descriptions of pictures, never their
    bytes.
    """

    def __init__(
        self,
        store: ImageStore,
        *,
        name: str = "embedded",
        extract_features: Callable[[PictureFile], Features] | None = None,
        now: Callable[[], datetime] = _utc_now,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        """``store`` is closed together with the collection. ``extract_features``: by default, the
        decoders of this process do this. ``now`` returns a time with a time zone. ``new_id``
        creates the IDs of images that are added without one."""
        self._name = name
        self._extraction = Extraction(extract_features)
        self._now = now
        self._new_id = new_id
        self._store = store
        self._search: SimilaritySearch | None = None
        self._search_lock = threading.Lock()

    @property
    def id(self) -> str:
        """The collection's ID."""
        return self._store.collection_id

    @property
    def name(self) -> str:
        """The name that the collection was opened with."""
        return self._name

    @property
    def user(self) -> str:
        """The login name of the user; ``local`` if the user has none."""
        try:
            return getpass.getuser()
        except (KeyError, OSError, ImportError):
            return "local"

    def add_image(
        self,
        image: ImageSource,
        image_id: str | None = None,
        update_existing: bool = False,
        label: str | None = None,
    ) -> ImageAnswer:
        """Add an image or, with ``update_existing``, replace one. Without ``image_id``, the image
        gets an ID from ``new_id``. Without ``label``, an image that is replaced keeps its label.

        Raises ``Conflict`` if the ID is taken; with ``update_existing``, raises ``NotFound`` if the
        collection does not have the image. Raises ``Refused``, with the reason, for a picture that
        cannot be decoded.
        """
        if image_id is None:
            image_id = self._new_id()
        check_id(image_id)
        if label is not None:
            check_label(label)
        # This is checked before the slow decoding. The store checks again in its transaction.
        known = self._store.find(image_id) is not None
        if update_existing and not known:
            raise image_not_found(image_id)
        if known and not update_existing:
            raise id_taken(image_id)
        features = self._extraction.features_of(image)
        now = self._microseconds()
        if not update_existing:
            return self._image_answer(self._store.add(image_id, features, now, label), "Added", 201)
        before, stored = self._store.replace(image_id, features, now, label)
        self._forget(before)
        return self._image_answer(stored, "Updated")

    def set_label(self, image_id: str, label: str | None) -> ImageAnswer:
        """Set the label of an image; ``None`` clears it. Raises ``NotFound``, and ``Refused`` for
        an invalid label."""
        check_id(image_id)
        if label is not None:
            check_label(label)
        return self._image_answer(self._store.set_label(image_id, label), "Updated")

    def renew_image(self, image_id: str, image: ImageSource) -> ImageAnswer:
        """Describe an image again from its bytes. Its time does not change. Nothing changes if this
        version already described the image. Raises ``NotFound``, ``Conflict`` if the image has
        other bytes, and ``Refused``, with the reason, for a picture that cannot be decoded."""
        self._find(image_id)
        features = self._extraction.features_of(image)
        now = self._microseconds()
        before, stored = self._store.renew(image_id, features, now)
        if stored != before:
            self._forget(before)
        return self._image_answer(stored, "Updated")

    def outdated(self, owner: str | None = None, after: str | None = None) -> OutdatedAnswer:
        """One page of the images, of ``owner`` or of all, that an older version described.
        ``after``: the ``next`` of the previous page. Raises ``Refused`` for any other text."""
        first, end = ("", None) if owner is None else (f"{owner}.", owner + _AFTER_DOT)
        page = self._store.outdated(outdated_key(after), OUTDATED_PAGE + 1, first, end)
        last = page[:OUTDATED_PAGE][-1] if len(page) > OUTDATED_PAGE else None
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            # Only the first page has it, because counting takes as long as listing all pages.
            "total": self._store.count_outdated(first, end) if after is None else None,
            "ids": [image_id for _, image_id in page[:OUTDATED_PAGE]],
            "next": None if last is None else f"{last[0]}:{last[1]}",
        }

    def count_outdated(self) -> int:
        """The number of images that an older version described."""
        return self._store.count_outdated()

    def get_image(self, image_id: str) -> ImageAnswer:
        """The answer about an image. Raises ``NotFound`` if the collection does not have it."""
        stored = self._find(image_id)
        answer = self._image_answer(stored, "OK")
        return {**answer, "outdated": True} if stored.is_outdated else answer

    def delete_image(self, image_id: str) -> ImageAnswer:
        """Remove an image. Raises ``NotFound`` if the collection does not have it."""
        check_id(image_id)
        stored = self._store.remove(image_id)
        self._forget(stored)
        return self._image_answer(stored, "Deleted")

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        """One page of the listing, newest first, beginning with the image ``start``.

        ``count`` is 100 by default; a number below 1 counts as 1, and one above 1000 as 1000. A
        page continues where the previous page ended, even if the image ``start`` was removed or
        changed since. Raises ``NotFound`` if the collection does not have the image ``start``, and
        no page named it as the start of the next page.
        """
        count = DEFAULT_PAGE if count is None else min(max(1, count), MAX_PAGE)
        page = self._store.page(None if start is None else self._page_start(start), count + 1)
        if len(page) > count:
            self._store.remember_page_start(page[count])
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "images": [
                {"id": stored.image_id, "image_time": image_time(stored.moment)}
                for stored in page[:count]
            ],
            "next_image_id": page[count].image_id if len(page) > count else None,
        }

    def images(self) -> Iterator[ListedImage]:
        """Every image that the collection has when the first one is read, newest first. Later
        changes have no effect."""
        for block in self._store.walk():
            for moment, image_id in block:
                yield {"id": image_id, "image_time": image_time(moment)}

    def image_ids(self, after: str, most: int) -> IdRange:
        """At most ``most`` IDs of all images, in order, beginning after ``after``. A comparison
        needs only the IDs, and this takes a tenth of the time of a listing."""
        return self._store.ids(after, most)

    def search_images_by_id(self, image_id: str, limit: int | None = None) -> SearchByIdAnswer:
        """The images similar to this image, which is not among them. ``limit``: as in
        ``ImageCollection``; a number below 1 counts as 1. Raises ``NotFound``."""
        check_id(image_id)
        found = self._store.find_described(image_id)
        if found is None:
            raise image_not_found(image_id)
        matches = self._matches(found.features, found.stored.version, limit, image_id)
        answer: SearchByIdAnswer = {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "image_id": image_id,
            "image_time": image_time(found.stored.moment),
            "results": matches,
        }
        if found.stored.is_outdated:
            answer["outdated"] = True
        if self._store.has_other_versions(found.stored.version):
            answer["partial"] = True
        return answer

    def search_images(self, image: ImageSource, limit: int | None = None) -> SearchAnswer:
        """The images similar to this picture. An image that another version described is found only
        if it has the same bytes. ``limit``: as in ``search_images_by_id``. Raises ``Refused``, with
        the reason, for a picture that cannot be decoded."""
        features = self._extraction.features_of(image)
        answer: SearchAnswer = {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "results": self._matches(features, FEED_VERSION, limit),
        }
        if self._store.has_other_versions(FEED_VERSION):
            answer["partial"] = True
        return answer

    def prepare_searches(self, image_ids: Iterable[str]) -> None:
        """Search for what is near to these images together, for the searches by ID that follow."""
        found = filter(None, map(self._store.find_described, image_ids))
        current = [each.features for each in found if each.stored.version == FEED_VERSION]
        self._similarity_search().prepare(current)

    def changes(self, since: int | None, owner: str) -> ChangesAnswer:
        """One page of what other owners added after the moment ``since`` (microseconds) that is
        like an image of ``owner``: see ``ReportsChanges``. Raises ``Refused`` for a ``since`` or an
        owner that is impossible."""
        check_changes(since, owner)
        pairs: list[ChangedPair] = []
        if since is None:
            moment = self._store.position().moment
        else:
            pairs, moment = changes_page(self._store, self._similarity_search, since, owner)
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "pairs": pairs,
            "next": moment,
        }

    def load_index(self) -> None:
        """Read the codes of all images into memory, so that the first search does not have to.
        Raises ``Unavailable``."""
        self._similarity_search().load()

    def index_size(self) -> tuple[int, int]:
        """The number of codes in memory, and their size in bytes. Waits for nothing."""
        search = self._search
        return (0, 0) if search is None else (len(search), search.size_bytes)

    def close(self) -> None:
        """Close the store. A second call does nothing. All other methods then raise
        ``Unavailable``."""
        self._store.close()

    def _image_answer(self, stored: StoredImage, message: str, status: int = 200) -> ImageAnswer:
        answer: ImageAnswer = {
            "status": status,
            "message": message,
            "collection_id": self.id,
            "image_id": stored.image_id,
            "image_time": image_time(stored.moment),
        }
        return answer if stored.label is None else {**answer, "label": stored.label}

    def _find(self, image_id: str) -> StoredImage:
        check_id(image_id)
        stored = self._store.find(image_id)
        if stored is None:
            raise image_not_found(image_id)
        return stored

    def _page_start(self, image_id: str) -> int:
        """The moment at which the page that begins with this image starts."""
        moment = self._store.page_start(image_id)
        return self._find(image_id).moment if moment is None else moment

    def _microseconds(self) -> int:
        """The present Unix time in microseconds."""
        return (self._now() - EPOCH) // _MICROSECOND

    def compare_images(self, image_id: str, other_id: str) -> Score | None:
        """How similar two images are, from their stored features; ``None`` if they are not, or if
        different versions have described them. Raises ``NotFound``."""
        one, other = self._store.find_described(image_id), self._store.find_described(other_id)
        if one is None or other is None:
            raise image_not_found(other_id if one else image_id)
        if one.stored.version != other.stored.version:
            return None
        return self._similarity_search().compare(one, other)

    def _matches(
        self, features: Features, version: int, limit: int | None, asked_id: str | None = None
    ) -> list[Match]:
        search, asked = self._similarity_search(), facts_of(features)
        if limit is None:
            similar = search.matches(features, version)
            matches = [match_of(each, asked) for each in similar]
            return [match for match in matches if match["id"] != asked_id]
        nearest = search.nearest(features, version, max(1, limit), asked_id)
        return [{**match_of(each, asked), "copies": copies} for each, copies in nearest]

    def _forget(self, stored: StoredImage) -> None:
        if self._search is not None:
            self._search.forget(stored.mark)

    def _similarity_search(self) -> SimilaritySearch:
        with self._search_lock:
            if self._search is None:
                require_libraries()
                # Imported late, because numpy takes 0.1 s and 20 MiB. A listing, and a resync that
                # finds nothing new, do not need numpy.
                from snoopsync.embedded.search import SimilaritySearch

                self._search = SimilaritySearch(self._store)
            return self._search
