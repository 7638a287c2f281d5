"""What a search means: which pairs are new, and which are pairs no more. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from snoopsync.protocol import Match


class Pair(NamedTuple):
    """Two images that are alike, in the order of their IDs: A and B are the pair B and A."""

    a: str
    b: str

    @classmethod
    def of(cls, one: str, other: str) -> Pair:
        """The pair of two images, whichever comes first."""
        return cls(min(one, other), max(one, other))


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search changes: pairs that hold, with their rank, and pairs that don't any more."""

    pairs: tuple[tuple[Pair, int], ...]
    gone: tuple[Pair, ...]


def judge(
    image_id: str, matches: Iterable[Match], current: Collection[Pair], max_rank: int
) -> Findings:
    """The duplicates among the matches of this image. A match counts up to ``max_rank`` (bits of
    256 that differ; 0 is the same picture). ``current``: its pairs as of the last look."""
    ranks = {
        Pair.of(image_id, match["id"]): match["rank"]
        for match in matches
        if match["rank"] <= max_rank and match["id"] != image_id
    }
    gone = [pair for pair in current if pair not in ranks]
    return Findings(tuple(sorted(ranks.items())), tuple(sorted(gone)))
