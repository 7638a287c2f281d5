"""How two similar pictures are related: copies, files of one shot, or shots of one series.

The evidence is what the camera wrote into the files, and their names. Two pictures without such
evidence are duplicates.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from snoopsync.core.companions import RAW_SUFFIXES, are_companions, split_suffix
from snoopsync.core.model import RelPath

#: Shots of a burst or a bracket follow one another within so many seconds.
NEIGHBOUR_SECONDS = 10.0

#: Shots of one series are taken within so many seconds, if one of two has a neighbour.
SERIES_SECONDS = 3600.0

#: Programs round an exposure time: a smaller ratio of two is no difference. Brackets differ by a
#: third of a stop or more, which is a ratio of 1.26.
_EXPOSURE_RATIO = 1.12
_EXPOSURE_BIAS = 0.15

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - cameras write no zone


class Relation(StrEnum):
    """How two similar pictures are related."""

    #: Copies, edits and conversions of one picture.
    DUPLICATE = "duplicate"
    #: Files of one shot that belong together, such as RAW and JPEG.
    COMPANION = "companion"
    #: Different shots of one camera, taken within seconds.
    SERIES = "series"


@dataclass(frozen=True, slots=True)
class Distinctions:
    """Which relations the configuration distinguishes from duplicates."""

    companions: bool = True
    series: bool = True

    @property
    def relations(self) -> frozenset[Relation]:
        """The relations that are distinguished."""
        chosen = {Relation.COMPANION: self.companions, Relation.SERIES: self.series}
        return frozenset(relation for relation, is_chosen in chosen.items() if is_chosen)

    def counts_as(self, relation: Relation) -> Relation:
        """What a pair with this relation counts as."""
        return relation if relation in self.relations else Relation.DUPLICATE


@dataclass(frozen=True, slots=True)
class Shot:
    """What a camera wrote about a shot. ``taken_at``: in the camera's time zone, in whole seconds;
    ``fraction``: the decimal digits of the second. A value that the file lacks is empty or
    ``None``."""

    make: str = ""
    model: str = ""
    serial: str = ""
    taken_at: datetime | None = None
    fraction: str = ""
    unique_id: str = ""
    exposure_seconds: float | None = None
    exposure_bias: float | None = None

    @property
    def camera(self) -> str:
        """What two files of one camera have in common; empty if it is unknown."""
        return " ".join((self.model or self.make).casefold().split())

    @property
    def time(self) -> float | None:
        """Seconds, to compare with those of another shot."""
        if self.taken_at is None:
            return None
        fraction = float(f"0.{self.fraction}") if self.fraction else 0.0
        return (self.taken_at - _EPOCH).total_seconds() + fraction


@dataclass(frozen=True, slots=True)
class SimilarPicture:
    """A picture that is compared with similar ones. ``paths``: those of its files. ``shot``: empty
    where the file has no such metadata. ``has_same_pixels``: as the one that it is compared with.
    No camera takes the same pixels twice, whatever times the files have."""

    paths: Sequence[RelPath]
    shot: Shot = Shot()
    has_same_pixels: bool = False


def relations_of(picture: SimilarPicture, found: Sequence[SimilarPicture]) -> list[Relation]:
    """How a picture is related to each of those that a search found. None of these has the same
    bytes. Which of two pictures was searched for matters only for shots that are more than
    ``NEIGHBOUR_SECONDS`` apart, because each search finds other neighbours."""
    times = sorted(
        {
            each.shot.time
            for each in (picture, *found)
            if each.shot.time is not None and _is_one_camera(each.shot, picture.shot)
        }
    )
    return [_relation(picture, other, times) for other in found]


def raw_beside_rendered(one: SimilarPicture, other: SimilarPicture) -> SimilarPicture | None:
    """The RAW file of two pictures; ``None`` if both are RAW files, or neither is."""
    if _is_raw(one) == _is_raw(other):
        return None
    return one if _is_raw(one) else other


def _is_raw(picture: SimilarPicture) -> bool:
    return all(split_suffix(path.name)[1] in RAW_SUFFIXES for path in picture.paths)


def _relation(picture: SimilarPicture, other: SimilarPicture, times: Sequence[float]) -> Relation:
    """``times``: of the shots of this camera that were found together, in order."""
    if _are_companions(picture, other):
        return Relation.COMPANION
    if not other.has_same_pixels and _are_of_one_series(picture.shot, other.shot, times):
        return Relation.SERIES
    return Relation.DUPLICATE


def _are_companions(one: SimilarPicture, other: SimilarPicture) -> bool:
    if _contradict(one.shot, other.shot):
        return False
    is_proven = _is_one_time(one.shot, other.shot)
    return any(
        _belong_together(path, another, is_proven=is_proven)
        for path in one.paths
        for another in other.paths
    )


def _belong_together(path: RelPath, other: RelPath, *, is_proven: bool) -> bool:
    """Whether the names are those of companions. ``is_proven``: the metadata proves that the two
    are of one shot, so a RAW file and its picture may be in any folders."""
    return (is_proven and _are_raw_and_rendered(path, other)) or are_companions(path, other)


def _are_raw_and_rendered(path: RelPath, other: RelPath) -> bool:
    (stem, suffix), (other_stem, other_suffix) = split_suffix(path.name), split_suffix(other.name)
    return stem == other_stem and (suffix in RAW_SUFFIXES) != (other_suffix in RAW_SUFFIXES)


def _are_of_one_series(one: Shot, other: Shot, times: Sequence[float]) -> bool:
    """Whether these are different shots of one camera, taken within seconds of each other, or
    within an hour if one of them has a neighbour within seconds: each picture of a long burst may
    be found by each other one."""
    if not _is_one_camera(one, other) or not _are_different_shots(one, other):
        return False
    assert one.time is not None and other.time is not None
    gap = abs(one.time - other.time)
    if gap <= NEIGHBOUR_SECONDS:
        return True
    has_neighbour = any(_has_neighbour(each, times) for each in (one.time, other.time))
    return has_neighbour and gap <= SERIES_SECONDS


def _has_neighbour(time: float, times: Sequence[float]) -> bool:
    first = bisect_left(times, time - NEIGHBOUR_SECONDS)
    return bisect_right(times, time + NEIGHBOUR_SECONDS) - first > 1  # one of them is its own


def _is_one_camera(one: Shot, other: Shot) -> bool:
    """Whether one camera is known to have taken both."""
    return one.camera != "" and one.camera == other.camera and not _differ(one.serial, other.serial)


def _contradict(one: Shot, other: Shot) -> bool:
    """Whether another camera or another time proves that the two are not of one shot."""
    return (
        _differ(one.camera, other.camera)
        or _differ(one.serial, other.serial)
        or _differ_in_time(one, other)
    )


def _is_one_time(one: Shot, other: Shot) -> bool:
    """Whether one camera is known to have taken both at one time."""
    is_known = one.taken_at is not None and other.taken_at is not None
    return is_known and _is_one_camera(one, other) and not _differ_in_time(one, other)


def _are_different_shots(one: Shot, other: Shot) -> bool:
    """Whether the times are known, and show two shots. The same time is one shot, unless the
    exposure of a bracket differs, or the camera's own number of the picture."""
    if one.taken_at is None or other.taken_at is None:
        return False
    if _differ_in_time(one, other) or _differ_in_exposure(one, other):
        return True
    # Programs that edit a picture may give it a new number, so an exact time counts for more.
    is_exact = bool(one.fraction.strip("0") and other.fraction.strip("0"))
    return not is_exact and _differ(one.unique_id, other.unique_id)


def _differ_in_time(one: Shot, other: Shot) -> bool:
    """Whether both times are known and differ. Programs may cut digits of the fraction."""
    if one.taken_at is None or other.taken_at is None:
        return False
    digits = min(len(one.fraction), len(other.fraction))
    return one.taken_at != other.taken_at or one.fraction[:digits] != other.fraction[:digits]


def _differ_in_exposure(one: Shot, other: Shot) -> bool:
    """Whether both exposures are known and differ."""
    if one.exposure_seconds and other.exposure_seconds:
        ratio = one.exposure_seconds / other.exposure_seconds
        if not 1 / _EXPOSURE_RATIO <= ratio <= _EXPOSURE_RATIO:
            return True
    if one.exposure_bias is None or other.exposure_bias is None:
        return False
    return abs(one.exposure_bias - other.exposure_bias) > _EXPOSURE_BIAS


def _differ(one: str, other: str) -> bool:
    """Whether both are known and differ."""
    return bool(one and other and one != other)
