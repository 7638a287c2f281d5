"""The operations of a collection, on a database of one's own."""

from __future__ import annotations

import getpass
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from snoopsync.core.errors import Refused, SnoopsyncError
from snoopsync.core.protocol import (
    Evidence,
    ImageAnswer,
    ImageSource,
    ListAnswer,
    ListedImage,
    Match,
    OutdatedAnswer,
    PictureFacts,
    SearchAnswer,
    SearchByIdAnswer,
)
from snoopsync.decoding.decoders import shared
from snoopsync.decoding.features import FEED_VERSION, Features
from snoopsync.decoding.source import Picture, read_picture
from snoopsync.embedded.database import BUSY_SECONDS
from snoopsync.embedded.store import Outdated, Store, StoredImage, already_there, not_there

if TYPE_CHECKING:
    from snoopsync.embedded.scoring import Alike
    from snoopsync.embedded.search import SimilaritySearch

MAX_ID_CHARACTERS = 100
DEFAULT_PAGE = 100
MAX_PAGE = 1000

#: Images on a page of those that are outdated.
OUTDATED_PAGE = 1000

#: The character after the dot that follows the owner in an ID.
_AFTER_DOT = "/"

#: What decoding and searching need.
_LIBRARIES = ("numpy", "PIL")

#: So many begins of pages are remembered.
_MOST_HANDED = 10_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: Half of a character: no text that could be stored or sent.
_SURROGATE = re.compile("[\ud800-\udfff]")


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _random_id() -> str:
    return secrets.token_hex(16)


class EmbeddedCollection:
    """A collection of images in this process: an ``ImageCollection`` on an SQLite file.

    What it answers to a change is on disk. Several threads, and several processes on one file, may
    use it at once. It keeps what pictures look like, and never their bytes.
    """

    def __init__(
        self,
        database: Path,
        *,
        name: str = "embedded",
        collection_id: str | None = None,
        look_at: Callable[[Picture], Features] | None = None,
        now: Callable[[], datetime] = _utc_now,
        new_id: Callable[[], str] = _random_id,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        """Opens the collection in the file ``database``, or makes it, for its owner only: with this
        ``collection_id``, if one is given.

        ``look_at`` says what a picture looks like, by default the decoders of this process;
        ``now`` is the clock (any time zone, but with one), ``new_id`` makes the IDs of
        images that are added without one. ``busy_seconds``: how long a change waits for another
        process's. Raises ``Unavailable`` if the file can't be used.
        """
        self._name = name
        self._decode = look_at or (lambda picture: shared().look_at(picture))
        self._handed: OrderedDict[str, int] = OrderedDict()
        self._handing = threading.Lock()
        self._now = now
        self._new_id = new_id
        self._store = Store(database, lambda: collection_id or new_id(), busy_seconds)
        self._starting = threading.Lock()
        self._likeness: SimilaritySearch | None = None
        self._has_libraries = False

    @property
    def id(self) -> str:
        """The collection's ID: made once, with the file."""
        return self._store.collection_id

    @property
    def name(self) -> str:
        """The name it was opened under."""
        return self._name

    @property
    def user(self) -> str:
        """The login name, or ``local`` where there is none."""
        try:
            return getpass.getuser()
        except (KeyError, OSError, ImportError):
            return "local"

    def add_image(
        self, image: ImageSource, image_id: str | None = None, update_existing: bool = False
    ) -> ImageAnswer:
        """Add an image, or replace one; without ``image_id``, under 32 random hexadecimal digits.

        Raises ``Conflict`` if the ID is there already; with ``update_existing``, ``NotFound`` if
        it is not. Raises ``Refused`` for a picture that can't be decoded, with the reason.
        """
        if image_id is None:
            image_id = self._new_id()
        _check_id(image_id)
        # Asked before the work, and again where the answer can't change any more.
        known = self._store.find(image_id) is not None
        if update_existing and not known:
            raise not_there(image_id)
        if known and not update_existing:
            raise already_there(image_id)
        features = self._look_at(image)
        now = (self._now() - _EPOCH) // _MICROSECOND
        if not update_existing:
            return self._about(self._store.add(image_id, features, now), "Added", 201)
        before, stored = self._store.replace(image_id, features, now)
        self._forget(before)
        return self._about(stored, "Updated")

    def renew_image(self, image_id: str, image: ImageSource) -> ImageAnswer:
        """Describe an image again, by its own bytes: its time stays. Does nothing if this version
        has described it. Raises ``NotFound``, ``Conflict`` if it has other bytes, and ``Refused``
        for a picture that can't be decoded, with the reason."""
        self._find(image_id)
        features = self._look_at(image)
        now = (self._now() - _EPOCH) // _MICROSECOND
        before, stored = self._store.renew(image_id, features, now)
        if stored != before:
            self._forget(before)
        return self._about(stored, "Updated")

    def outdated(self, owner: str | None = None, after: str | None = None) -> OutdatedAnswer:
        """One page of the images that an older version has described: those of this owner, or all,
        from after the place that the last page ended with (``next``). Raises ``Refused`` for a
        place that no page has given."""
        first, end = ("", None) if owner is None else (f"{owner}.", owner + _AFTER_DOT)
        page = self._store.outdated(_place_after(after), OUTDATED_PAGE + 1, first, end)
        last = page[:OUTDATED_PAGE][-1] if len(page) > OUTDATED_PAGE else None
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            # Counting takes as long as a pass over all of them, so it is done once a pass.
            "total": self._store.count_outdated(first, end) if after is None else None,
            "ids": [image_id for _, image_id in page[:OUTDATED_PAGE]],
            "next": None if last is None else f"{last[0]}:{last[1]}",
        }

    def count_outdated(self) -> int:
        """How many images an older version has described."""
        return self._store.count_outdated()

    def get_image(self, image_id: str) -> ImageAnswer:
        """Is it there? Raises ``NotFound`` if not."""
        stored = self._find(image_id)
        answer = self._about(stored, "OK")
        return {**answer, "outdated": True} if stored.is_outdated else answer

    def delete_image(self, image_id: str) -> ImageAnswer:
        """Remove it. Raises ``NotFound`` if it is not there."""
        _check_id(image_id)
        stored = self._store.remove(image_id)
        self._forget(stored)
        return self._about(stored, "Deleted")

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        """One page of the listing, newest first, from the image ``start`` on.

        ``count`` is 100 by default, and 1 to 1000: what is outside is taken for the nearest.
        A page goes on where the one before it ended, whatever became of the image that it named.
        Raises ``NotFound`` if there is no image ``start``, and no page has named it.
        """
        count = DEFAULT_PAGE if count is None else min(max(1, count), MAX_PAGE)
        page = self._store.page(None if start is None else self._rel_path_of(start), count + 1)
        if len(page) > count:
            self._hand(page[count])
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
        """Every image that there is at the first step, newest first, whatever changes after it."""
        for block in self._store.walk():
            for moment, image_id in block:
                yield {"id": image_id, "image_time": image_time(moment)}

    def image_ids(self) -> set[str]:
        """The IDs of all images at one moment: what comparing needs, in a tenth of the time."""
        return self._store.ids()

    def search_images_by_id(self, image_id: str) -> SearchByIdAnswer:
        """Images like one of the collection, itself left out. Raises ``NotFound``."""
        _check_id(image_id)
        found = self._store.candidate(image_id)
        if found is None:
            raise not_there(image_id)
        matches = self._matches(found.features, found.stored.feed)
        answer: SearchByIdAnswer = {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "image_id": image_id,
            "image_time": image_time(found.stored.moment),
            "results": [match for match in matches if match["id"] != image_id],
        }
        if found.stored.is_outdated:
            answer["outdated"] = True
        if self._store.has_other_versions(found.stored.feed):
            answer["partial"] = True
        return answer

    def search_images(self, image: ImageSource) -> SearchAnswer:
        """Images like this one, among those that this version has described and those with the same
        bytes. Raises ``Refused`` if it can't be decoded, with the reason."""
        features = self._look_at(image)
        answer: SearchAnswer = {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "results": self._matches(features, FEED_VERSION),
        }
        if self._store.has_other_versions(FEED_VERSION):
            answer["partial"] = True
        return answer

    def close(self) -> None:
        """Close the file; again does nothing. Any other call after it raises ``Unavailable``."""
        self._store.close()

    def _about(self, stored: StoredImage, message: str, status: int = 200) -> ImageAnswer:
        return {
            "status": status,
            "message": message,
            "collection_id": self.id,
            "image_id": stored.image_id,
            "image_time": image_time(stored.moment),
        }

    def _find(self, image_id: str) -> StoredImage:
        _check_id(image_id)
        stored = self._store.find(image_id)
        if stored is None:
            raise not_there(image_id)
        return stored

    def _hand(self, stored: StoredImage) -> None:
        """Remember where the next page begins, should the image that it begins with be gone by
        then, or have moved to the top."""
        with self._handing:
            self._handed[stored.image_id] = stored.moment
            self._handed.move_to_end(stored.image_id)
            if len(self._handed) > _MOST_HANDED:
                self._handed.popitem(last=False)

    def _rel_path_of(self, start: str) -> int:
        with self._handing:
            moment = self._handed.get(start)
        return self._find(start).moment if moment is None else moment

    def _look_at(self, image: ImageSource) -> Features:
        if not self._has_libraries:
            _require_libraries()
            self._has_libraries = True
        with read_picture(image) as picture:
            return self._decode(picture)

    def _matches(self, features: Features, feed: int) -> list[Match]:
        matches = self._started_likeness().matches(features, feed)
        return [_match(alike, features) for alike in matches]

    def _forget(self, stored: StoredImage) -> None:
        if self._likeness is not None:
            self._likeness.forget(stored.mark)

    def _started_likeness(self) -> SimilaritySearch:
        with self._starting:
            if self._likeness is None:
                self._likeness = _start_likeness(self._store)
            return self._likeness


def _require_libraries() -> None:
    """Raises ``SnoopsyncError`` if a library is not installed that is optional elsewhere."""
    for name in _LIBRARIES:
        try:
            is_there = find_spec(name) is not None
        except ValueError:  # a module that was kept from being imported
            is_there = False
        if not is_there:
            raise SnoopsyncError(
                f"the embedded collection needs {name}: pip install 'snoopsync[embedded]'"
            )


def _start_likeness(store: Store) -> SimilaritySearch:
    _require_libraries()
    # Late, because numpy takes 0.1 s and 20 MiB: a resync that finds nothing new, and everything
    # that only lists, does without.
    from snoopsync.embedded.search import SimilaritySearch

    return SimilaritySearch(store)


def _match(alike: Alike, asked: Features) -> Match:
    match: Match = {
        "id": alike.stored.image_id,
        "rank": alike.rank,
        "sha256": alike.stored.sha256.hex(),
        **_told(alike.features),  # type: ignore[typeddict-item]  # mypy knows no ** of a TypedDict
        "asked": _told(asked),
    }
    if alike.kind is not None:
        match["kind"] = alike.kind
    return match


def _told(features: Features) -> PictureFacts:
    """What is told of a picture itself."""
    facts: PictureFacts = {
        "width": features.width,
        "height": features.height,
        "size_bytes": features.size_bytes,
    }
    if features.evidence is not None:
        facts["evidence"] = cast("Evidence", asdict(features.evidence))
    return facts


def _place_after(text: str | None) -> Outdated:
    """Where a page of outdated images goes on. Raises ``Refused`` for what is no such place."""
    if text is None:
        return -1, ""
    version, colon, image_id = text.partition(":")
    if not colon or not version.isascii() or not version.isdecimal() or len(version) > 9:
        raise Refused("`after` is the `next` of the page before", status=400)
    return int(version), image_id


def image_time(moment: int) -> str:
    """Microseconds of Unix time as ISO 8601 in UTC, always with its microseconds."""
    seconds, microseconds = divmod(moment, 1_000_000)
    return f"{_whole_second(seconds)}.{microseconds:06d}+00:00"


@lru_cache(maxsize=16)  # images that come together are listed together: half of a listing's time
def _whole_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def _check_id(image_id: str) -> None:
    if (
        not isinstance(image_id, str)
        or not 1 <= len(image_id) <= MAX_ID_CHARACTERS
        or _SURROGATE.search(image_id)
    ):
        raise Refused(
            f"an image's ID is a string of 1 to {MAX_ID_CHARACTERS} characters", status=400
        )
