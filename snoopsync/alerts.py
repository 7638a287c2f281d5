"""What a search means: which pairs are new, and which are pairs no more. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from snoopsync.protocol import Match, PictureSize


class Pair(NamedTuple):
    """Two images that are alike, in the order of their IDs: A and B are the pair B and A."""

    a: str
    b: str

    @classmethod
    def of(cls, one: str, other: str) -> Pair:
        """The pair of two images, whichever comes first."""
        return cls(min(one, other), max(one, other))


#: So many pairs that are new are recorded of one search, the nearest ones.
MOST_NEW_PAIRS = 64

#: The kind of a match of which one side has more around it than the other.
_BORDERED = "bordered"


class Reason(StrEnum):
    """Why one file of a pair is the better one to keep."""

    PIXELS = "more pixels"
    BYTES = "more bytes"
    AGE = "older"


@dataclass(frozen=True, slots=True)
class Better:
    """Which image of a pair is the better one, and why: a hint for people, and never acted on."""

    image_id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Found:
    """A pair that holds. ``rank``: 0 is the same picture, and the larger, the less alike.
    ``sha256`` is of the other image's bytes, ``kind`` what the two are to each other; both as far
    as the collection tells."""

    pair: Pair
    rank: int
    kind: str | None = None
    better: Better | None = None
    sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search changes: pairs that hold, and pairs that don't any more."""

    pairs: tuple[Found, ...]
    gone: tuple[Pair, ...]


def judge(
    image_id: str,
    matches: Iterable[Match],
    current: Collection[Pair],
    max_rank: int,
    modified_ns: Mapping[str, int],
) -> Findings:
    """The duplicates among the matches of this image. A match counts up to ``max_rank`` (bits of
    256 that differ; 0 is the same picture). ``current``: its pairs as of the last look.
    ``modified_ns``: when the files of images were modified that have one here.

    Of those that are new, the nearest ``MOST_NEW_PAIRS`` count, so that what is recorded of
    thousands of copies of one picture does not grow with the square of their number."""
    found = {
        match["id"]: Found(
            Pair.of(image_id, match["id"]),
            match["rank"],
            match.get("kind"),
            _better(image_id, match, modified_ns),
            _digest(match.get("sha256")),
        )
        for match in matches
        if match["rank"] <= max_rank and match["id"] != image_id
    }
    gone = set(current).difference(each.pair for each in found.values())
    known = [each for each in found.values() if each.pair in current]
    new = [each for each in found.values() if each.pair not in current]
    new = heapq.nsmallest(MOST_NEW_PAIRS, new, key=lambda each: (each.rank, each.pair))
    pairs = sorted([*known, *new], key=lambda each: each.pair)
    return Findings(tuple(pairs), tuple(sorted(gone)))


def _better(image_id: str, match: Match, modified_ns: Mapping[str, int]) -> Better | None:
    """More pixels are better, then more bytes, then the file that was there first."""
    if match.get("kind") == _BORDERED:
        return None  # the more pixels may be the border's
    asked: PictureSize = match.get("asked", {})
    measures = (
        (Reason.PIXELS, _pixels(asked), _pixels(match)),
        (Reason.BYTES, asked.get("size_bytes"), match.get("size_bytes")),
        (Reason.AGE, _age(modified_ns, image_id), _age(modified_ns, match["id"])),
    )
    for reason, our_measure, their_measure in measures:
        if our_measure is None or their_measure is None or our_measure == their_measure:
            continue
        return Better(image_id if our_measure > their_measure else match["id"], reason)
    return None


def _pixels(size: PictureSize) -> int | None:
    width, height = size.get("width"), size.get("height")
    return None if width is None or height is None else width * height


def _age(modified_ns: Mapping[str, int], image_id: str) -> int | None:
    modified = modified_ns.get(image_id)
    return None if modified is None else -modified


def _digest(sha256: str | None) -> bytes | None:
    try:
        return bytes.fromhex(sha256) if sha256 else None
    except ValueError:
        return None
