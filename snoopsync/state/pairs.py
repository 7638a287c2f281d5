"""The duplicates that were found: one row an unordered pair of images. The only SQL about them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any

from snoopsync.alerts import Better, Found, Pair, Reason
from snoopsync.model import Place
from snoopsync.state.database import Database

#: How many pairs of a long listing are read at once: each time all of them are put in order.
_PAGE_ROWS = 10_000

_LISTED = """
    SELECT pair.a, image_a.folder, image_a.directory, image_a.name,
           pair.b, image_b.folder, image_b.directory, image_b.name,
           rank, kind, better, reason, found_at, finder, dismissed, gone OR NOT {is_mirrored}
    FROM pair
    LEFT JOIN image AS image_a ON image_a.image_id = pair.a
    LEFT JOIN image AS image_b ON image_b.image_id = pair.b
"""

_MIRRORED = """
    EXISTS (SELECT 1 FROM image JOIN folder ON folder.name = image.folder
            WHERE image.image_id IN (pair.a, pair.b) AND folder.configured)
"""

_FOUND = """
    INSERT INTO pair (a, b, finder, rank, kind, better, reason, found_at, alerted,
                      a_sha256, b_sha256, dismissed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10,
            EXISTS (SELECT 1 FROM dismissal WHERE a = min(?9, ?10) AND b = max(?9, ?10)))
    ON CONFLICT (a, b) DO UPDATE SET
        rank = excluded.rank, kind = excluded.kind, better = excluded.better,
        reason = excluded.reason, a_sha256 = excluded.a_sha256, b_sha256 = excluded.b_sha256,
        -- 2: it had only ended because the configuration left one of the two out.
        gone = 0, alerted = alerted AND gone <> 1,
        found_at = CASE WHEN gone = 1 THEN excluded.found_at ELSE found_at END
"""


class PairState(StrEnum):
    """What became of a pair."""

    OPEN = "open"
    DISMISSED = "dismissed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Side:
    """One image of a pair; ``place`` is ``None`` if no folder of ours holds it."""

    image_id: str
    place: Place | None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A pair as it is listed. ``found_at``: Unix time. ``finder``: the image whose search found the
    other one. ``kind`` and ``better`` as in ``Found``."""

    a: Side
    b: Side
    rank: int
    kind: str | None
    better: Better | None
    found_at: float
    finder: str
    state: PairState


@dataclass(frozen=True, slots=True)
class Due:
    """An image that has to be searched for: with the bytes that the collection confirmed."""

    image_id: str
    sha256: bytes


class Pairs:
    """The state file's duplicates, and which images have to be searched for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, limit: int) -> list[Due]:
        """Images whose bytes are new to the collection since they were last searched for."""
        rows = self._database.query(
            "SELECT image_id, sha256 FROM image WHERE search_due ORDER BY synced_at LIMIT ?",
            (limit,),
        )
        return [Due(*row) for row in rows]

    def current(self, image_id: str) -> set[Pair]:
        """The pairs that this image is in, as of the last look."""
        rows = self._database.query(
            "SELECT a, b FROM pair WHERE (a = ?1 OR b = ?1) AND NOT gone", (image_id,)
        )
        return {Pair(*row) for row in rows}

    def modified_ns(self, image_ids: Collection[str]) -> dict[str, int]:
        """When the files of those of these images were modified that have one, in nanoseconds of
        Unix time."""
        rows = self._database.query(
            "SELECT image_id, mtime_ns FROM image"
            " WHERE image_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(image_ids)),),
        )
        return dict(rows)

    def left_out(self, image_ids: Collection[str]) -> set[str]:
        """Those of these images that the configuration leaves out: they are in no pair."""
        rows = self._database.query(
            "SELECT image_id FROM image"
            " WHERE image_id IN (SELECT value FROM json_each(?)) AND left_out",
            (json.dumps(list(image_ids)),),
        )
        return {image_id for (image_id,) in rows}

    def record(
        self,
        due: Due,
        found: Iterable[Found],
        gone: Iterable[Pair],
        now: float,
        linked: Iterable[Pair] = (),
    ) -> None:
        """Write down what a search found, in one transaction: new pairs (still to be alerted, so
        that no alert is lost), pairs that are none any more, and that the search is done. A new
        pair of bytes of which a pair was dismissed is dismissed.

        A pair whose other image is being sent just now is not judged: its own search will be. And
        what the other image's search has found stays, although this one has not found it, if it
        was for these very bytes: a whole picture may find its part, and not the part the whole.

        ``linked``: those of them that are one file under two names. They are recorded as gone, so
        that the image is searched for again when one of the names gets a file of its own."""
        with self._database.transaction():
            self._database.change_many(_FOUND, [_found(due, each, now) for each in found])
            self._database.change_many(
                "UPDATE pair SET gone = 1 WHERE a = ?1 AND b = ?2 AND NOT EXISTS"
                " (SELECT 1 FROM image WHERE image_id IN (?1, ?2) AND image_id <> ?3 AND dirty)"
                " AND (finder = ?3 OR iif(a = ?3, a_sha256, b_sha256) IS NOT ?4)",
                [(*pair, due.image_id, due.sha256) for pair in gone],
            )
            self._database.change_many(
                "UPDATE pair SET gone = 1 WHERE a = ? AND b = ?", [tuple(pair) for pair in linked]
            )
            # An image that was sent again during the search is still due.
            self._database.change(
                "UPDATE image SET search_due = 0 WHERE image_id = ? AND sha256 = ?",
                (due.image_id, due.sha256),
            )

    def untold(self) -> list[Duplicate]:
        """Open pairs whose alert was not given yet."""
        return self._listed(
            f"WHERE NOT alerted AND NOT dismissed AND NOT gone AND {self._is_mirrored()}"
        )

    def told(self, duplicates: Iterable[Duplicate]) -> None:
        """Their alerts were given."""
        self._database.change_many(
            "UPDATE pair SET alerted = 1 WHERE a = ? AND b = ?",
            [(item.a.image_id, item.b.image_id) for item in duplicates],
        )

    def listed(self, *, everything: bool = False) -> Iterator[Duplicate]:
        """The open pairs, or all of them, the newest first. Not of one moment, as
        ``State.images``."""
        where = "" if everything else f"AND NOT dismissed AND NOT gone AND {self._is_mirrored()}"
        last: tuple[float, str, str] = (-inf, "", "")
        while True:
            page = self._listed(
                f"WHERE (-found_at, pair.a, pair.b) > (?, ?, ?) {where}"
                " ORDER BY -found_at, pair.a, pair.b LIMIT ?",
                (*last, _PAGE_ROWS),
            )
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            last = -page[-1].found_at, page[-1].a.image_id, page[-1].b.image_id

    def count_due(self) -> int:
        """How many images have to be searched for."""
        count: int = self._database.one("SELECT count(*) FROM image WHERE search_due")
        return count

    def count_open(self) -> int:
        """How many pairs are open."""
        count: int = self._database.one(
            f"SELECT count(*) FROM pair WHERE NOT dismissed AND NOT gone AND {self._is_mirrored()}"
        )
        return count

    def _is_mirrored(self) -> str:
        """Of a pair: is one of its two images of a folder that is configured? Nobody has to be
        told of pictures in folders that are not mirrored any more."""
        if not self._database.one("SELECT 1 FROM folder WHERE NOT configured LIMIT 1"):
            return "true"  # as nearly always: there is nothing to look up
        return _MIRRORED

    def knows(self, image_id: str) -> bool:
        """Is this image in any pair?"""
        return bool(self._database.one("SELECT 1 FROM pair WHERE a = ?1 OR b = ?1", (image_id,)))

    def dismiss(self, pair: Pair) -> bool:
        """Never alert about this pair again. False if no such pair was found yet."""
        with self._database.transaction():
            changed = self._database.change(
                "UPDATE pair SET dismissed = 1 WHERE a = ? AND b = ?", tuple(pair)
            )
            # Not of two copies of the same bytes: a third one would be news.
            self._database.change(
                "INSERT OR IGNORE INTO dismissal (a, b)"
                " SELECT min(a_sha256, b_sha256), max(a_sha256, b_sha256) FROM pair"
                " WHERE a = ? AND b = ? AND a_sha256 <> b_sha256",
                tuple(pair),
            )
        return changed == 1

    def _listed(self, condition: str, parameters: Sequence[Any] = ()) -> list[Duplicate]:
        listed = _LISTED.format(is_mirrored=self._is_mirrored())
        rows = self._database.query(f"{listed} {condition}", parameters)
        return [_duplicate(row) for row in rows]


def _duplicate(row: Sequence[Any]) -> Duplicate:
    rank, kind, better, reason, found_at, finder, dismissed, gone = row[8:]
    return Duplicate(
        _side(*row[0:4]),
        _side(*row[4:8]),
        rank,
        kind,
        Better(better, Reason(reason)) if better else None,
        found_at,
        finder,
        PairState.DISMISSED if dismissed else PairState.GONE if gone else PairState.OPEN,
    )


def _found(due: Due, found: Found, now: float) -> tuple[Any, ...]:
    better = found.better
    hashes = due.sha256, found.sha256
    return (
        *found.pair,
        due.image_id,
        found.rank,
        found.kind,
        better.image_id if better else None,
        better.reason if better else None,
        now,
        *(hashes if due.image_id == found.pair.a else reversed(hashes)),
    )


def _side(image_id: str, folder: str | None, directory: bytes | None, name: bytes | None) -> Side:
    if folder is None or directory is None or name is None:
        return Side(image_id, None)
    return Side(image_id, Place(folder, directory + b"/" + name if directory else name))
