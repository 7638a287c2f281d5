"""How a search for duplicates changes the known pairs: which exist, and which have ended."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from snoopsync.core.protocol import Match, PictureFacts


class Pair(NamedTuple):
    """Two similar images, ordered by ID: the pair is the same whichever image was searched for."""

    a: str
    b: str

    @classmethod
    def of(cls, one: str, other: str) -> Pair:
        """The pair of two images in any order."""
        return cls(min(one, other), max(one, other))


#: At most this many new pairs of one search are recorded: the nearest ones.
MOST_NEW_PAIRS = 64


@dataclass(frozen=True, slots=True)
class FoundPair:
    """A pair that exists. ``rank``: 0 for the same picture, larger for less similar ones. ``kind``:
    how the two differ. ``sha256`` and ``facts`` describe the image that was found. A value that the
    collection does not report is ``None`` or empty."""

    pair: Pair
    rank: int
    kind: str | None = None
    sha256: bytes | None = None
    facts: PictureFacts = field(default_factory=lambda: PictureFacts())


@dataclass(frozen=True, slots=True)
class PairChanges:
    """How a search changes the pairs: ``pairs`` exist, and ``gone`` have ended. ``facts`` describe
    the picture that was searched for."""

    pairs: tuple[FoundPair, ...]
    gone: tuple[Pair, ...]
    facts: PictureFacts = field(default_factory=lambda: PictureFacts())


def changes_of_search(
    image_id: str, matches: Iterable[Match], current: Collection[Pair], max_rank: int
) -> PairChanges:
    """The changes from a search for this image. ``matches`` with a rank above ``max_rank`` (bits of
    256 that differ) do not count. ``current``: the recorded pairs of the image.

    At most ``MOST_NEW_PAIRS`` new pairs count, the nearest ones. Otherwise the number of pairs
    would grow with the square of the number of copies of a picture."""
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
    """The facts about the picture that a search found."""
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
