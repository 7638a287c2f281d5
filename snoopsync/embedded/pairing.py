"""The rank and the kind of a pair of pictures, which do not depend on which one is searched for.

``scoring`` compares the variants of one picture with the other picture as it is stored. This module
scores both directions, and the nearer one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import pdq
from snoopsync.decoding.features import CODE_BYTES, Features
from snoopsync.embedded.parts import PictureParts, score_parts
from snoopsync.embedded.scoring import (
    MAX_RANK,
    MAX_RANK_OF_LOW_QUALITY,
    CodeMatch,
    QueryCodes,
    Score,
    score,
)

#: Pictures that are similar as a whole, at the usual limit of ranks, are not compared by parts.
_SIMILAR = 50


class ComparablePicture:
    """The features of a picture, and the codes that are computed from them when they are needed."""

    def __init__(self, features: Features) -> None:
        self.features = features

    @property
    def is_low_quality(self) -> bool:
        """Whether the picture has so little detail that its codes are weak evidence."""
        return self.features.quality < pdq.MIN_QUALITY

    @property
    def radius(self) -> int:
        """The largest distance in bits of a code that may be a match."""
        return MAX_RANK_OF_LOW_QUALITY if self.is_low_quality else MAX_RANK

    @property
    def form_codes(self) -> NDArray[np.uint8]:
        """The codes of the picture's forms, with and without its borders, each a row of 32
        bytes."""
        codes = self.features.codes + self.features.trimmed
        return np.frombuffer(codes, np.uint8).reshape(-1, CODE_BYTES)

    @cached_property
    def queries(self) -> QueryCodes:
        """All codes that a search for the picture uses."""
        return QueryCodes(self.features, with_variants=not self.is_low_quality)

    @cached_property
    def parts(self) -> PictureParts | None:
        """What the parts of the picture are compared by; ``None`` if it has no regions."""
        if not self.features.regions or self.features.thumbnail is None:
            return None
        return PictureParts(self.features, self.features.thumbnail)

    @cached_property
    def stored_codes(self) -> NDArray[np.uint64]:
        """The codes by which searches find the picture, each a row of four words: the code of the
        picture and, if it has borders, the code without them."""
        codes = (self.features.codes[:CODE_BYTES], self.features.trimmed[:CODE_BYTES])
        return _words(b"".join(codes))


def score_pairs(
    asked: ComparablePicture, candidates: Sequence[ComparablePicture]
) -> list[Score | None]:
    """How similar a picture is to each of some different ones; ``None`` if it is not. A part that
    both share counts if the pictures as a whole are less similar. The order of the pictures of a
    pair does not matter."""
    wholes = [_score_wholes(asked, each) for each in candidates]
    others = [number for number, found in enumerate(wholes) if not _is_near(found)]
    parts = _score_parts(asked, [candidates[number] for number in others])
    scores = wholes.copy()
    for number, found in zip(others, parts, strict=True):
        scores[number] = found or wholes[number]
    return scores


def score_sharing_pairs(
    asked: ComparablePicture, candidates: Sequence[ComparablePicture]
) -> list[Score | None]:
    """As ``score_pairs``, for candidates that were found by their regions only. This is faster for
    pictures that are not similar: only if they share a part, they are compared as a whole."""
    scores = _score_parts(asked, candidates)
    for number, found in enumerate(scores):
        whole = _score_wholes(asked, candidates[number]) if found is not None else None
        if _is_near(whole):
            scores[number] = whole
    return scores


def _is_near(found: Score | None) -> bool:
    """Whether the pictures as a whole are so similar that their parts do not matter."""
    return found is not None and found.rank <= _SIMILAR


def _score_parts(
    asked: ComparablePicture, candidates: Sequence[ComparablePicture]
) -> list[Score | None]:
    """The scores of the parts that a picture shares with each of the others, in either order;
    ``None`` if they share none."""
    scores: list[Score | None] = [None] * len(candidates)
    pairs: list[tuple[PictureParts, PictureParts]] = []
    numbers = []
    for number, candidate in enumerate(candidates):
        if asked.parts is None or candidate.parts is None:
            continue
        is_first = asked.features.sha256 < candidate.features.sha256
        pairs.append((asked.parts, candidate.parts) if is_first else (candidate.parts, asked.parts))
        numbers.append(number)
    for number, found in zip(numbers, score_parts(pairs), strict=True):
        scores[number] = found
    return scores


def _score_wholes(asked: ComparablePicture, candidate: ComparablePicture) -> Score | None:
    is_low_quality = asked.is_low_quality or candidate.is_low_quality
    radius = MAX_RANK_OF_LOW_QUALITY if is_low_quality else MAX_RANK
    directions = [
        (one, other, matches)
        for one, other in ((asked, candidate), (candidate, asked))
        if (matches := _code_matches(one, other, radius))
    ]
    # If both directions are equally near, the hashes decide, so that the order does not matter.
    directions.sort(key=lambda way: (way[2][0].bits, way[0].features.sha256))
    for one, other, matches in directions:
        found = score(one.queries, other.features, matches)
        if found is not None:
            return found
    return None


def _code_matches(one: ComparablePicture, other: ComparablePicture, radius: int) -> list[CodeMatch]:
    """The matches within ``radius`` bits between the query codes of one picture and the stored
    codes of the other, nearest first. Matches that are no evidence of similarity are left out."""
    queries = one.queries
    if not len(queries.codes) or not len(other.stored_codes):
        return []
    differing = _words(queries.codes.tobytes())[:, None] ^ other.stored_codes
    bits = np.bitwise_count(differing).sum(axis=2, dtype=np.int64)
    near = np.argwhere(bits <= radius)
    matches = sorted(CodeMatch(int(bits[query, at]), int(query), bool(at)) for query, at in near)
    return [match for match in matches if queries.supports(match, other.features)]


def _words(codes: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(codes, np.uint64).reshape(-1, CODE_BYTES // 8)
