"""What a search means: which pairs are new, and which are pairs no more. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from snoopsync.core.protocol import Match, PictureFacts


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


@dataclass(frozen=True, slots=True)
class FoundPair:
    """A pair that holds. ``rank``: 0 is the same picture, and the larger, the less alike.
    ``sha256`` is of the other image's bytes, ``kind`` what the two are to each other, ``facts`` are
    about the other picture; all as far as the collection tells."""

    pair: Pair
    rank: int
    kind: str | None = None
    sha256: bytes | None = None
    facts: PictureFacts = field(default_factory=lambda: PictureFacts())


@dataclass(frozen=True, slots=True)
class PairChanges:
    """What a search changes: pairs that hold, and pairs that don't any more. ``facts`` are about
    the picture that was searched for."""

    pairs: tuple[FoundPair, ...]
    gone: tuple[Pair, ...]
    facts: PictureFacts = field(default_factory=lambda: PictureFacts())


def changes_of_search(
    image_id: str, matches: Iterable[Match], current: Collection[Pair], max_rank: int
) -> PairChanges:
    """The duplicates among the matches of this image. A match counts up to ``max_rank`` (bits of
    256 that differ; 0 is the same picture). ``current``: its pairs as of the last look.

    Of those that are new, the nearest ``MOST_NEW_PAIRS`` count, so that what is recorded of
    thousands of copies of one picture does not grow with the square of their number."""
    found: dict[str, FoundPair] = {}
    asked = PictureFacts()
    for match in matches:
        if match["rank"] <= max_rank and match["id"] != image_id:
            asked = match.get("asked", asked)
            found[match["id"]] = FoundPair(
                Pair.of(image_id, match["id"]),
                match["rank"],
                match.get("kind"),
                _digest(match.get("sha256")),
                facts_of(match),
            )
    gone = set(current).difference(each.pair for each in found.values())
    known = [each for each in found.values() if each.pair in current]
    new = [each for each in found.values() if each.pair not in current]
    new = heapq.nsmallest(MOST_NEW_PAIRS, new, key=lambda each: (each.rank, each.pair))
    pairs = sorted([*known, *new], key=lambda each: each.pair)
    return PairChanges(tuple(pairs), tuple(sorted(gone)), asked)


def facts_of(match: Match) -> PictureFacts:
    """What is told of a picture itself."""
    facts = PictureFacts()
    for name in ("width", "height", "size_bytes", "evidence"):
        if name in match:
            facts[name] = match[name]
    return facts


def _digest(sha256: str | None) -> bytes | None:
    try:
        return bytes.fromhex(sha256) if sha256 else None
    except ValueError:
        return None
