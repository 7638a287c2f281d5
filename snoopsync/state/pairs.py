"""The duplicates that were found, one row for each pair of images."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import Any

from snoopsync.core.duplicates import FoundPair, Pair, PairChanges
from snoopsync.core.keep import (
    IDENTICAL,
    CandidateFile,
    FolderOrder,
    Keep,
    KeepCandidate,
    which_to_keep,
)
from snoopsync.core.model import RelPath
from snoopsync.core.protocol import PictureFacts
from snoopsync.state.database import Database
from snoopsync.state.rows import rel_path_of

#: How many pairs of a long listing are read in one query. Each query sorts all of them.
_PAGE_ROWS = 10_000

#: The columns for each image of a pair.
_SIDE = """
    {0}.image_id, {0}.folder, {0}.directory, {0}.name, {0}.mtime_ns,
    {0}.held OR coalesce(folder_{0}.state = 'missing', 0),
    {0}.dirty OR {0}.sha256 IS NOT picture_{0}.sha256,
    picture_{0}.folder, picture_{0}.directory, picture_{0}.name, picture_{0}.facts
"""
_SIDE_COLUMNS = 11

_LISTED = f"""
    SELECT pair.a, {_SIDE.format("image_a")}, pair.b, {_SIDE.format("image_b")},
           rank, kind, found_at, finder, dismissed, gone OR NOT {{is_mirrored}},
           pair.a_sha256 = pair.b_sha256
    FROM pair
    LEFT JOIN image AS image_a ON image_a.image_id = pair.a
    LEFT JOIN folder AS folder_image_a ON folder_image_a.name = image_a.folder
    LEFT JOIN picture AS picture_image_a ON picture_image_a.image_id = pair.a
    LEFT JOIN image AS image_b ON image_b.image_id = pair.b
    LEFT JOIN folder AS folder_image_b ON folder_image_b.name = image_b.folder
    LEFT JOIN picture AS picture_image_b ON picture_image_b.image_id = pair.b
"""

_MIRRORED = """
    EXISTS (SELECT 1 FROM image JOIN folder ON folder.name = image.folder
            WHERE image.image_id IN (pair.a, pair.b) AND folder.configured)
"""

#: The rank from the search for the other image, if it was for the same bytes. Some services give a
#: different rank in each direction, and the lower one counts.
_OTHER_RANK = """
    iif(NOT gone AND a_sha256 = excluded.a_sha256 AND b_sha256 = excluded.b_sha256,
        iif(excluded.a_rank IS NULL, a_rank, b_rank), NULL)
"""

_FOUND = f"""
    INSERT INTO pair (a, b, finder, rank, kind, found_at, alerted, a_sha256, b_sha256, dismissed,
                      a_rank, b_rank)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8,
            EXISTS (SELECT 1 FROM dismissal WHERE a = min(?7, ?8) AND b = max(?7, ?8)),
            iif(?3 = ?1, ?4, NULL), iif(?3 = ?2, ?4, NULL))
    ON CONFLICT (a, b) DO UPDATE SET
        rank = min(excluded.rank, coalesce({_OTHER_RANK}, excluded.rank)),
        kind = iif(coalesce({_OTHER_RANK}, excluded.rank) < excluded.rank, kind, excluded.kind),
        a_rank = coalesce(excluded.a_rank, {_OTHER_RANK}),
        b_rank = coalesce(excluded.b_rank, {_OTHER_RANK}),
        a_sha256 = excluded.a_sha256, b_sha256 = excluded.b_sha256,
        -- gone = 2: the pair only ended because the configuration left one of the images out.
        gone = 0, alerted = alerted AND gone <> 1,
        found_at = CASE WHEN gone = 1 THEN excluded.found_at ELSE found_at END
"""

#: For a pair that a search did not find. The rank of the search for the other image counts.
_NOT_FOUND = """
    UPDATE pair SET
        rank = coalesce(iif(a = ?3, b_rank, a_rank), rank),
        a_rank = iif(a = ?3, NULL, a_rank), b_rank = iif(b = ?3, NULL, b_rank)
    WHERE a = ?1 AND b = ?2
"""

_FACTS = """
    INSERT INTO picture (image_id, sha256, facts) VALUES (?, ?, ?)
    ON CONFLICT (image_id) DO UPDATE SET sha256 = excluded.sha256, facts = excluded.facts
"""


class PairState(StrEnum):
    """The state of a pair."""

    OPEN = "open"
    DISMISSED = "dismissed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Side:
    """One image of a pair. ``rel_path``: ``None`` if no folder contains the image; ``was`` is then
    the last path of its file, if known. ``facts``: what the collection reported about the picture;
    empty if it reported nothing about the present bytes. ``modified_ns``: the file's mtime, as Unix
    time in nanoseconds. ``is_missing``: the file is known to be missing."""

    image_id: str
    rel_path: RelPath | None
    was: RelPath | None = None
    facts: PictureFacts = field(default_factory=lambda: PictureFacts())
    modified_ns: int = 0
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A pair, for listings and alerts. ``found_at``: Unix time. ``finder``: the image whose search
    found the other one. ``kind``: as in ``FoundPair``. ``identical``: both have the same bytes."""

    a: Side
    b: Side
    rank: int
    kind: str | None
    found_at: float
    finder: str
    state: PairState
    identical: bool = False

    def keep(self, order: FolderOrder, now: float) -> Keep | None:
        """The image to keep; ``None`` if nothing decides. ``order``: the configured folders.
        ``now``: Unix time."""
        a, b = (_candidate(side, order) for side in (self.a, self.b))
        return which_to_keep(a, b, self.kind, int(now * 1e9), identical=self.identical)


def _candidate(side: Side, order: FolderOrder) -> KeepCandidate:
    rel_path = side.rel_path
    if rel_path is None or side.is_missing or rel_path.folder not in order:
        return KeepCandidate(side.image_id, side.facts)
    file = CandidateFile(rel_path, side.modified_ns, *order[rel_path.folder])
    return KeepCandidate(side.image_id, side.facts, file)


@dataclass(frozen=True, slots=True)
class Due:
    """An image to search for, with the digest of the bytes that the collection confirmed."""

    image_id: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of the search for an image. ``at``: Unix time. ``hard_links``: pairs that are one
    file under two names. They are recorded as gone, so that the image is searched for again when
    one of the names gets its own file."""

    due: Due
    findings: PairChanges
    at: float
    hard_links: Sequence[Pair] = ()


class Pairs:
    """The duplicates in the state file, and the images that must be searched for."""

    def __init__(self, database: Database, page_rows: int = _PAGE_ROWS) -> None:
        self._database = database
        self._page_rows = page_rows

    def due(self, limit: int) -> list[Due]:
        """At most ``limit`` images that were confirmed since they were last searched for."""
        rows = self._database.query(
            "SELECT image_id, sha256 FROM image WHERE search_due ORDER BY synced_at LIMIT ?",
            (limit,),
        )
        return [Due(*row) for row in rows]

    def current(self, image_id: str) -> set[Pair]:
        """The pairs of this image that have not ended."""
        rows = self._database.query(
            "SELECT a, b FROM pair WHERE (a = ?1 OR b = ?1) AND NOT gone", (image_id,)
        )
        return {Pair(*row) for row in rows}

    def left_out(self, image_ids: Collection[str]) -> set[str]:
        """Which of these images the configuration leaves out. Such an image belongs to no pair."""
        rows = self._database.query(
            "SELECT image_id FROM image"
            " WHERE image_id IN (SELECT value FROM json_each(?)) AND left_out",
            (json.dumps(list(image_ids)),),
        )
        return {image_id for (image_id,) in rows}

    def record(self, results: Sequence[SearchResult]) -> None:
        """Record the results of searches in one transaction: the new pairs, the pairs that have
        ended, and that the searches are done. The new pairs are recorded as not yet alerted, so
        that no alert is lost. A new pair with the same bytes as a dismissed pair is dismissed.

        A pair does not end while its other image is being sent: the search for that image will
        decide. A pair does not end either if the search for the other image found it for the same
        bytes: the search for a whole picture may find a part of it, although the search for the
        part does not find the whole."""
        if results:
            with self._database.transaction():
                for result in results:
                    self._record(result)

    def _record(self, result: SearchResult) -> None:
        due, findings = result.due, result.findings
        found = [self._with_digest(due, each) for each in findings.pairs]
        self._database.change_many(_FOUND, [_found(due, each, result.at) for each in found])
        facts = [(_other(due, each), each.sha256, each.facts) for each in found]
        if found:
            facts.append((due.image_id, due.sha256, findings.facts))
        self._database.change_many(
            _FACTS, [(image_id, sha256, json.dumps(known)) for image_id, sha256, known in facts]
        )
        self._database.change_many(_NOT_FOUND, [(*pair, due.image_id) for pair in findings.gone])
        self._database.change_many(
            "UPDATE pair SET gone = 1 WHERE a = ?1 AND b = ?2 AND NOT EXISTS"
            " (SELECT 1 FROM image WHERE image_id IN (?1, ?2) AND image_id <> ?3 AND dirty)"
            " AND (finder = ?3 OR iif(a = ?3, a_sha256, b_sha256) IS NOT ?4)",
            [(*pair, due.image_id, due.sha256) for pair in findings.gone],
        )
        self._database.change_many(
            "UPDATE pair SET gone = 1 WHERE a = ? AND b = ?",
            [tuple(pair) for pair in result.hard_links],
        )
        # An image that was sent again during the search is still due.
        self._database.change(
            "UPDATE image SET search_due = 0 WHERE image_id = ? AND sha256 = ?",
            (due.image_id, due.sha256),
        )

    def _with_digest(self, due: Due, found: FoundPair) -> FoundPair:
        """The pair with the confirmed digest of the other image, if the service reported none."""
        if found.sha256 is not None:
            return found
        sha256 = self._database.one(
            "SELECT sha256 FROM image WHERE image_id = ? AND NOT dirty", (_other(due, found),)
        )
        return replace(found, sha256=sha256 or None)

    def search_again(self) -> None:
        """Require a new search for every image, because the collection describes its pictures in a
        new way."""
        self._database.change(
            "UPDATE image SET search_due = 1 WHERE sha256 IS NOT NULL AND NOT left_out"
        )

    def unalerted(self) -> list[Duplicate]:
        """The open pairs without an alert."""
        return self._listed(
            f"WHERE NOT alerted AND NOT dismissed AND NOT gone AND {self._is_mirrored()}"
        )

    def mark_alerted(self, duplicates: Iterable[Duplicate]) -> None:
        """Record that these pairs were alerted."""
        self._database.change_many(
            "UPDATE pair SET alerted = 1 WHERE a = ? AND b = ?",
            [(item.a.image_id, item.b.image_id) for item in duplicates],
        )

    def listed(self, *, everything: bool = False) -> Iterator[Duplicate]:
        """The open pairs, newest first. They are read in pages, each at its own moment.
        ``everything``: also dismissed pairs and pairs that have ended."""
        where = "" if everything else f"AND NOT dismissed AND NOT gone AND {self._is_mirrored()}"
        last: tuple[float, str, str] = (-inf, "", "")
        while True:
            page = self._listed(
                f"WHERE (-found_at, pair.a, pair.b) > (?, ?, ?) {where}"
                " ORDER BY -found_at, pair.a, pair.b LIMIT ?",
                (*last, self._page_rows),
            )
            yield from page
            if len(page) < self._page_rows:
                return
            last = -page[-1].found_at, page[-1].a.image_id, page[-1].b.image_id

    def count_due(self) -> int:
        """The number of images that must be searched for."""
        count: int = self._database.one("SELECT count(*) FROM image WHERE search_due")
        return count

    def count_open(self) -> int:
        """The number of open pairs."""
        count: int = self._database.one(
            f"SELECT count(*) FROM pair WHERE NOT dismissed AND NOT gone AND {self._is_mirrored()}"
        )
        return count

    def _is_mirrored(self) -> str:
        """The SQL condition that the folder of at least one of the two images is configured. Other
        pairs are not shown."""
        if not self._database.one("SELECT 1 FROM folder WHERE NOT configured LIMIT 1"):
            return "true"  # the usual case, without a query for each pair
        return _MIRRORED

    def knows(self, image_id: str) -> bool:
        """Returns whether this image is in any pair."""
        return bool(self._database.one("SELECT 1 FROM pair WHERE a = ?1 OR b = ?1", (image_id,)))

    def dismiss(self, pair: Pair) -> bool:
        """Dismiss the pair. Returns false if there is no such pair."""
        with self._database.transaction():
            changed = self._database.change(
                "UPDATE pair SET dismissed = 1 WHERE a = ? AND b = ?", tuple(pair)
            )
            # A pair with the same bytes is left out here, because a third copy is a new duplicate.
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
    width = 1 + _SIDE_COLUMNS
    rank, kind, found_at, finder, dismissed, gone, same_bytes = row[2 * width :]
    identical = kind == IDENTICAL or bool(same_bytes)
    return Duplicate(
        _side(*row[:width]),
        _side(*row[width : 2 * width]),
        rank,
        IDENTICAL if identical else kind,
        found_at,
        finder,
        PairState.DISMISSED if dismissed else PairState.GONE if gone else PairState.OPEN,
        identical,
    )


def _found(due: Due, found: FoundPair, now: float) -> tuple[Any, ...]:
    hashes = due.sha256, found.sha256
    return (
        *found.pair,
        due.image_id,
        found.rank,
        found.kind,
        now,
        *(hashes if due.image_id == found.pair.a else reversed(hashes)),
    )


def _other(due: Due, found: FoundPair) -> str:
    return found.pair.b if found.pair.a == due.image_id else found.pair.a


def _side(image_id: str, *row: Any) -> Side:
    ours, folder, directory, name, modified_ns, is_missing, is_stale, *was, text = row
    facts: PictureFacts = {} if text is None or (ours and is_stale) else json.loads(text)
    if ours is None:
        return Side(image_id, None, None if was[0] is None else rel_path_of(*was), facts)
    rel_path = rel_path_of(folder, directory, name)
    return Side(image_id, rel_path, None, facts, modified_ns, bool(is_missing))
