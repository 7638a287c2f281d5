"""What the embedded collection accepts and answers: IDs, times, pages and matches."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from snoopsync.core.errors import Refused
from snoopsync.core.protocol import Match, PictureEvidence, PictureFacts
from snoopsync.decoding.evidence import FileEvidence
from snoopsync.decoding.features import Features
from snoopsync.storage.images import OutdatedKey

if TYPE_CHECKING:
    from snoopsync.embedded.search import SimilarImage

MAX_ID_CHARACTERS = 100

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_EVIDENCE = tuple(field.name for field in fields(FileEvidence))

#: One half of a surrogate pair, which can't be stored or sent.
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_id(image_id: str) -> None:
    """Raises ``Refused`` (400) if this is not a valid ID."""
    if (
        not isinstance(image_id, str)
        or not 1 <= len(image_id) <= MAX_ID_CHARACTERS
        or _SURROGATE.search(image_id)
    ):
        raise Refused(
            f"an image's ID must be a string of 1 to {MAX_ID_CHARACTERS} characters", status=400
        )


def image_time(moment: int) -> str:
    """A Unix time in microseconds as ISO 8601 in UTC, always with microseconds."""
    seconds, microseconds = divmod(moment, 1_000_000)
    return f"{_whole_second(seconds)}.{microseconds:06d}+00:00"


# Images that were added together are listed together, so this cache halves the time of a listing.
@lru_cache(maxsize=16)
def _whole_second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def outdated_key(text: str | None) -> OutdatedKey:
    """The key after which a page of outdated images begins. ``text``: the ``next`` of the previous
    page, or ``None`` for the first page. Raises ``Refused`` (400) for any other text.
    """
    if text is None:
        return -1, ""
    version, colon, image_id = text.partition(":")
    if not colon or not version.isascii() or not version.isdecimal() or len(version) > 9:
        raise Refused("`after` must be the `next` of the previous page", status=400)
    return int(version), image_id


def match_of(similar: SimilarImage, asked: PictureFacts) -> Match:
    """A similar image, as in the answer to a search. ``asked``: the facts about the picture that
    was searched for."""
    match: Match = {
        "id": similar.stored.image_id,
        "rank": similar.score.rank,
        "sha256": similar.stored.sha256.hex(),
        **facts_of(similar.features),  # type: ignore[typeddict-item]  # mypy knows no ** of a TypedDict
        "asked": asked,
    }
    if similar.score.kind is not None:
        match["kind"] = similar.score.kind
    if similar.stored.label is not None:
        match["label"] = similar.stored.label
    return match


def facts_of(features: Features) -> PictureFacts:
    """What answers say about a picture."""
    facts: PictureFacts = {
        "width": features.width,
        "height": features.height,
        "size_bytes": features.size_bytes,
    }
    if features.evidence is not None:
        # ``asdict`` takes ten times as long, and a search may find dozens of pictures.
        evidence = {name: getattr(features.evidence, name) for name in _EVIDENCE}
        facts["evidence"] = cast("PictureEvidence", evidence)
    return facts
