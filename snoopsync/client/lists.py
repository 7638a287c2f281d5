"""What an answer says that has a long list in it: a listing, the results of a search.

It is read while it arrives, an entry at a time, and only what is needed of an entry is kept. So no
service can fill the memory. As in ``answers``, everything raises ``BadAnswer`` for what is not the
collection's.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from snoopsync.client.jsonstream import read_object
from snoopsync.client.responses import (
    Answer,
    Session,
    can_be_id,
    larger_than,
    plain_time,
    require,
    unusable,
    with_status,
)
from snoopsync.core.errors import ExcessiveAnswer
from snoopsync.core.protocol import (
    KINDS,
    ListAnswer,
    ListedImage,
    Match,
    OutdatedAnswer,
    SearchAnswer,
    SearchByIdAnswer,
)

#: More is no page of a listing: a page of 1,000 images has some 150 KB.
LARGEST_PAGE_BYTES = 16 * 1024 * 1024

#: More is no answer to a search: two million results have some 200 MB.
LARGEST_SEARCH_BYTES = 256 * 1024 * 1024

#: Of the results of a search, the nearest so many are kept.
MOST_RESULTS = 10_000

#: More images are on no page of those that an older version has described.
MOST_OUTDATED = 10_000

#: A result of a larger rank is like nothing.
_LARGEST_RANK = 2**31 - 1

#: More is no size of a picture.
_MAX_SIZE = 2**48

#: What some services tell of a match beside the protocol, and how it looks.
_EXTRAS = {
    "kind": str,
    "sha256": str,
    "width": int,
    "height": int,
    "size_bytes": int,
    "asked": dict,
    "evidence": dict,
}
_EVIDENCE = {
    "camera": bool,
    "jpeg_quality": int,
    "lossless": bool,
    "palette": bool,
    "resaved": bool,
}

#: What some services tell of a search.
_FLAGS = ("outdated", "partial", "cut")

_SHA256 = re.compile("[0-9a-f]{64}")


def search(answer: Answer, collection_id: str) -> SearchAnswer:
    """The answer to a search by an image's bytes, with its nearest ``MOST_RESULTS`` results, the
    nearest first. ``collection_id`` is filled in if it has none."""
    nearest: list[tuple[int, int, Match]] = []  # a heap, the farthest first
    count = 0

    def take(entry: Any) -> None:
        nonlocal count
        match = _match(answer, entry)
        if match is None:
            return
        count += 1
        item = (-match["rank"], -count, match)
        if len(nearest) < MOST_RESULTS:
            heapq.heappush(nearest, item)
        else:
            heapq.heappushpop(nearest, item)

    found = _read(answer, collection_id, "results", take, LARGEST_SEARCH_BYTES)
    for flag in _FLAGS:
        if not isinstance(found.get(flag, False), bool):
            del found[flag]
    if count > MOST_RESULTS:
        found["cut"] = True
    found["results"] = [match for *_order, match in sorted(nearest, reverse=True)]
    return cast(SearchAnswer, found)


def search_by_id(answer: Answer, image_id: str, collection_id: str) -> SearchByIdAnswer:
    """The answer to a search by an image's ID. What it leaves out beside the results is filled
    in, as by ``answers.changed_image``."""
    found = {"image_id": image_id, "image_time": "", **search(answer, collection_id)}
    require(answer, found, image_id=str, image_time=str)
    return cast(SearchByIdAnswer, found)


def _match(answer: Answer, entry: Any) -> Match | None:
    """What is used of one result; ``None`` if it can be no match."""
    if not _names_image(answer, entry):
        return None
    require(answer, entry, rank=int)
    if entry["rank"] < 0:
        raise unusable(answer, "rank", entry["rank"])
    if entry["rank"] > _LARGEST_RANK:
        return None
    match = {"id": entry["id"], "rank": entry["rank"], **_extras(entry)}
    if "asked" in match:
        match["asked"] = _extras(match["asked"])
    return cast(Match, match)


def _extras(told: Mapping[str, Any]) -> dict[str, Any]:
    """Other services may mean something else by these names: that is not told."""
    extras = _usable(told, _EXTRAS)
    if "evidence" in extras:
        extras["evidence"] = _usable(extras["evidence"], _EVIDENCE)
    return extras


def _usable(told: Mapping[str, Any], expected: Mapping[str, type]) -> dict[str, Any]:
    return {
        name: told[name]
        for name, kind in expected.items()
        if type(told.get(name)) is kind and _is_usable(name, told[name])
    }


def _is_usable(name: str, value: Any) -> bool:
    match name, value:
        case "kind", _:
            return value in KINDS
        case "sha256", _:
            return _SHA256.fullmatch(value) is not None
        case _, bool() | dict():
            return True
    return bool(0 <= value <= _MAX_SIZE)


def listing(answer: Answer, collection_id: str, count: int | None = None) -> ListAnswer:
    """One page of the listing. ``collection_id`` is filled in if it has none.

    An entry whose ``id`` can be no image's is left out: nobody could ask for it, and it must not
    keep the others from being compared. Raises ``ExcessiveAnswer`` for a page of more than
    ``count`` entries, which is not read to its end.
    """
    images: list[ListedImage] = []
    entries = 0

    def take(entry: Any) -> None:
        nonlocal entries
        entries += 1
        if count is not None and entries > count:
            raise ExcessiveAnswer(
                f"the listing is refused: a page has more than the {count} images that were asked"
                " for"
            )
        if _names_image(answer, entry):
            require(answer, entry, image_time=str)
            images.append({"id": entry["id"], "image_time": plain_time(entry["image_time"])})

    found = _read(answer, collection_id, "images", take, LARGEST_PAGE_BYTES)
    found["images"] = images
    start = found.setdefault("next_image_id", None) or None  # no ID is empty
    if start is not None:
        require(answer, found, next_image_id=str)
        if not can_be_id(start):
            raise unusable(answer, "next_image_id", start)
    found["next_image_id"] = start
    return cast(ListAnswer, found)


def nothing_outdated(session: Session) -> OutdatedAnswer:
    """The page of a collection of which the session says that it has no such images."""
    return {
        "status": 200,
        "message": "OK",
        "collection_id": session.collection_id,
        "total": 0,
        "ids": [],
        "next": None,
    }


def outdated(answer: Answer, collection_id: str) -> OutdatedAnswer:
    """One page of the images that an older version of the service has described. Raises
    ``ExcessiveAnswer`` for one of more than ``MOST_OUTDATED``."""
    ids: list[str] = []

    def take(image_id: Any) -> None:
        if len(ids) == MOST_OUTDATED:
            raise ExcessiveAnswer(
                f"the images to describe again are refused: a page has more than {MOST_OUTDATED}"
            )
        require(answer, {"id": image_id}, id=str)
        if not can_be_id(image_id):
            raise unusable(answer, "id", image_id)
        ids.append(image_id)

    found = _read(answer, collection_id, "ids", take, LARGEST_PAGE_BYTES)
    found["ids"] = ids
    if found.setdefault("total", None) is not None:
        require(answer, found, total=int)
    if found.setdefault("next", None) is not None:
        require(answer, found, next=str)
    return cast(OutdatedAnswer, found)


def _read(
    answer: Answer,
    collection_id: str,
    name: str,
    take: Callable[[Any], None],
    most_bytes: int,
) -> dict[str, Any]:
    """The JSON object of an answer, without the entries of its list ``name``, each of which is
    given to ``take``."""
    found = read_object(_pieces(answer, most_bytes), name, take)
    found = {"collection_id": collection_id, **with_status(answer, found)}
    require(answer, found, collection_id=str, **{name: list})
    return found


def _pieces(answer: Answer, most_bytes: int) -> Iterator[bytes]:
    """The pieces of the body. Raises ``ExcessiveAnswer`` if it is larger than this."""
    count = len(answer.body)
    yield answer.body
    for piece in answer.rest:
        count += len(piece)
        if count > most_bytes:
            raise larger_than(most_bytes)
        yield piece


def _names_image(answer: Answer, entry: Any) -> bool:
    """Can the ``id`` of this entry be an image's? Raises ``BadAnswer`` if it is no text."""
    if not (isinstance(entry, dict) and isinstance(entry.get("id"), str)):
        raise unusable(answer, "id", entry.get("id") if isinstance(entry, dict) else None)
    return can_be_id(entry["id"])
