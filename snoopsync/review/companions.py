"""Which companions of a marked picture go together with it, and why the others stay.

Nothing is lost: a sidecar goes only after every file that it belongs to, and any other companion
only if the picture that is kept has the same one with the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snoopsync.core.companions import CompanionRole
from snoopsync.core.errors import PictureRefused
from snoopsync.core.model import Fingerprint, RelPath, printable
from snoopsync.folders.companions import Companion, CompanionFinder
from snoopsync.review.pictures import KnownPicture, open_file, open_folder

#: Why a companion that is marked does not go as a companion.
MARKED = "it is marked itself"

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PlannedCompanion:
    """A companion of a marked picture. ``stays`` is why it stays, ``None`` if it goes. ``twins``
    are companions of the kept picture, of which one must have the same bytes. A sidecar that goes
    has none, but ``owners``: the files that it belongs to, which must have gone before."""

    companion: Companion
    stays: str | None = None
    twins: tuple[RelPath, ...] = ()
    owners: tuple[RelPath, ...] = ()

    @property
    def path(self) -> bytes:
        """The path below the folder of the marked picture."""
        return self.companion.rel_path.path


@dataclass(frozen=True, slots=True)
class MarkedPaths:
    """The paths of all marked files, and of all files that are kept instead."""

    marked: frozenset[RelPath]
    kept: frozenset[RelPath]


def path_of(image: Mapping[str, Any] | None) -> RelPath | None:
    """Where the file of an image is; ``None`` without a file. ``image`` is from
    ``status.review_json``."""
    if image is None or not image["has_file"] or image["path"] is None:
        return None
    return RelPath(image["folder"], os.fsencode(image["path"]))


def planned_companions(
    finder: CompanionFinder, picture: RelPath | None, keep: RelPath | None, paths: MarkedPaths
) -> list[PlannedCompanion]:
    """The companions of a marked picture, sidecars last: a sidecar of two files goes if both go.
    None if one of the two has no file."""
    if picture is None or keep is None:
        return []
    kept_companions = finder.companions(keep)
    going, planned = {picture}, []
    companions = finder.companions(picture)
    for companion in sorted(companions, key=lambda each: each.role is CompanionRole.SIDECAR):
        owners = finder.owners(companion.rel_path)
        stays = _why_it_stays(companion, owners, going, paths)
        twins: tuple[RelPath, ...] = ()
        if stays is None and companion.role is not CompanionRole.SIDECAR:
            twins = tuple(
                each.rel_path
                for each in kept_companions
                if each.role is companion.role and each.rel_path != companion.rel_path
            )
            if not twins:
                stays = "the picture that you keep has no file like it"
        if stays is None:
            going.add(companion.rel_path)
        planned.append(PlannedCompanion(companion, stays, twins, () if twins else tuple(owners)))
    return planned


def _why_it_stays(
    companion: Companion, owners: Sequence[RelPath], going: set[RelPath], paths: MarkedPaths
) -> str | None:
    """Why a companion stays because of other pictures; ``None`` if no other one needs it."""
    if companion.rel_path in paths.kept:
        return "you keep it"
    if companion.rel_path in paths.marked:
        return MARKED
    if not going.intersection(owners):
        return "its directory cannot be read"
    others = [each for each in owners if each not in going]
    if not others:
        return None
    stays = [each for each in others if each not in paths.marked]
    if stays:
        return _belongs_to(stays[0])
    return f"{_belongs_to(others[0])}, which is marked too"


def _belongs_to(owner: RelPath) -> str:
    return f"it also belongs to {printable(owner.name)}"


def proven_companion(
    planned: PlannedCompanion,
    picture: KnownPicture,
    keep: KnownPicture,
    gone: Collection[RelPath],
) -> tuple[KnownPicture, KnownPicture]:
    """A companion that goes and the file that has to remain, as both are now: the companion of the
    kept picture with the same bytes, or for a sidecar the kept picture itself. ``picture`` and
    ``keep`` are the marked picture and the kept one, ``gone`` are the marked picture and its
    companions that go. Raises ``PictureRefused`` if the companion stays, because no companion of
    the kept picture has the same bytes, or because a file that the sidecar belongs to stays."""
    if not planned.twins:
        for owner in planned.owners:
            if owner not in gone:
                raise PictureRefused(_belongs_to(owner))
        return _read(picture, planned.path), keep
    size = _size(picture, planned.path)
    alike = [twin for twin in planned.twins if _size_or_none(keep, twin.path) == size]
    if alike:
        companion = _read(picture, planned.path)
        for twin in alike:
            other = _read(keep, twin.path)
            if other.sha256 == companion.sha256:
                return companion, other
    raise PictureRefused("the one of the picture that you keep has other bytes")


def _size(picture: KnownPicture, path: bytes) -> int:
    with open_folder(picture) as root, open_file(root, path) as file:
        return os.fstat(file.fileno()).st_size


def _size_or_none(picture: KnownPicture, path: bytes) -> int | None:
    try:
        return _size(picture, path)
    except PictureRefused:
        return None


def _read(picture: KnownPicture, path: bytes) -> KnownPicture:
    """The file at this path below the picture's folder, with the SHA-256 of its bytes."""
    with open_folder(picture) as root, open_file(root, path) as file:
        fingerprint = Fingerprint.of(os.fstat(file.fileno()))
        digest, left = hashlib.sha256(), fingerprint.size
        try:
            while left and (block := file.read(min(left, _BLOCK_BYTES))):
                digest.update(block)
                left -= len(block)
        except OSError as error:
            raise PictureRefused(f"the file cannot be read: {error.strerror}") from None
    return replace(picture, image_id="", path=path, fingerprint=fingerprint, sha256=digest.digest())


def companion_views(
    image: Mapping[str, Any], finder: CompanionFinder | None
) -> list[dict[str, Any]]:
    """The companions of an image for the page; none without a finder."""
    path = path_of(image)
    return [] if path is None or finder is None else list(map(_view, finder.companions(path)))


def planned_view(planned: PlannedCompanion) -> dict[str, Any]:
    """A companion of a marked picture for the page."""
    return {
        **_view(planned.companion),
        "stays": planned.stays,
        "is_marked": planned.stays == MARKED,
        "must_match": bool(planned.twins),
    }


def _view(companion: Companion) -> dict[str, Any]:
    return {
        "name": printable(companion.rel_path.name),
        "path": printable(companion.rel_path.full_text),
        "role": companion.role.value,
    }
