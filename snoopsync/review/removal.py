"""Moves marked files and their companions to the trash, puts them back, and lists them for
programs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snoopsync.core.errors import PictureRefused
from snoopsync.core.model import RelPath, printable
from snoopsync.folders.companions import CompanionFinder
from snoopsync.review import trash
from snoopsync.review.companions import PlannedCompanion, path_of, proven_companion
from snoopsync.review.marked import MarkedFile, MarkedFiles, companions_of, paths_of
from snoopsync.review.marks import Action, Mark, Marks
from snoopsync.review.pictures import KnownPicture
from snoopsync.review.script import Move, path_list, shell_script
from snoopsync.review.source import IMAGES_PER_REQUEST, Source
from snoopsync.review.trash import Trashed

#: The kind of the action that is undone by putting files back.
TRASH = "trash"

#: How long the names of a directory are taken for those on the disk, in seconds.
_FRESH_SECONDS = 10.0

_NO_FILE = "the file is gone"
_NO_KEEP = "the file to keep is gone or has changed"


@dataclass(slots=True)
class _Moved:
    """What was moved: the images of the marked files, all bytes, and how many companions.
    ``refused`` are marked files, and ``stayed`` companions of moved ones, each with the reason."""

    action: int
    images: list[str] = field(default_factory=list)
    size_bytes: int = 0
    companions: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)
    stayed: dict[RelPath, dict[str, str]] = field(default_factory=dict)

    def as_message(self) -> dict[str, Any]:
        return {
            "moved": len(self.images),
            "bytes": self.size_bytes,
            "companions": self.companions,
            "refused": self.refused,
            "stayed": list(self.stayed.values()),
            "undo": self.action if self.images else None,
        }


class Removal:
    """What can be done with the marked files. For any thread. ``home``: the trash in the home
    directory of the user, if there is one. ``new_finder`` makes a finder of companions."""

    def __init__(
        self,
        source: Source,
        marks: Marks,
        marked: MarkedFiles,
        home: Path | None,
        new_finder: Callable[[], CompanionFinder],
    ) -> None:
        self._source = source
        self._marks = marks
        self._marked = marked
        self._home = home
        self._new_finder = new_finder

    def move_to_trash(self, image_ids: list[str] | None) -> dict[str, Any]:
        """Move these marked files to the trash, or all of them, each together with its companions.
        Returns how many were moved, their bytes, and the others with the reason."""
        with self._marks.one_decision():
            return self._move_all(image_ids)

    def _move_all(self, image_ids: list[str] | None) -> dict[str, Any]:
        moved = _Moved(self._marks.add_action(TRASH, {}))
        paths = paths_of(self._marked.files())
        finder, read_at = self._new_finder(), time.monotonic()
        try:
            for file in self._marked.files(image_ids):
                if time.monotonic() - read_at > _FRESH_SECONDS:
                    finder, read_at = self._new_finder(), time.monotonic()
                companions = companions_of(file, finder, paths)
                for gone in self._move_with(file, companions, moved):
                    finder.note_moved(gone)
        finally:
            with self._marks.transaction():
                self._marks.remove_marks(moved.images)
                if not moved.images:
                    self._marks.remove_action(moved.action)
        return moved.as_message()

    def _move_with(
        self, file: MarkedFile, companions: Sequence[PlannedCompanion], moved: _Moved
    ) -> list[RelPath]:
        """Move a marked file, and then its companions that go with it. Returns their paths."""
        mark, path = file.mark, path_of(file.image)
        try:
            pictures = self._source.pictures([mark.image_id, mark.keep_id])
            picture = _unchanged(pictures.get(mark.image_id), mark.content, _NO_FILE)
            keep = _unchanged(pictures.get(mark.keep_id), mark.keep_content, _NO_KEEP)
            self._move(picture, keep, mark, moved.action)
        except PictureRefused as refusal:
            name = f"{file.image['folder']}/{file.image['path']}"
            moved.refused.append(_refused(mark, name, refusal))
            return []
        moved.images.append(mark.image_id)
        if path is not None:
            moved.stayed.pop(path, None)
        moved.size_bytes += file.image["size_bytes"] or 0
        # At once: the service judges the deletion a few seconds after the move.
        self._approve("approve_moved", mark)
        gone = [] if path is None else [path]
        for planned in companions:
            path = planned.companion.rel_path
            try:
                moved.size_bytes += self._move_companion(
                    planned, picture, keep, gone, mark, moved.action
                )
            except PictureRefused as refusal:
                moved.stayed[path] = _refused(mark, path.full_text, refusal)
            else:
                moved.companions += 1
                moved.stayed.pop(path, None)
                gone.append(path)
        return gone

    def _move_companion(
        self,
        planned: PlannedCompanion,
        picture: KnownPicture,
        keep: KnownPicture,
        gone: Sequence[RelPath],
        mark: Mark,
        action: int,
    ) -> int:
        """Move a companion of a picture that was moved. ``gone``: the picture and its companions
        that were moved. Returns its bytes. Raises ``PictureRefused`` if it stays."""
        image_id = self._image_of(planned)
        companion, remaining = proven_companion(planned, picture, keep, gone)
        content = (companion.sha256 or b"").hex()
        own = replace(mark, image_id=image_id, content=content)
        self._move(companion, remaining, own, action, is_companion=True)
        self._approve("approve_moved", own)
        return companion.fingerprint.size

    def _image_of(self, planned: PlannedCompanion) -> str:
        """The ID of the image that a companion is, empty if it is none. Raises ``PictureRefused``
        if the companion stays."""
        if planned.stays is not None:
            raise PictureRefused(planned.stays)
        image_id = self._source.image_at(planned.companion.rel_path) or ""
        if image_id:
            request = {"command": "images", "ids": [image_id], "dismissed_since": 0.0}
            image = self._source.ask(request)["images"].get(image_id)
            if image is not None and image["dismissed_at"] is not None:
                raise PictureRefused("you decided that it is not a duplicate")
        return image_id

    def _move(
        self,
        file: KnownPicture,
        remaining: KnownPicture,
        mark: Mark,
        action: int,
        *,
        is_companion: bool = False,
    ) -> None:
        """Move one file while the other one remains. Raises ``PictureRefused``."""
        stored: list[int] = []

        def store(trashed: Trashed) -> None:
            # Before the move, so that the file can be put back even if the page is killed.
            text = trash.dump(trashed)
            stored.append(self._marks.add_move(action, mark, text, is_companion=is_companion))

        try:
            trash.move_to_trash(file, remaining, self._home, time.time(), store)
        except PictureRefused:
            for number in stored:
                self._marks.remove_move(number)
            raise

    def _approve(self, command: str, mark: Mark) -> None:
        """Approve the deletion of an image whose file is in the trash, or withdraw that. A file
        that is no image needs no approval."""
        if mark.image_id:
            self._source.ask({"command": command, "members": [[mark.image_id, mark.content]]})

    def put_back(self, action: Action) -> dict[str, Any]:
        """Undo a move to the trash. The files that can't be put back stay in the trash. If the
        state can't be used any more, the rest can be undone later."""
        groups: set[int] = set()
        refused: list[dict[str, str]] = []
        for move in self._marks.moves(action.number):
            mark, trashed = move.mark, trash.load(move.trashed)
            # Before the file is back: an approval must not outlive its reason.
            self._approve("withdraw_moved", mark)
            try:
                trash.put_back(trashed)
            except PictureRefused as refusal:
                self._approve("approve_moved", mark)
                refused.append(_refused(mark, os.fsdecode(trashed.picture.path), refusal))
                self._marks.remove_move(move.number)
                continue
            groups.add(mark.group_id)
            with self._marks.transaction():
                if not move.is_companion:
                    self._marks.add_marks([mark])
                    self._marks.note_back(mark.image_id)
                self._marks.remove_move(move.number)
        self._marks.remove_action(action.number)
        return {"undone": TRASH, "groups": list(map(str, sorted(groups))), "refused": refused}

    def paths(self, *, null: bool) -> tuple[bytes, int]:
        """The absolute paths of the marked files and of the companions that go with them, one per
        line, or with ``null`` each with a NUL after it. Also how many are left out, because their
        names contain a newline."""
        paths = (each.marked for move in self._moves() for each in (move, *move.companions))
        text, left_out = path_list(paths, null=null)
        return text, len(left_out)

    def script(self, into: bytes) -> bytes:
        """A shell script that moves the marked files, and their companions that go with them, into
        a folder, which has an absolute path."""
        return shell_script(self._moves(), into)

    def _moves(self) -> Iterator[Move]:
        """The marked files whose kept pictures are known. The companions are read now."""
        files = self._marked.files()
        ids = {each.mark.image_id for each in files} | {each.mark.keep_id for each in files}
        pictures = self._pictures(sorted(ids))
        finder, paths = self._new_finder(), paths_of(files)
        for file in files:
            mark = file.mark
            picture, keep = pictures.get(mark.image_id), pictures.get(mark.keep_id)
            if picture is None or keep is None:
                continue
            contents = bytes.fromhex(mark.content), bytes.fromhex(mark.keep_content)
            planned = companions_of(file, finder, paths)
            path = path_of(file.image)
            gone = [] if path is None else [path]
            companions, stay = self._companion_moves(planned, picture, keep, gone)
            yield Move(_path(picture), contents[0], _path(keep), contents[1], companions, stay)

    def _companion_moves(
        self,
        companions: Iterable[PlannedCompanion],
        picture: KnownPicture,
        keep: KnownPicture,
        gone: list[RelPath],
    ) -> tuple[tuple[Move, ...], tuple[str, ...]]:
        """The companions that go with a picture, which are added to ``gone``, and a sentence for
        each one that stays."""
        moves, stay = [], []
        for planned in companions:
            try:
                self._image_of(planned)
                companion, remaining = proven_companion(planned, picture, keep, gone)
            except PictureRefused as refusal:
                stay.append(f"{planned.companion.rel_path} stays: {refusal}")
            else:
                contents = companion.sha256 or b"", remaining.sha256 or b""
                moves.append(Move(_path(companion), contents[0], _path(remaining), contents[1]))
                gone.append(planned.companion.rel_path)
        return tuple(moves), tuple(stay)

    def _pictures(self, image_ids: Sequence[str]) -> dict[str, KnownPicture]:
        found: dict[str, KnownPicture] = {}
        for start in range(0, len(image_ids), IMAGES_PER_REQUEST):
            found |= self._source.pictures(list(image_ids[start : start + IMAGES_PER_REQUEST]))
        return found


def _unchanged(picture: KnownPicture | None, content: str, reason: str) -> KnownPicture:
    """The picture, if it still has the bytes that the person saw. Raises ``PictureRefused``."""
    if picture is None or picture.sha256 is None or picture.sha256.hex() != content:
        raise PictureRefused(reason)
    return picture


def _refused(mark: Mark, path: str, refusal: PictureRefused) -> dict[str, str]:
    return {"image_id": mark.image_id, "path": printable(path), "reason": str(refusal)}


def _path(picture: KnownPicture) -> bytes:
    return picture.root.rstrip(b"/") + b"/" + picture.path
