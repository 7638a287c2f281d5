"""The pictures whose IDs are certain, and must never be lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.collection_server import Seen


@dataclass(slots=True)
class Known:
    """A picture that has been on the disk, unchanged, since everything was in order. ``is_twin``:
    others have, or had, the same bytes."""

    image_id: str
    sha256: str
    is_twin: bool = False
    was_moved: bool = False


class Ledger:
    """The pictures whose images are beyond doubt. People say what they are about to do *before*
    they do it, so whatever is still here when a request arrives is on the disk at that moment, and
    was all the time.

    A folder that is away, or a disk that is mounted over a directory, changes nothing here: a file
    that can't be seen is not gone. A picture that was moved is only certain while every place is in
    sight, for one that was moved out of sight is, as far as anyone can see, gone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, Known] = {}
        self._moves_are_doubtful = False
        self._state_was_lost = False

    def __len__(self) -> int:
        return len(self._known)

    def begin(self, known: dict[Path, Known]) -> None:
        """Everything is in sync, in this state."""
        with self._lock:
            self._known = known
            self._moves_are_doubtful = self._state_was_lost = False

    def touch(self, *paths: Path) -> None:
        """What is at these paths, or below, is about to change, or to go."""
        with self._lock:
            for path in paths:
                for rel_path in self._at(path):
                    del self._known[rel_path]

    def move(self, source: Path, target: Path) -> None:
        """A file or a directory is about to get a path that nothing ever had."""
        with self._lock:
            for rel_path in self._at(source):
                known = self._known.pop(rel_path)
                if not known.is_twin and not self._moves_are_doubtful:
                    known.was_moved = True
                    self._known[target / rel_path.relative_to(source)] = known

    def copy(self, source: Path) -> None:
        """There is about to be another file with the same bytes."""
        with self._lock:
            for rel_path in self._at(source):
                self._known[rel_path].is_twin = True
                if self._known[rel_path].was_moved or self._state_was_lost:
                    del self._known[rel_path]

    def hide(self) -> None:
        """Something is about to be hidden."""
        with self._lock:
            self._moves_are_doubtful = True
            self._drop(lambda known: known.was_moved)

    def lose_state(self) -> None:
        """What is not in the collection under its own bytes alone can be taken for its twin, and
        what is moved while the files are found again there may be missed."""
        with self._lock:
            self._state_was_lost = self._moves_are_doubtful = True
            self._drop(lambda known: known.is_twin)

    def expected(self) -> dict[Path, str]:
        """The image IDs that are certain."""
        with self._lock:
            return {rel_path: known.image_id for rel_path, known in self._known.items()}

    def judge(self, seen: Seen) -> str | None:
        """What is wrong with this request, if anything is for certain."""
        with self._lock:
            for rel_path, known in self._known.items():
                if wrong := self._judge(seen, known):
                    moved = ", which was moved" if known.was_moved else ""
                    return f"{wrong}: {rel_path} ({known.image_id}) is there{moved}"
        return None

    def _judge(self, seen: Seen, known: Known) -> str | None:
        is_upload = seen.method in ("POST", "PUT")
        if seen.image_id == known.image_id:
            if seen.method == "DELETE":
                return "DELETE of a picture that was there all the time"
            if is_upload and seen.sha256 != known.sha256:
                return f"{seen.method} of other bytes for a picture that did not change"
            if is_upload and not self._state_was_lost:
                return f"{seen.method} of what the collection had confirmed"
        elif is_upload and seen.sha256 == known.sha256 and not known.is_twin:
            return f"a second image, {seen.image_id}, for a picture that has one"
        return None

    def _at(self, path: Path) -> list[Path]:
        return [
            rel_path for rel_path in self._known if rel_path == path or path in rel_path.parents
        ]

    def _drop(self, which: Callable[[Known], bool]) -> None:
        self._known = {
            rel_path: known for rel_path, known in self._known.items() if not which(known)
        }
