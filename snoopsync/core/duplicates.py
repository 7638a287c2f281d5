"""What a search for duplicates found, as values, and the sentence of an alert."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from snoopsync.core.events import Field
from snoopsync.core.keep import REENCODED
from snoopsync.core.model import printable
from snoopsync.core.protocol import Match, PictureFacts
from snoopsync.core.shots import Relation

#: How many of the nearest pictures a picture is linked to, not counting dismissed ones.
NEAREST_LINKS = 16

#: How many more results a search asks for: they can connect the picture with further groups.
_FURTHER_RESULTS = 48


class Pair(NamedTuple):
    """Two similar images, ordered by ID: the pair is the same whichever image was searched for."""

    a: str
    b: str

    @classmethod
    def of(cls, one: str, other: str) -> Pair:
        """The pair of two images in any order."""
        return cls(min(one, other), max(one, other))


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image that a search found. ``rank``: 0 for the same picture, larger for less similar ones.
    ``kind``: how the two differ. ``sha256``, ``label`` and ``facts`` describe this image.
    ``copies``: the number of images with its bytes. A value that the collection does not report is
    ``None`` or empty. ``relation``: how the two are related, if the evidence was examined."""

    image_id: str
    rank: int
    kind: str | None = None
    sha256: bytes | None = None
    facts: PictureFacts = field(default_factory=lambda: PictureFacts())
    label: str | None = None
    copies: int | None = None
    relation: Relation | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What the search for an image found, nearest first. ``facts`` describe the image that was
    searched for. ``is_complete``: no further image is within the rank."""

    images: tuple[FoundImage, ...] = ()
    facts: PictureFacts = field(default_factory=lambda: PictureFacts())
    is_complete: bool = True


def search_limit(dismissed: int) -> int:
    """How many results to ask for, so that ``dismissed`` pictures crowd out no others."""
    return NEAREST_LINKS + _FURTHER_RESULTS + dismissed


def findings_of(
    image_id: str, matches: Iterable[Match], max_rank: int, *, limit: int, is_cut: bool = False
) -> Findings:
    """The findings of a search for this image. ``matches`` with a rank above ``max_rank`` (bits of
    256 that differ) do not count. ``limit``: how many results were requested. ``is_cut``: the
    answer lacks some results."""
    found: dict[str, FoundImage] = {}
    asked = PictureFacts()
    count, is_beyond = 0, False
    for match in matches:
        count += 1
        asked = match.get("asked", asked)
        is_beyond = is_beyond or match["rank"] > max_rank
        if match["rank"] <= max_rank and match["id"] != image_id:
            found[match["id"]] = FoundImage(
                match["id"],
                match["rank"],
                match.get("kind"),
                _digest(match.get("sha256")),
                facts_of(match),
                match.get("label"),
                match.get("copies"),
            )
    images = sorted(found.values(), key=lambda each: (each.rank, each.image_id))
    # Results beyond the rank prove that none within it is missing.
    is_complete = len(images) <= limit and (is_beyond or not (is_cut or count >= limit))
    return Findings(tuple(images[:limit]), asked, is_complete)


def facts_of(match: Match) -> PictureFacts:
    """The facts about the picture that a search found."""
    facts = PictureFacts()
    for name in ("width", "height", "size_bytes", "evidence"):
        if name in match:
            facts[name] = match[name]
    return facts


def kind_words(kind: str) -> str:
    """A kind as people write it, on one line. Programs get the kind itself."""
    return "re-encoded" if kind == REENCODED else printable(kind)


def describe_duplicate(
    fields: Mapping[str, Field], shorten: Callable[[str], str] = str, *, with_ids: bool = False
) -> str:
    """The sentence of an alert, for the log and for notifications. ``fields``: the keys of the
    event ``duplicate``. ``shorten``: applied to the name of each image. ``with_ids``: name each
    image with its ID; otherwise only images without a path have theirs."""

    def name(prefix: str, image_id: Field, *, with_id: bool) -> str:
        folder, path, label = (fields.get(f"{prefix}{key}") for key in ("folder", "path", "label"))
        if path is not None:
            text = shorten(f"{folder}/{printable(str(path))}")
            return f"{text} ({image_id})" if with_id else text
        text = shorten(printable(str(label))) if label else "an image without a file here"
        return f"{text} ({image_id})"

    sides = ("", fields["image_id"]), ("match_", fields["match_id"])
    image, match = (name(*side, with_id=with_ids) for side in sides)
    likeness = "the same picture as" if fields["rank"] == 0 else "like"
    text = f"{image} is {likeness} {match}, rank {fields['rank']}"
    if fields.get("kind") is not None:
        text += f", {kind_words(str(fields['kind']))}"
    if fields.get("keep") is not None:
        kept = name(*sides[fields["keep"] == fields["match_id"]], with_id=False)
        text += f"; keep {kept} ({str(fields['reason']).replace('-', ' ')})"
    if fields.get("others"):
        text += f"; {fields['others']} more"
    if fields.get("group") is not None:
        text += f" (snoopsync duplicates --group {fields['group']})"
    return text


def _digest(sha256: str | None) -> bytes | None:
    try:
        return bytes.fromhex(sha256) if sha256 else None
    except ValueError:
        return None
