"""What the collection answered to files of each format, and when a refused format is tried again.

A format is the suffix of a kind of picture in lower case, such as ``.cr3``. The answers are kept as
one fact, because there are few formats. Images of a refused format wait with the same error and the
same time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from snoopsync.core.left_out import suffix_of
from snoopsync.core.model import RelPath
from snoopsync.core.selection import SUPPORTED_SUFFIXES, UNSUPPORTED_SUFFIXES
from snoopsync.state.database import Database

#: A format is refused as a whole after this many of its files were refused, and none was accepted.
#: Fewer may be damaged.
FILES_OF_A_FORMAT = 3

#: When an image of a format may be sent, if the format is tried again at ``?2``. Images that were
#: sent more often than others wait milliseconds longer, so that another file is tried each time:
#: the first one may be damaged.
_TURN = "?2 + attempts % 1000 * 0.001"

_FACT = "formats"

_SUFFIXES = UNSUPPORTED_SUFFIXES.union(SUPPORTED_SUFFIXES)


@dataclass(frozen=True, slots=True)
class FormatAnswers:
    """The answers to files of a format. ``refused``: the IDs of the first images that were refused;
    none after one was ``accepted``. ``reason``: why the format is refused. ``attempts``: how
    often the refused format was tried again. ``retry_at``: when it is tried again (schedule time);
    ``None`` if the format is not refused as a whole."""

    accepted: bool = False
    refused: tuple[str, ...] = ()
    reason: str = ""
    attempts: int = 0
    retry_at: float | None = None


@dataclass(frozen=True, slots=True)
class RefusedFormat:
    """A format that the collection refuses. ``waiting``: the number of its images, by folder."""

    suffix: str
    reason: str
    waiting: Mapping[str, int]


def format_of(rel_path: RelPath) -> str:
    """The format of the file at this path; empty if its suffix is not that of a picture."""
    suffix = suffix_of(rel_path.name)
    return suffix if suffix.encode() in _SUFFIXES else ""


def error_of_format(suffix: str, reason: str) -> str:
    """The error of images that wait because the collection refuses their format."""
    return f"the collection refuses {suffix} files: {reason}"


def _load(text: str) -> dict[str, FormatAnswers]:
    try:
        return {
            str(suffix): FormatAnswers(
                bool(each["accepted"]),
                tuple(map(str, each["refused"])),
                str(each["reason"]),
                int(each["attempts"]),
                None if each["retry_at"] is None else float(each["retry_at"]),
            )
            for suffix, each in json.loads(text).items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}  # the state file is damaged, but the collection will answer again


class Formats:
    """The formats in the state file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def answers(self) -> dict[str, FormatAnswers]:
        """The answers by format."""
        text = self._database.one("SELECT value FROM fact WHERE name = ?", (_FACT,))
        return _load(text or "{}")

    def save(self, answers: Mapping[str, FormatAnswers]) -> None:
        """Replace the answers."""
        text = json.dumps({suffix: asdict(each) for suffix, each in answers.items()})
        self._database.change("REPLACE INTO fact VALUES (?, ?)", (_FACT, text))

    def wait(self, suffix: str, answers: FormatAnswers, now: float) -> None:
        """Let the images of this refused format that could be sent at ``now``, or that were refused
        like it, wait until the format is tried again. Other errors keep their own time."""
        self._database.change(
            f"UPDATE image SET error = ?1, retry_at = {_TURN}"
            " WHERE dirty AND NOT held AND lower(CAST(substr(name, ?3) AS TEXT)) = ?4"
            " AND (coalesce(retry_at, 0) <= ?5 OR error = ?6)",
            (
                *(error_of_format(suffix, answers.reason), answers.retry_at, -len(suffix), suffix),
                *(now, answers.reason),
            ),
        )

    def take_turn(self, image_id: str, mark: int, suffix: str, answers: FormatAnswers) -> None:
        """Let an image that was sent and refused wait like the others of its format, but after
        them."""
        self._database.change(
            f"UPDATE image SET error = ?1, attempts = attempts + 1, retry_at = {_TURN} + 0.001"
            " WHERE image_id = ?3 AND mark = ?4",
            (error_of_format(suffix, answers.reason), answers.retry_at, image_id, mark),
        )

    def try_now(self, suffix: str, answers: FormatAnswers) -> None:
        """Let the images that wait for this format be sent, so that one of them is."""
        self._database.change(
            f"UPDATE image SET retry_at = {_TURN} WHERE dirty AND NOT held AND error = ?1",
            (error_of_format(suffix, answers.reason), answers.retry_at),
        )

    def release(self, suffix: str, answers: FormatAnswers) -> int:
        """Let all images that wait for this format be sent at once. Returns their number."""
        return self._database.change(
            "UPDATE image SET error = NULL, retry_at = NULL, attempts = 0"
            " WHERE dirty AND NOT held AND error = ?",
            (error_of_format(suffix, answers.reason),),
        )

    def refused(self) -> list[RefusedFormat]:
        """The refused formats, in order."""
        return [
            RefusedFormat(suffix, each.reason, self._waiting(suffix, each))
            for suffix, each in sorted(self.answers().items())
            if each.retry_at is not None
        ]

    def _waiting(self, suffix: str, answers: FormatAnswers) -> dict[str, int]:
        rows = self._database.query(
            "SELECT folder, count(*) FROM image INDEXED BY image_due"
            " WHERE dirty AND NOT held AND error = ? GROUP BY folder",
            (error_of_format(suffix, answers.reason),),
        )
        return dict(rows)
