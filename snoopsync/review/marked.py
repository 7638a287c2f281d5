"""The list of marked files.

A mark ends when its file is gone or has other bytes, but not while its image is unknown because the
file was just put back from the trash. All marks of a group end when a later dismissal names one of
their images: the person may have made it on the command line.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from snoopsync.folders.companions import CompanionFinder
from snoopsync.review.companions import (
    MarkedPaths,
    PlannedCompanion,
    path_of,
    planned_companions,
    planned_view,
)
from snoopsync.review.marks import Mark, Marks
from snoopsync.review.presence import Presence
from snoopsync.review.source import IMAGES_PER_REQUEST, Source
from snoopsync.review.view import image_view, printable_json

_PAGE = 100


@dataclass(frozen=True, slots=True)
class MarkedFile:
    """A marked file as it is now. ``image`` and ``keep`` are from ``status.review_json``; ``keep``
    is ``None`` if the image to keep is not known any more."""

    mark: Mark
    image: dict[str, Any]
    keep: dict[str, Any] | None


class MarkedFiles:
    """The marked files. For any thread."""

    def __init__(
        self,
        source: Source,
        marks: Marks,
        presence: Presence,
        new_finder: Callable[[], CompanionFinder],
    ) -> None:
        self._source = source
        self._presence = presence
        self._new_finder = new_finder
        self._marks = marks
        self._lock = threading.Lock()
        self._version = ("", "", "")
        self._files: list[MarkedFile] = []

    def files(self, image_ids: list[str] | None = None) -> list[MarkedFile]:
        """The marked files in the order of groups, or those of these images."""
        with self._lock:
            # The versions from before the reading: what changes meanwhile is read the next time.
            version = (self._state_version(), self._presence.version(), self._marks.version)
            if version != self._version:
                self._files, self._version = self._read(), version
            files = self._files
        if image_ids is None:
            return files
        wanted = set(image_ids)
        return [each for each in files if each.mark.image_id in wanted]

    def page(self, after: str | None) -> dict[str, Any]:
        """One page of the list, and the totals."""
        files = self.files()
        start = 0
        if after is not None:
            at = [each.mark.image_id for each in files]
            start = at.index(after) + 1 if after in at else 0
        page = files[start : start + _PAGE]
        is_last = start + _PAGE >= len(files)
        finder, paths = self._new_finder(), paths_of(files)
        return {
            "files": [_view(each, companions_of(each, finder, paths)) for each in page],
            "next": None if is_last else page[-1].mark.image_id,
            **totals(files),
        }

    def _state_version(self) -> str:
        return str(self._source.ask({"command": "state_version"})["version"])

    def _read(self) -> list[MarkedFile]:
        marks = self._marks.marks()
        oldest = min((each.at for each in marks), default=0.0)
        images: dict[str, dict[str, Any]] = {}
        ids = sorted({each.image_id for each in marks} | {each.keep_id for each in marks})
        for start in range(0, len(ids), IMAGES_PER_REQUEST):
            request = {"ids": ids[start : start + IMAGES_PER_REQUEST], "dismissed_since": oldest}
            images |= self._source.ask({"command": "images", **request})["images"]
        has_file = [each for each, image in images.items() if image["has_file"]]
        gone = self._presence.gone(has_file)
        dismissed = {each.group_id for each in marks if _is_dismissed(each, images)}
        returning = self._marks.returning()
        files: list[MarkedFile] = []
        ended: list[Mark] = []
        for mark in marks:
            image, keep = images.get(mark.image_id), images.get(mark.keep_id)
            if mark.group_id in dismissed:
                continue
            if image is None or image["content"] != mark.content:
                # Without a content, the image is being sent.
                is_coming = image is None or not image["content"]
                if not (is_coming and mark.image_id in returning):
                    ended.append(mark)
            elif image["has_file"] and mark.image_id not in gone:
                # Otherwise its folder is missing, its deletion is pending, or nobody noticed yet.
                files.append(MarkedFile(mark, image, keep))
        known = returning.intersection(each.mark.image_id for each in files)
        if known:
            self._marks.note_known(known)
        if dismissed or ended:
            with self._marks.transaction():
                self._marks.take_back(dismissed)
                self._marks.end(ended)
        return files


def _is_dismissed(mark: Mark, images: dict[str, dict[str, Any]]) -> bool:
    """Returns whether a dismissal since the mark was made names the marked image, or the one to
    keep."""
    both = (images.get(mark.image_id), images.get(mark.keep_id))
    times = (each["dismissed_at"] for each in both if each is not None)
    return any(at is not None and at >= mark.at for at in times)


def paths_of(files: Sequence[MarkedFile]) -> MarkedPaths:
    """The paths of these marked files and of those that are kept instead."""
    marked = (path_of(each.image) for each in files)
    kept = (path_of(each.keep) for each in files)
    return MarkedPaths(
        frozenset(each for each in marked if each), frozenset(each for each in kept if each)
    )


def companions_of(
    file: MarkedFile, finder: CompanionFinder, paths: MarkedPaths
) -> list[PlannedCompanion]:
    """The companions of a marked file, each with whether it goes together with the file. ``paths``
    are those of all marked files."""
    return planned_companions(finder, path_of(file.image), path_of(file.keep), paths)


def totals(files: list[MarkedFile]) -> dict[str, int]:
    """How many files, and their bytes."""
    return {
        "count": len(files),
        "bytes": sum(each.image["size_bytes"] or 0 for each in files),
    }


def _view(file: MarkedFile, companions: Sequence[PlannedCompanion]) -> dict[str, Any]:
    view = image_view(file.image, {file.mark.image_id})
    keep = file.keep
    path = None if keep is None or keep["path"] is None else f"{keep['folder']}/{keep['path']}"
    return {
        **view,
        "group": str(file.mark.group_id),
        "keep": {"image_id": file.mark.keep_id, "path": printable_json(path)},
        "companions": [planned_view(each) for each in companions],
    }
