"""The files that can be removed, proven by their bytes: ``duplicates --surplus``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from snoopsync.config.settings import Config
from snoopsync.core.companions import are_companions
from snoopsync.core.errors import FileChanged
from snoopsync.core.keep import IDENTICAL, REENCODED
from snoopsync.core.shots import Relation
from snoopsync.folders.configured import folder_of
from snoopsync.folders.stable_file import StableFile
from snoopsync.state.decisions import Decisions, Member
from snoopsync.state.groups import Group, GroupImage
from snoopsync.state.sides import Side

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Proof:
    """What a file was when it was read: its SHA-256, and its device and inode."""

    path: bytes
    sha256: bytes
    file: tuple[int, int]


def surplus_files(
    config: Config, decisions: Decisions, group: Group, *, with_reencoded: bool
) -> Iterator[bytes]:
    """The paths of the files of a group that have the same bytes as the one to keep, or, with
    ``with_reencoded``, are re-encodings of it. Neither companions nor shots of a series are listed.

    Before each path, both files are read again. They must have the stored SHA-256, and must not be
    one file under two names."""
    if group.keep is None or group.series or not group.is_open:
        return
    kept = group.images[0].side
    contents, ids = decisions.dismissed_with(Member(kept.image_id, kept.content))
    removed: set[tuple[int, int]] = set()
    for image in group.images[1:]:
        side = image.side
        if side.content in contents or side.image_id in ids:
            continue
        if not _is_surplus(image, kept, with_reencoded=with_reencoded):
            continue
        if config.duplicates.companions and _have_companion_names(image, kept):
            continue
        proof = _prove(config, side)
        keep_proof = _prove(config, kept)
        if keep_proof is None:
            return
        if proof is not None and proof.file != keep_proof.file and proof.file not in removed:
            removed.add(proof.file)
            yield proof.path


def _is_surplus(image: GroupImage, kept: Side, *, with_reencoded: bool) -> bool:
    side = image.side
    if side.rel_path is None or side.is_missing or image.likeness is None:
        return False
    if image.likeness.kind == IDENTICAL:
        return side.content == kept.content
    is_duplicate = image.likeness.relation is Relation.DUPLICATE
    return with_reencoded and is_duplicate and image.likeness.kind == REENCODED


def _have_companion_names(image: GroupImage, kept: Side) -> bool:
    """Whether the names say that a re-encoding is a companion of the one to keep: where no search
    compared the two, their metadata was not compared either."""
    path, kept_path = image.side.rel_path, kept.rel_path
    if path is None or kept_path is None or image.side.content == kept.content:
        return False
    return are_companions(path, kept_path)


def _prove(config: Config, side: Side) -> _Proof | None:
    """Read the file of an image; ``None`` if it can't be read or has other bytes than stored."""
    assert side.rel_path is not None
    found = [each for each in config.folders if each.name == side.rel_path.folder]
    if not found:
        return None
    folder = folder_of(found[0])
    try:
        with StableFile(folder.disk, folder.path, side.rel_path.path) as file:
            while file.read(_BLOCK_BYTES):
                pass
            sha256 = file.sha256
        with folder.disk.open_folder(folder.path) as root:
            stat = folder.disk.lstat(root, side.rel_path.path)
    except (OSError, FileChanged):
        return None
    if sha256 is None or sha256 != side.content or stat.st_ino != file.fingerprint.inode:
        return None
    path = os.fsencode(found[0].path) + b"/" + side.rel_path.path
    return _Proof(path, sha256, (stat.st_dev, stat.st_ino))
