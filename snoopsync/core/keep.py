"""Decides which of two files with the same picture to keep. snoopsync only reports the decision.

A decision needs evidence. The size in bytes is no evidence: it depends on the format and on
padding. Age is no evidence either, unless the bytes are the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from snoopsync.core.model import RelPath
from snoopsync.core.protocol import PictureEvidence, PictureFacts

#: The kind of a pair with the same bytes.
IDENTICAL = "identical"

#: The kind of a pair of which one is another encoding of the other.
REENCODED = "reencoded"


class Reason(StrEnum):
    """Why one file is the one to keep."""

    MORE_PIXELS = "more-pixels"
    CAMERA_METADATA = "camera-metadata"
    LESS_COMPRESSED = "less-compressed"
    LOSSLESS = "lossless"
    TRUE_COLOUR = "true-colour"
    PREFERRED_FOLDER = "preferred-folder"
    OLDER = "older"
    CONFIGURED_FIRST = "configured-first"
    SHORTER_PATH = "shorter-path"
    FIRST_PATH = "first-path"

    @property
    def words(self) -> str:
        """The reason in words."""
        return self.value.replace("-", " ")


@dataclass(frozen=True, slots=True)
class Keep:
    """Which image to keep, and why."""

    image_id: str
    reason: Reason


#: For each configured folder: its position in the configuration, from 0, and whether its files are
#: preferred.
FolderOrder = Mapping[str, tuple[int, bool]]


#: Directories in which other programs keep deleted files and thumbnails. By default snoopsync does
#: not mirror them. If they are mirrored, their files are never the ones to keep.
_LEFTOVER_DIRECTORIES = frozenset(
    {
        b".Trash",
        b".trash",
        b".Trashes",
        b".dtrash",
        b"#recycle",
        b".recycle",
        b"$RECYCLE.BIN",
        b"@Recycle",
        b".thumbnails",
        b"@eaDir",
        b".@__thumb",
    }
)


@dataclass(frozen=True, slots=True)
class CandidateFile:
    """An existing file in a configured folder. ``modified_ns``: Unix time in nanoseconds.
    ``folder_order``: the folder's position in the configuration, from 0. ``is_preferred``: whether
    files in this folder are preferred over identical files elsewhere."""

    rel_path: RelPath
    modified_ns: int
    folder_order: int = 0
    is_preferred: bool = False

    @property
    def is_leftover(self) -> bool:
        """Returns whether the file is in a trash or thumbnail directory of another program."""
        directories = self.rel_path.path.split(b"/")[:-1]
        return any(
            each in _LEFTOVER_DIRECTORIES or each.startswith(b".Trash-") for each in directories
        )


@dataclass(frozen=True, slots=True)
class KeepCandidate:
    """One of the two images. ``facts``: what the collection reports about the picture. ``file``:
    ``None`` if no configured folder contains the image; such an image is never the one to keep."""

    image_id: str
    facts: PictureFacts = field(default_factory=lambda: PictureFacts())
    file: CandidateFile | None = None

    @property
    def can_be_kept(self) -> bool:
        """Returns whether the image has a file outside of trash and thumbnail directories."""
        return self.file is not None and not self.file.is_leftover


#: An earlier time means that the clock was never set: it starts in 1970, or in 1980 on FAT.
_FIRST_PLAUSIBLE_NS = int(datetime(1980, 1, 2, tzinfo=UTC).timestamp() * 1e9)

#: Sizes that differ by no more than this count as equal, because programs round differently: a
#: share of the larger number of pixels, or a number of pixels on each side.
_ROUNDING_SHARE = 0.02
_ROUNDING_PIXELS = 2

#: A smaller difference of estimated qualities does not count: programs use different tables.
_QUALITY_STEP = 6

#: Kinds of pairs whose pixels differ by more than a re-save. Their compression does not show which
#: one is the original.
_EDITED, _RECOLOURED, _BORDERED = "edited", "recoloured", "bordered"

#: Returns whether the evidence favours the first of two pictures; ``None`` if it favours neither.
_Rule = Callable[[PictureFacts, PictureFacts], bool | None]


def which_to_keep(
    one: KeepCandidate, other: KeepCandidate, kind: str | None, now_ns: int, *, identical: bool
) -> Keep | None:
    """Which of two similar images to keep; ``None`` if no evidence favours one whose file can be
    kept. ``kind``: how they differ. ``now_ns``: Unix time in nanoseconds. ``identical``: they have
    the same bytes; the result is then ``None`` only if neither file can be kept.

    The order of the two does not matter.
    """
    if identical:
        return keep_of_identical([one, other], now_ns)
    found = _favoured(one.facts, other.facts, kind)
    if found is None:
        return None
    reason, keep_first = found
    chosen = one if keep_first else other
    return Keep(chosen.image_id, reason) if chosen.can_be_kept else None


def _favoured(
    one: PictureFacts, other: PictureFacts, kind: str | None
) -> tuple[Reason, bool] | None:
    """The first reason that applies, and whether it favours the first one."""
    for reason, rule in _rules(kind):
        keep_first = rule(one, other)
        if keep_first is not None:
            return reason, keep_first
    return None


def keep_of_identical(candidates: Sequence[KeepCandidate], now_ns: int) -> Keep | None:
    """Which of several files with the same bytes to keep; ``None`` if none of them exists."""
    possible = [each for each in candidates if each.can_be_kept]
    if len(possible) < 2:
        return Keep(possible[0].image_id, Reason.CONFIGURED_FIRST) if possible else None
    orders = _orders(now_ns)

    def key(candidate: KeepCandidate) -> tuple[Any, ...]:
        assert candidate.file is not None
        return (*(order(candidate.file) for _, order in orders), candidate.image_id)

    best, second = heapq.nsmallest(2, possible, key=key)
    for (reason, _), ours, theirs in zip(orders, key(best), key(second), strict=False):
        if ours != theirs:
            return Keep(best.image_id, reason)
    return Keep(best.image_id, Reason.FIRST_PATH)


@dataclass(frozen=True, slots=True)
class KeepPicture:
    """One picture of a group: its images, which have the same bytes."""

    images: Sequence[KeepCandidate]

    @property
    def facts(self) -> PictureFacts:
        """What the collection reports about the picture."""
        return next((each.facts for each in self.images if each.facts), PictureFacts())

    @property
    def can_be_kept(self) -> bool:
        """Returns whether one of the images can be kept."""
        return any(each.can_be_kept for each in self.images)


#: How two pictures of a group differ, by their positions; ``None`` where they were not compared.
KindOf = Callable[[int, int], str | None]

#: With more pictures of which the evidence favours none, there is no answer.
_MOST_RIVALS = 16


def keep_of_group(pictures: Sequence[KeepPicture], kind_of: KindOf, now_ns: int) -> Keep | None:
    """Which image of a group to keep. ``now_ns``: Unix time.

    The picture to keep is favoured over others by evidence, and no picture is favoured over it.
    A re-encoding that the evidence does not decide on is equal to it, and then there is no answer.
    A picture with a border is not kept if the group has the picture without the border.
    Of several such pictures, the one that is favoured over the most others is kept. Of the images
    of that picture, the rules for identical files choose."""
    if len(pictures) == 1:
        return keep_of_identical(pictures[0].images, now_ns)
    found = _favourite(pictures, kind_of)
    if found is None or not pictures[found[0]].can_be_kept:
        return None
    chosen = keep_of_identical(pictures[found[0]].images, now_ns)
    return None if chosen is None else Keep(chosen.image_id, found[1])


def _favourite(pictures: Sequence[KeepPicture], kind_of: KindOf) -> tuple[int, Reason] | None:
    """The position of the favoured picture, and the reason."""

    def favoured(one: int, other: int) -> tuple[Reason, bool] | None:
        return _favoured(pictures[one].facts, pictures[other].facts, kind_of(one, other))

    def adds_border(one: int, other: int, kind: str | None) -> bool:
        larger = _has_more_pixels(pictures[one].facts, pictures[other].facts)
        return kind == _BORDERED and bool(larger)

    champion = 0
    for at in range(1, len(pictures)):
        found = favoured(at, champion)
        if found is not None and found[1]:
            champion = at
    rivals = [at for at in range(len(pictures)) if at != champion and not favoured(champion, at)]
    best: list[tuple[int, int, Reason]] = []
    for at in [champion, *rivals] if len(rivals) <= _MOST_RIVALS else []:
        reasons = []
        for other in range(len(pictures)):
            if other == at:
                continue
            found, kind = favoured(at, other), kind_of(at, other)
            if found is not None and found[1]:
                reasons.append(found[0])
            elif found or kind in (None, REENCODED) or adds_border(at, other, kind):
                break
        else:
            if reasons:
                best.append((len(reasons), at, reasons[0]))
    best.sort(key=lambda each: (-each[0], each[1]))
    if not best or (len(best) > 1 and best[0][0] == best[1][0]):
        return None
    return best[0][1], best[0][2]


def _rules(kind: str | None) -> Iterator[tuple[Reason, _Rule]]:
    if kind == _BORDERED:
        return  # the larger one may only have a border
    yield Reason.MORE_PIXELS, _has_more_pixels
    yield Reason.CAMERA_METADATA, _has_camera
    if kind == _EDITED:
        return
    if kind != _RECOLOURED:
        yield Reason.LESS_COMPRESSED, _is_less_compressed
    yield Reason.TRUE_COLOUR, _has_true_colour
    if kind != _RECOLOURED:
        yield Reason.LOSSLESS, _is_lossless


def _has_more_pixels(one: PictureFacts, other: PictureFacts) -> bool | None:
    ours, theirs = _sides(one), _sides(other)
    if ours is None or theirs is None:
        return None
    pixels, others = (sides[0] * sides[1] for sides in (ours, theirs))
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    is_rounding = abs(pixels - others) <= _ROUNDING_SHARE * max(pixels, others)
    if is_rounding or max(differences) <= _ROUNDING_PIXELS:
        return None
    return pixels > others


def _sides(facts: PictureFacts) -> tuple[int, int] | None:
    """The shorter and the longer side in pixels, since one of the pictures may be rotated."""
    width, height = facts.get("width"), facts.get("height")
    return None if width is None or height is None else (min(width, height), max(width, height))


def _has_camera(one: PictureFacts, other: PictureFacts) -> bool | None:
    return _differing(one, other, "camera")


def _is_less_compressed(one: PictureFacts, other: PictureFacts) -> bool | None:
    ours, theirs = _evidence(one), _evidence(other)
    quality, others = ours.get("jpeg_quality"), theirs.get("jpeg_quality")
    if quality is None or others is None or abs(quality - others) < _QUALITY_STEP:
        return None
    # A re-save of the other file, or of one like it, has lost at least as much.
    if (ours if quality > others else theirs).get("resaved"):
        return None
    return quality > others


def _is_lossless(one: PictureFacts, other: PictureFacts) -> bool | None:
    keep_first = _differing(one, other, "lossless")
    if keep_first is None:
        return None
    # A file that was made from a JPEG has lost at least as much as the JPEG.
    return None if _evidence(one if keep_first else other).get("resaved") else keep_first


def _has_true_colour(one: PictureFacts, other: PictureFacts) -> bool | None:
    has_palette = _differing(one, other, "palette")
    return None if has_palette is None else not has_palette


def _differing(one: PictureFacts, other: PictureFacts, name: str) -> bool | None:
    """Returns whether the first picture has this property; ``None`` if they do not differ, or if
    the property of one is unknown."""
    ours: Mapping[str, Any] = _evidence(one)
    theirs: Mapping[str, Any] = _evidence(other)
    if name not in ours or name not in theirs or ours[name] == theirs[name]:
        return None
    return bool(ours[name])


def _evidence(facts: PictureFacts) -> PictureEvidence:
    return facts.get("evidence", PictureEvidence())


def _orders(now_ns: int) -> Sequence[tuple[Reason, Callable[[CandidateFile], Any]]]:
    """The orders by which identical files are compared, with their reasons."""

    def age(file: CandidateFile) -> tuple[bool, int]:
        is_plausible = _FIRST_PLAUSIBLE_NS <= file.modified_ns <= now_ns
        return (False, file.modified_ns) if is_plausible else (True, 0)

    return (
        (Reason.PREFERRED_FOLDER, lambda file: not file.is_preferred),
        (Reason.OLDER, age),
        (Reason.CONFIGURED_FIRST, lambda file: file.folder_order),
        (Reason.SHORTER_PATH, lambda file: len(file.rel_path.path)),
        (Reason.FIRST_PATH, lambda file: file.rel_path.path),
    )
