"""Reads responses with a long list: a listing, or the results of a search.

Each entry is read as it arrives, and only the necessary parts of it are kept, so no service can
fill the memory. As in ``responses``, all functions raise ``BadAnswer`` for a response that does not
come from a collection.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from snoopsync.client.jsonstream import read_object
from snoopsync.client.responses import (
    Response,
    Session,
    invalid_field,
    is_label,
    is_valid_id,
    require_fields,
    too_large,
    valid_time,
    with_status,
)
from snoopsync.core.errors import ExcessiveAnswer
from snoopsync.core.model import owns
from snoopsync.core.protocol import (
    KINDS,
    ChangedPair,
    ChangesAnswer,
    ListAnswer,
    ListedImage,
    Match,
    OutdatedAnswer,
    SearchAnswer,
    SearchByIdAnswer,
)

#: The largest page of a listing. A page of 1,000 images has about 150 KB.
LARGEST_PAGE_BYTES = 16 * 1024 * 1024

#: The largest answer to a search. Two million results have about 200 MB.
LARGEST_SEARCH_BYTES = 256 * 1024 * 1024

#: How many of the nearest results of a search are kept.
MOST_RESULTS = 10_000

#: The largest number of images on a page of outdated images.
MOST_OUTDATED = 10_000

#: The largest number of pairs on a page of changes. A page of snoopsync's service has at most 512.
MOST_CHANGED_PAIRS = 10_000

#: The largest moment: moments are 64-bit numbers.
_LARGEST_MOMENT = 2**63 - 1

#: A result with a larger rank is ignored, because it is not similar at all.
_LARGEST_RANK = 2**31 - 1

#: The largest size of a picture, in pixels or bytes.
_MAX_SIZE = 2**48

#: The optional fields of a match, and their types.
_EXTRAS = {
    "kind": str,
    "label": str,
    "sha256": str,
    "width": int,
    "height": int,
    "size_bytes": int,
    "copies": int,
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

#: The optional flags of a search.
_FLAGS = ("outdated", "partial", "cut")

_SHA256 = re.compile("[0-9a-f]{64}")


class _Nearest:
    """The nearest results of a stream. With a ``limit``, results with the same SHA-256 count as
    one, as in a service that offers limits."""

    def __init__(self, limit: int | None) -> None:
        self._most = MOST_RESULTS if limit is None else min(max(1, limit), MOST_RESULTS)
        self._merges = limit is not None
        self._heap: list[tuple[int, int, Match]] = []  # the farthest first
        self._by_content: dict[str, Match] = {}
        self._count = 0
        self.is_cut = False

    def add(self, match: Match) -> None:
        """Add a result, unless enough others are nearer."""
        content = match.get("sha256") if self._merges else None
        known = None if content is None else self._by_content.get(content)
        if known is not None:
            known["copies"] = known.get("copies", 1) + match.get("copies", 1)
            return
        if self._merges:
            match.setdefault("copies", 1)
        self._count += 1
        if content is not None:
            self._by_content[content] = match
        item = (-match["rank"], -self._count, match)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, item)
            return
        self.is_cut = True
        *_order, dropped = heapq.heappushpop(self._heap, item)
        self._by_content.pop(dropped.get("sha256", ""), None)

    def sorted(self) -> list[Match]:
        """The results, nearest first."""
        return [match for *_order, match in sorted(self._heap, reverse=True)]


def parse_search(response: Response, collection_id: str, limit: int | None = None) -> SearchAnswer:
    """Return the answer to a search by an image's bytes, with at most ``limit`` or ``MOST_RESULTS``
    results, nearest first. ``collection_id`` is used if the response has none."""
    nearest = _Nearest(limit)

    def take(entry: Any) -> None:
        match = _match(response, entry)
        if match is not None:
            nearest.add(match)

    found = _read(response, collection_id, "results", take, LARGEST_SEARCH_BYTES)
    for flag in _FLAGS:
        if not isinstance(found.get(flag, False), bool):
            del found[flag]
    if nearest.is_cut:
        found["cut"] = True
    found["results"] = nearest.sorted()
    return cast(SearchAnswer, found)


def parse_search_by_id(
    response: Response, image_id: str, collection_id: str, limit: int | None = None
) -> SearchByIdAnswer:
    """Return the answer to a search by an image's ID. Missing fields are filled in, except the
    results."""
    answer = parse_search(response, collection_id, limit)
    found = {"image_id": image_id, "image_time": "", **answer}
    require_fields(response, found, image_id=str, image_time=str)
    return cast(SearchByIdAnswer, found)


def _match(response: Response, entry: Any) -> Match | None:
    """Return the known fields of one result; ``None`` if it can't be a match."""
    if not _has_valid_id(response, entry):
        return None
    require_fields(response, entry, rank=int)
    if entry["rank"] < 0:
        raise invalid_field(response, "rank", entry["rank"])
    if entry["rank"] > _LARGEST_RANK:
        return None
    match = {"id": entry["id"], "rank": entry["rank"], **_extras(entry)}
    if "asked" in match:
        match["asked"] = _extras(match["asked"])
    return cast(Match, match)


def _extras(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the optional fields with valid values. Another service may use the same names in
    another sense."""
    extras = _usable(given, _EXTRAS)
    if "evidence" in extras:
        extras["evidence"] = _usable(extras["evidence"], _EVIDENCE)
    return extras


def _usable(given: Mapping[str, Any], expected: Mapping[str, type]) -> dict[str, Any]:
    return {
        name: given[name]
        for name, kind in expected.items()
        if type(given.get(name)) is kind and _is_usable(name, given[name])
    }


def _is_usable(name: str, value: Any) -> bool:
    match name, value:
        case "kind", _:
            return value in KINDS
        case "label", _:
            return is_label(value)
        case "sha256", _:
            return _SHA256.fullmatch(value) is not None
        case _, bool() | dict():
            return True
    return bool(0 <= value <= _MAX_SIZE)


def parse_listing(response: Response, collection_id: str, count: int | None = None) -> ListAnswer:
    """Return one page of the listing. ``collection_id`` is used if the response has none.

    An entry with an invalid ``id`` is left out: no request could name the image, and it must not
    prevent the comparison of the others. Raises ``ExcessiveAnswer`` for a page of more than
    ``count`` entries, without reading the rest.
    """
    images: list[ListedImage] = []
    entries = 0

    def take(entry: Any) -> None:
        nonlocal entries
        entries += 1
        if count is not None and entries > count:
            raise ExcessiveAnswer(
                f"the listing is refused: a page has more than the {count} images that were"
                " requested"
            )
        if _has_valid_id(response, entry):
            require_fields(response, entry, image_time=str)
            images.append({"id": entry["id"], "image_time": valid_time(entry["image_time"])})

    found = _read(response, collection_id, "images", take, LARGEST_PAGE_BYTES)
    found["images"] = images
    start = found.setdefault("next_image_id", None) or None  # no ID is empty
    if start is not None:
        require_fields(response, found, next_image_id=str)
        if not is_valid_id(start):
            raise invalid_field(response, "next_image_id", start)
    found["next_image_id"] = start
    return cast(ListAnswer, found)


def empty_outdated(session: Session) -> OutdatedAnswer:
    """Return the page for the collection of this session if it has no outdated images."""
    return {
        "status": 200,
        "message": "OK",
        "collection_id": session.collection_id,
        "total": 0,
        "ids": [],
        "next": None,
    }


def parse_outdated(response: Response, collection_id: str) -> OutdatedAnswer:
    """Return one page of the images that an older version of the service described. Raises
    ``ExcessiveAnswer`` for more than ``MOST_OUTDATED`` images."""
    ids: list[str] = []

    def take(image_id: Any) -> None:
        if len(ids) == MOST_OUTDATED:
            raise ExcessiveAnswer(
                f"the list of outdated images is refused: a page has more than {MOST_OUTDATED}"
            )
        require_fields(response, {"id": image_id}, id=str)
        if not is_valid_id(image_id):
            raise invalid_field(response, "id", image_id)
        ids.append(image_id)

    found = _read(response, collection_id, "ids", take, LARGEST_PAGE_BYTES)
    found["ids"] = ids
    if found.setdefault("total", None) is not None:
        require_fields(response, found, total=int)
    if found.setdefault("next", None) is not None:
        require_fields(response, found, next=str)
    return cast(OutdatedAnswer, found)


def parse_changes(response: Response, collection_id: str, owner: str) -> ChangesAnswer:
    """Return one page of what other owners added. A pair that is not of an image of ``owner`` and
    one of another owner is left out. Raises ``ExcessiveAnswer`` for more than
    ``MOST_CHANGED_PAIRS`` pairs."""
    pairs: list[ChangedPair] = []
    entries = 0

    def take(entry: Any) -> None:
        nonlocal entries
        entries += 1
        if entries > MOST_CHANGED_PAIRS:
            raise ExcessiveAnswer(
                f"the changes are refused: a page has more than {MOST_CHANGED_PAIRS} pairs"
            )
        pair = _changed_pair(response, entry)
        if pair is not None and owns(owner, pair["id"]) and not owns(owner, pair["match"]):
            pairs.append(pair)

    found = _read(response, collection_id, "pairs", take, LARGEST_PAGE_BYTES)
    require_fields(response, found, next=int)
    if not 0 <= found["next"] <= _LARGEST_MOMENT:
        raise invalid_field(response, "next", found["next"])
    found["pairs"] = pairs
    return cast(ChangesAnswer, found)


def _changed_pair(response: Response, entry: Any) -> ChangedPair | None:
    """Return the known fields of one pair; ``None`` if no image can have its IDs or its rank."""
    require_fields(response, entry, id=str, match=str, rank=int)
    is_valid = is_valid_id(entry["id"]) and is_valid_id(entry["match"])
    if not is_valid or not 0 <= entry["rank"] <= _LARGEST_RANK:
        return None
    kind, label = entry.get("kind"), entry.get("label")
    return {
        "id": entry["id"],
        "match": entry["match"],
        "rank": entry["rank"],
        "kind": kind if isinstance(kind, str) and kind in KINDS else None,
        "label": label if is_label(label) else None,
    }


def _read(
    response: Response,
    collection_id: str,
    name: str,
    take: Callable[[Any], None],
    most_bytes: int,
) -> dict[str, Any]:
    """Call ``take`` with each entry of the list ``name`` in a response. Return the response's JSON
    object with this list empty."""
    found = read_object(_pieces(response, most_bytes), name, take)
    found = {"collection_id": collection_id, **with_status(response, found)}
    require_fields(response, found, collection_id=str, **{name: list})
    return found


def _pieces(response: Response, most_bytes: int) -> Iterator[bytes]:
    """Yield the pieces of the body. Raises ``ExcessiveAnswer`` if the body is larger."""
    count = len(response.body)
    yield response.body
    for piece in response.rest:
        count += len(piece)
        if count > most_bytes:
            raise too_large(most_bytes)
        yield piece


def _has_valid_id(response: Response, entry: Any) -> bool:
    """Whether the ``id`` of this entry is valid. Raises ``BadAnswer`` if it is not a text."""
    if not (isinstance(entry, dict) and isinstance(entry.get("id"), str)):
        raise invalid_field(response, "id", entry.get("id") if isinstance(entry, dict) else None)
    return is_valid_id(entry["id"])
