"""Searches for duplicates of confirmed images, and alerts once about each new picture.

The search never delays mirroring. An image whose search fails stays due. The wording of an alert is
in ``snoopsync.core.duplicates.describe_duplicate``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from snoopsync.core.duplicates import Findings, describe_duplicate, findings_of, search_limit
from snoopsync.core.errors import CollectionError, NotFound, Unavailable, Unreachable
from snoopsync.core.events import Event, Field, event_record, log_event
from snoopsync.core.keep import IDENTICAL, FolderOrder, Keep, which_to_keep
from snoopsync.core.model import path_keys
from snoopsync.core.protocol import ImageCollection, PreparesSearches, SearchByIdAnswer
from snoopsync.folders.hard_links import HardLinks
from snoopsync.log.append_file import append_line
from snoopsync.log.formats import JsonFormatter
from snoopsync.log.setup import delivered
from snoopsync.runtime.counters import Counters
from snoopsync.state.alerts import NewDuplicate
from snoopsync.state.reported_pairs import ReportedPair
from snoopsync.state.searches import Due, Searches, SearchResult
from snoopsync.state.sides import Side
from snoopsync.sync.changes_poll import ChangesPoll
from snoopsync.sync.shots import ShotRelations

log = logging.getLogger("snoopsync.duplicates")

_BATCH = 48

#: For how many images the collection may prepare the searches. In a collection of a million images,
#: this takes half a second.
_BLOCK = 16

#: How many reported images of other owners are recorded before new images of ours are searched for.
_REPORTED_BATCH = 48

#: For how many images the collection may prepare the searches. In a collection of a million images,
#: this takes half a second.
_BLOCK = 16

#: How many alerts are written to the log together, and then marked in one commit.
_ALERTS_AT_ONCE = 500

#: How often to check whether the service is stopping while waiting for the log.
_WAIT_SECONDS = 0.5

#: After this many failed searches in a row, the search pauses.
_MAX_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert about a new picture and the nearest picture that is similar to it. ``kind``,
    ``others`` and ``group``: as in ``NewDuplicate``."""

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
        return f"duplicate: {describe_duplicate(self.keys(), with_ids=True)}"

    def keys(self) -> dict[str, Field]:
        """The keys of the event."""
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


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """``max_rank``: the largest rank of a duplicate. ``quiet``: record duplicates without alerts.
    ``folders``: the folders that may contain the file to keep."""

    max_rank: int
    quiet: bool = False
    folders: FolderOrder = field(default_factory=dict)


class DuplicateSearch:
    """Searches for one image after another, and alerts. Used by one thread. ``hard_links`` finds
    the matches that are hard links of the image's own file, which are not duplicates.
    ``changes_poll`` learns what other owners add after the searches. ``relations`` finds the
    matches that are companions, or shots of one series."""

    def __init__(
        self,
        collection: ImageCollection,
        searches: Searches,
        settings: SearchSettings,
        announce: Callable[[Alert], None],
        *,
        counters: Counters | None = None,
        hard_links: HardLinks | None = None,
        changes_poll: ChangesPoll | None = None,
        relations: ShotRelations | None = None,
    ) -> None:
        self.changes_poll = changes_poll
        self._relations = relations
        self._hard_links = hard_links
        self._collection = collection
        self._searches = searches
        self._settings = settings
        self._announce = announce
        self._counters = counters or Counters()
        #: Whether the last ``work_off`` tried all images.
        self.has_tried_all = False
        self._failed: set[str] = set()
        self._postponed: frozenset[str] = frozenset()
        self._trouble: CollectionError | None = None
        self._results: list[SearchResult] = []

    def work_off(
        self,
        is_stopped: Callable[[], bool],
        *,
        only_new: bool = False,
        rest: Callable[[float], bool] = lambda _seconds: True,
    ) -> None:
        """Search for every image that is due, and alert about new pictures. An image whose search
        fails does not delay the others, and stays due. After many failures in a row, the remaining
        images wait for the next call. ``only_new``: skip images whose search failed when all were
        last tried. ``rest`` is called after each search with the seconds that it took, and with 0
        before the first one. If it returns false, the remaining images wait for the next call.

        Raises the first ``CollectionError`` if some images could not be searched for.
        """
        self._searches.settle()
        self._alert(is_stopped)
        self.has_tried_all = False
        postponed = self._postponed if only_new else frozenset()
        is_finished = self._search_all_due(postponed, is_stopped, rest)
        after = ""
        while is_finished and not only_new and (batch := self._reported_after(after)):
            self._look_at_reported(batch)
            after = batch[-1][0].match
            is_finished = self._search_all_due(postponed, is_stopped, rest)
        if not is_finished or is_stopped():
            return
        self._alert(is_stopped)
        trouble, self._trouble = self._trouble, None
        self._postponed = postponed | self._failed
        self._failed.clear()
        self.has_tried_all = True
        if trouble is not None:
            raise trouble

    def run_once(self) -> None:
        """Do all of this for a command: ``work_off``, and ask once what other owners added. If
        asking fails, the next run asks for the same again."""
        self.work_off(lambda: False)
        is_new = False
        with suppress(CollectionError):
            if self.changes_poll is not None:
                is_new = self.changes_poll.work_off(lambda _seconds: True)
        if is_new:
            self.work_off(lambda: False)

    def _search_all_due(
        self,
        postponed: frozenset[str],
        is_stopped: Callable[[], bool],
        rest: Callable[[float], bool],
    ) -> bool:
        """Search for all images that are due. Returns false if the search must end before that."""
        failed_in_a_row = 0
        while not is_stopped() and rest(0.0):
            batch = self._due(self._failed | postponed)
            if not batch:
                return True
            if self.changes_poll is not None:
                self.changes_poll.begin()
            try:
                for number, due in enumerate(batch):
                    if is_stopped():
                        return False
                    begun = time.monotonic()
                    if number % _BLOCK == 0:
                        self._prepare(batch[number : number + _BLOCK])
                    try:
                        self._search(due, is_stopped)
                        failed_in_a_row = 0
                    except CollectionError as error:
                        if error.concerns_all:
                            raise
                        self._trouble = self._trouble or error
                        self._failed.add(due.image_id)
                        failed_in_a_row += isinstance(error, Unavailable | Unreachable)
                        if failed_in_a_row == _MAX_FAILURES:
                            raise  # the next call continues with the others
                    if not rest(time.monotonic() - begun):
                        return False
            finally:
                self._record_results()
        return False

    def _due(self, failed: Collection[str]) -> list[Due]:
        batch = self._searches.due(_BATCH + len(failed))
        return [due for due in batch if due.image_id not in failed]

    def _prepare(self, block: Sequence[Due]) -> None:
        if isinstance(self._collection, PreparesSearches):
            self._collection.prepare_searches(due.image_id for due in block)

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
                self._settings.max_rank,
                limit=limit,
                is_cut=answer.get("cut", False),
            )
            if self._relations is not None and findings.images:
                findings = self._relations.add_to(findings, due)
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
            self._alert(is_stopped)

    def _record_results(self) -> None:
        """Record the collected results in one transaction."""
        results, self._results = self._results, []
        self._searches.record(results)

    def _uncompared(self, due: Due, answer: SearchByIdAnswer, findings: Findings) -> set[str]:
        """The linked images that the search did not find because they were not compared. During an
        upgrade, the collection does not compare two pictures that were described by different
        versions. After the upgrade all images are searched for again."""
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

    # What the collection reported about images of other owners.

    def _reported_after(self, after: str) -> list[list[ReportedPair]]:
        return self._searches.reported.due(after, _REPORTED_BATCH)

    def _look_at_reported(self, batch: Sequence[Sequence[ReportedPair]]) -> None:
        """Record these images of other owners, each with its pairs. The pairs of an image stay due
        if the search fails."""
        searched: dict[str, Findings | None] = {}
        failures = 0
        for pairs in batch:
            try:
                self._record_reported(pairs, searched)
            except CollectionError as error:
                failures += 1
                if error.concerns_all or failures == _MAX_FAILURES:
                    raise
                self._trouble = self._trouble or error

    def _record_reported(
        self, pairs: Sequence[ReportedPair], searched: dict[str, Findings | None]
    ) -> None:
        """Record one image of another owner. The search for the nearest image of ours, which may be
        among those that were ``searched`` for, shows what the collection knows about it."""
        match = pairs[0].match
        for number, pair in enumerate(pairs):
            if pair.image_id not in searched:
                searched[pair.image_id] = self._find(pair.image_id)
            findings = searched[pair.image_id]
            if findings is not None and findings.images:
                found = next((each for each in findings.images if each.image_id == match), None)
                reported = self._searches.reported
                reported.record(pairs[number:], found, findings.facts, time.time())
                return
        self._searches.reported.drop(match)  # one of the two was removed meanwhile

    def _find(self, image_id: str) -> Findings | None:
        """What a search finds that is like an image; ``None`` if the collection does not have the
        image."""
        limit = search_limit(0)
        try:
            answer = self._collection.search_images_by_id(image_id, limit)
        except NotFound:
            return None
        return findings_of(image_id, answer["results"], self._settings.max_rank, limit=limit)

    def _alert(self, is_stopped: Callable[[], bool]) -> None:
        # Alert first, then mark: if the machine stops in between, the alert is repeated. In the
        # other order, the alert could be lost. An alert is only marked when its log line has been
        # written.
        unalerted = self._searches.alerts.due()
        for start in range(0, len(unalerted), _ALERTS_AT_ONCE):
            batch = unalerted[start : start + _ALERTS_AT_ONCE]
            if not self._settings.quiet:
                for each in batch:
                    self._announce(Alert.of(each, self._settings.folders, time.time()))
                while not delivered(_WAIT_SECONDS):
                    if is_stopped():
                        return
            self._searches.alerts.mark(batch)
            self._counters.found_duplicates(len(batch))
        self._searches.alerts.drop_ended()


def announce_to_log(alert: Alert) -> None:
    """Log one warning for each new picture."""
    log_event(log, logging.WARNING, Event.DUPLICATE, "%s", alert, **alert.keys())


def announce_to_file(path: Path) -> Callable[[Alert], None]:
    """Return a function that logs one warning for each new picture, and appends the same as a JSON
    line to a file, which may be rotated at any time."""
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
                    "%s can't be written, so alerts are only in this log: %s",
                    *(path, error.strerror),
                    path=str(path),
                    error=error.strerror,
                )
            is_failing = True

    return announce
