"""Searches for duplicates of what the collection has confirmed, and alerts once per new picture.

The search comes after the mirror and never delays it: an image whose search failed stays due.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snoopsync.core.duplicates import Findings, findings_of
from snoopsync.core.errors import CollectionError, NotFound, Unavailable, Unreachable
from snoopsync.core.events import Event, Field, event_record, log_event
from snoopsync.core.keep import IDENTICAL, FolderOrder, Keep, which_to_keep
from snoopsync.core.model import path_keys, printable
from snoopsync.core.protocol import ImageCollection, SearchByIdAnswer
from snoopsync.folders.hard_links import HardLinks
from snoopsync.log.append_file import append_line
from snoopsync.log.formats import JsonFormatter
from snoopsync.log.setup import delivered
from snoopsync.runtime.counters import Counters
from snoopsync.state.searches import Due, NewDuplicate, Searches, SearchResult
from snoopsync.state.sides import Side

log = logging.getLogger("snoopsync.duplicates")

_BATCH = 50

#: So many alerts are on their way to the log at once, and are marked in one commit.
_TOLD_AT_ONCE = 500

#: How often somebody who waits for the log looks whether the service ends.
_WAIT_SECONDS = 0.5

#: After so many searches that the service had no answer for, one after the other, it needs a rest.
_MOST_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Alert:
    """One new picture, and the nearest one that it is like. ``kind``, ``group`` and ``others`` as
    in ``NewDuplicate``."""

    image: Side
    match: Side
    rank: int
    kind: str | None = None
    keep: Keep | None = None
    others: int = 0
    group: int | None = None

    @classmethod
    def of(cls, new: NewDuplicate, folders: FolderOrder, now: float) -> Alert:
        """The alert about a new picture. ``now``: Unix time."""
        image, match = new.image.candidate(folders), new.match.candidate(folders)
        is_identical = new.kind == IDENTICAL
        keep = which_to_keep(image, match, new.kind, int(now * 1e9), identical=is_identical)
        return cls(new.image, new.match, new.rank, new.kind, keep, new.others, new.group)

    def __str__(self) -> str:
        likeness = "the same picture as" if self.rank == 0 else "like"
        image, match = _describe(self.image), _describe(self.match)
        text = f"duplicate: {image} is {likeness} {match}, rank {self.rank}"
        if self.kind is not None:
            text += f", {printable(self.kind)}"
        if self.keep is not None:
            side = self.image if self.keep.image_id == self.image.image_id else self.match
            text += f"; keep {side.rel_path or side.image_id} ({self.keep.reason.words})"
        if self.others:
            text += f"; {self.others} more"
        if self.group is not None:
            text += f" (snoopsync duplicates --group {self.group})"
        return text

    def keys(self) -> dict[str, Field]:
        """The keys of its event."""
        match = path_keys(self.match.rel_path)
        return {
            **path_keys(self.image.rel_path),
            "image_id": self.image.image_id,
            "match_folder": match["folder"],
            "match_path": match["path"],
            "match_id": self.match.image_id,
            "match_label": self.match.label,
            "rank": self.rank,
            "kind": self.kind,
            "keep": None if self.keep is None else self.keep.image_id,
            "reason": None if self.keep is None else self.keep.reason.value,
            "others": self.others,
            "group": None if self.group is None else str(self.group),
        }


class DuplicateSearch:
    """Searches, one image after the other, and alerts. Used by one thread. ``quiet``: duplicates
    are recorded, and not alerted about. ``counters`` counts them. ``hard_links`` tells which
    matches are the image's own file under another name: they are no duplicates. ``folders`` says of
    which folders a file can be the one to keep."""

    def __init__(
        self,
        collection: ImageCollection,
        searches: Searches,
        max_rank: int,
        announce: Callable[[Alert], None],
        *,
        quiet: bool = False,
        counters: Counters | None = None,
        hard_links: HardLinks | None = None,
        folders: FolderOrder | None = None,
    ) -> None:
        self._hard_links = hard_links
        self._collection = collection
        self._searches = searches
        self._max_rank = max_rank
        self._announce = announce
        self._quiet = quiet
        self._counters = counters or Counters()
        self._folders = folders or {}
        #: Did the last ``work_off`` try all images that it was to try?
        self.has_tried_all = False
        self._failed: set[str] = set()
        self._postponed: frozenset[str] = frozenset()
        self._trouble: CollectionError | None = None
        self._results: list[SearchResult] = []

    def work_off(self, is_stopped: Callable[[], bool], *, only_new: bool = False) -> None:
        """Search for every image that is due, and tell of what was found. An image whose search
        fails does not keep the others waiting, and is still due after this. If the
        service has no answer for many, the others wait for the next time. ``only_new``: not for
        images whose search failed the last time that all were tried.

        Raises ``CollectionError``: the first one that was met, if not all could be searched for.
        """
        self._searches.settle()
        self._tell(is_stopped)
        self.has_tried_all = False
        failed_in_a_row = 0
        postponed = self._postponed if only_new else frozenset()
        while batch := self._due(self._failed | postponed):
            try:
                for due in batch:
                    if is_stopped():
                        return
                    try:
                        self._search(due, is_stopped)
                        failed_in_a_row = 0
                    except CollectionError as error:
                        if error.concerns_all:
                            raise
                        self._trouble = self._trouble or error
                        self._failed.add(due.image_id)
                        failed_in_a_row += isinstance(error, Unavailable | Unreachable)
                        if failed_in_a_row == _MOST_FAILURES:
                            raise  # the next time goes on with the others
            finally:
                self._record_results()
        trouble, self._trouble = self._trouble, None
        self._postponed = postponed | self._failed
        self._failed.clear()
        self.has_tried_all = True
        if trouble is not None:
            raise trouble

    def _due(self, failed: Collection[str]) -> list[Due]:
        batch = self._searches.due(_BATCH + len(failed))
        return [due for due in batch if due.image_id not in failed]

    def _search(self, due: Due, is_stopped: Callable[[], bool]) -> None:
        limit = self._searches.limit(due)
        answer: SearchByIdAnswer | None = None
        with suppress(NotFound):
            answer = self._collection.search_images_by_id(due.image_id, limit)
        findings, uncompared, is_partial = Findings(), set[str](), False
        if answer is not None:
            findings = findings_of(
                due.image_id,
                answer["results"],
                self._max_rank,
                limit=limit,
                is_cut=answer.get("cut", False),
            )
            uncompared = self._uncompared(due, answer, findings)
            is_partial = answer.get("outdated", False) or answer.get("partial", False)
        candidates = self._searches.with_same_inode(due)
        links: Collection[str] = ()
        if self._hard_links is not None and candidates:
            links = self._hard_links.of(due.image_id, candidates)
        result = SearchResult(due, findings, time.time(), links, uncompared, is_partial)
        self._results.append(result)
        if findings.images or candidates or self._searches.has_node(due):
            # The next search depends on what is recorded.
            self._record_results()
            self._tell(is_stopped)

    def _record_results(self) -> None:
        """Write the results down, many at once: most searches find nothing."""
        results, self._results = self._results, []
        self._searches.record(results)

    def _uncompared(self, due: Due, answer: SearchByIdAnswer, findings: Findings) -> set[str]:
        """The linked images that the search did not find and that were not compared. While a new
        version of the collection describes its pictures again, two pictures that different versions
        have described are not compared: all are searched for again after that."""
        if not answer.get("outdated") and not answer.get("partial"):
            return set()
        missing = set(self._searches.linked_images(due))
        missing -= {image.image_id for image in findings.images}
        if answer.get("outdated"):
            return missing
        return {image_id for image_id in missing if self._is_outdated(image_id)}

    def _is_outdated(self, image_id: str) -> bool:
        try:
            return self._collection.get_image(image_id).get("outdated", False)
        except NotFound:
            return False

    def _tell(self, is_stopped: Callable[[], bool]) -> None:
        # Announced first, marked after: if the machine stops in between, the alert comes twice. The
        # other way round it might be lost. An alert is announced when its line is written, not
        # while the line waits for that.
        new = self._searches.alerts_due()
        for start in range(0, len(new), _TOLD_AT_ONCE):
            batch = new[start : start + _TOLD_AT_ONCE]
            if not self._quiet:
                for each in batch:
                    self._announce(Alert.of(each, self._folders, time.time()))
                while not delivered(_WAIT_SECONDS):
                    if is_stopped():
                        return
            self._searches.mark_alerted(batch)
            self._counters.found_duplicates(len(batch))


def announce_to_log(alert: Alert) -> None:
    """One warning for each new picture."""
    log_event(log, logging.WARNING, Event.DUPLICATE, "%s", alert, **alert.keys())


def announce_to_file(path: Path) -> Callable[[Alert], None]:
    """One warning for each new picture, and the same as a JSON line, appended to a file that may be
    rotated away at any time."""
    formatter = JsonFormatter()
    is_failing = False

    def announce(alert: Alert) -> None:
        nonlocal is_failing
        announce_to_log(alert)
        record = event_record(log, logging.WARNING, Event.DUPLICATE, "%s", alert, **alert.keys())
        try:
            append_line(path, formatter.format(record))
            is_failing = False
        except OSError as error:
            if not is_failing:
                log_event(
                    log,
                    logging.ERROR,
                    Event.LOG_UNWRITABLE,
                    "%s can't be written, alerts are only here: %s",
                    *(path, error.strerror),
                    path=str(path),
                    error=error.strerror,
                )
            is_failing = True

    return announce


def _describe(side: Side) -> str:
    return f"{side.rel_path or 'an image of no folder here'} ({side.image_id})"
