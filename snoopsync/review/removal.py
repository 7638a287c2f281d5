"""Moves marked files to the trash, puts them back, and lists them for programs."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snoopsync.core.errors import PictureRefused
from snoopsync.core.model import printable
from snoopsync.review import trash
from snoopsync.review.marked import MarkedFiles
from snoopsync.review.marks import Action, Mark, Marks
from snoopsync.review.pictures import KnownPicture
from snoopsync.review.script import Move, path_list, shell_script
from snoopsync.review.source import IMAGES_PER_REQUEST, Source
from snoopsync.review.trash import Trashed

#: The kind of the action that is undone by putting files back.
TRASH = "trash"

_NO_FILE = "the file is gone"
_NO_KEEP = "the file to keep is gone or has changed"


class Removal:
    """What can be done with the marked files. For any thread. ``home``: the trash in the home
    directory of the user, if there is one."""

    def __init__(
        self, source: Source, marks: Marks, marked: MarkedFiles, home: Path | None
    ) -> None:
        self._source = source
        self._marks = marks
        self._marked = marked
        self._home = home

    def move_to_trash(self, image_ids: list[str] | None) -> dict[str, Any]:
        """Move these marked files to the trash, or all of them. Returns how many were moved, their
        bytes, and the others with the reason."""
        with self._marks.one_decision():
            return self._move_all(image_ids)

    def _move_all(self, image_ids: list[str] | None) -> dict[str, Any]:
        moved: list[str] = []
        refused, size_bytes = [], 0
        action = self._marks.add_action(TRASH, {})
        try:
            for file in self._marked.files(image_ids):
                try:
                    self._move(file.mark, action)
                except PictureRefused as refusal:
                    path = f"{file.image['folder']}/{file.image['path']}"
                    refused.append(_refused(file.mark, path, refusal))
                    continue
                moved.append(file.mark.image_id)
                size_bytes += file.image["size_bytes"] or 0
                # At once: the service judges the deletion a few seconds after the move.
                self._approve("approve_moved", file.mark)
        finally:
            with self._marks.transaction():
                self._marks.remove_marks(moved)
                if not moved:
                    self._marks.remove_action(action)
        undo = action if moved else None
        return {"moved": len(moved), "bytes": size_bytes, "refused": refused, "undo": undo}

    def _move(self, mark: Mark, action: int) -> None:
        pictures = self._source.pictures([mark.image_id, mark.keep_id])
        picture = _unchanged(pictures.get(mark.image_id), mark.content, _NO_FILE)
        keep = _unchanged(pictures.get(mark.keep_id), mark.keep_content, _NO_KEEP)
        stored: list[int] = []

        def store(trashed: Trashed) -> None:
            # Before the move, so that the file can be put back even if the page is killed.
            stored.append(self._marks.add_move(action, mark, trash.dump(trashed)))

        try:
            trash.move_to_trash(picture, keep, self._home, time.time(), store)
        except PictureRefused:
            for number in stored:
                self._marks.remove_move(number)
            raise

    def _approve(self, command: str, mark: Mark) -> None:
        """Approve the deletion of an image whose file is in the trash, or withdraw that."""
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
                self._marks.add_marks([mark])
                self._marks.note_back(mark.image_id)
                self._marks.remove_move(move.number)
        self._marks.remove_action(action.number)
        return {"undone": TRASH, "groups": list(map(str, sorted(groups))), "refused": refused}

    def paths(self, *, null: bool) -> tuple[bytes, int]:
        """The absolute paths of the marked files, one per line, or with ``null`` each with a NUL
        after it. Also how many are left out, because their names contain a newline."""
        pictures = self._pictures([each.mark.image_id for each in self._marked.files()])
        text, left_out = path_list(map(_path, pictures.values()), null=null)
        return text, len(left_out)

    def script(self, into: bytes) -> bytes:
        """A shell script that moves the marked files into a folder, which has an absolute path."""
        files = self._marked.files()
        ids = {each.mark.image_id for each in files} | {each.mark.keep_id for each in files}
        pictures = self._pictures(sorted(ids))
        moves = []
        for file in files:
            mark = file.mark
            picture, keep = pictures.get(mark.image_id), pictures.get(mark.keep_id)
            if picture is not None and keep is not None:
                contents = bytes.fromhex(mark.content), bytes.fromhex(mark.keep_content)
                moves.append(Move(_path(picture), contents[0], _path(keep), contents[1]))
        return shell_script(moves, into)

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
