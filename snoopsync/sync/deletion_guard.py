"""Decides which deletions may be sent, which wait for a person, and which cannot be judged yet.

Every deletion passes the guard: the sender only removes images whose deletion the guard has
cleared.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from snoopsync.config.settings import HoldPolicy
from snoopsync.core.bulk_guard import WINDOW_SECONDS, Losses, must_hold
from snoopsync.core.events import Event, log_event
from snoopsync.core.model import Fingerprint, RelPath, printable
from snoopsync.core.planner import Cause, Delete
from snoopsync.core.text import counted
from snoopsync.state.images import State

log = logging.getLogger("snoopsync.deletions")

_SAMPLE_PATHS = 3

#: The longest delay of the first message about held deletions while files keep disappearing, in
#: seconds.
_COUNTING_SECONDS = 60.0

#: A changed number of held deletions is logged after this many seconds. Each further pause is twice
#: as long, up to the maximum.
_LOG_PAUSE_SECONDS = 5.0
_MAX_LOG_PAUSE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Cleared:
    """A deletion that may be sent. Only the guard creates these.

    ``counts``: the deletion counts towards the limit, because nobody approved it. ``newest``: the
    number of the newest image row when the loss was noticed.
    """

    delete: Delete
    counts: bool
    newest: int


@dataclass(frozen=True, slots=True)
class FolderView:
    """What the guard needs to know about a folder beyond the state file.

    ``vanishing``: paths that are gone and have no plan yet, without approved deletions. ``newest``:
    the number of the newest image row before the first loss was noticed. Later rows are new files.
    """

    vanishing: Collection[RelPath]
    newest: int


@dataclass
class Verdict:
    """The decision about some deletions. The ``unsettled`` deletions must be judged again: it is
    only known whether they are too many when more files have been gone for long enough."""

    send: list[Cleared] = field(default_factory=list)
    hold: list[Delete] = field(default_factory=list)
    unsettled: list[Delete] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Unsent:
    """A deletion that was cleared, and the file as it was last seen."""

    cleared: Cleared
    seen: Fingerprint


@dataclass
class _HeldReport:
    """What to log about the held deletions of one folder. Times are monotonic seconds."""

    losses: Losses
    counted_by: float
    logged: int = 0
    due: float = 0.0
    pause_seconds: float = _LOG_PAUSE_SECONDS
    is_new: bool = True


class DeletionGuard:
    """Counts deletions by folder. Without a ``policy``, deletions are never held for being too
    many."""

    def __init__(self, policy: HoldPolicy | None, state: State) -> None:
        self._policy = policy
        self._state = state
        self._deletions = state.deletions
        self._cleared: dict[str, dict[str, _Unsent]] = defaultdict(dict)
        self._reports: dict[str, _HeldReport] = {}
        # The folders whose held deletions were logged, perhaps by an earlier run.
        folders = (row.name for row in state.folders.rows())
        self._logged = {folder for folder in folders if self._deletions.holds_any(folder)}

    def judge(
        self,
        deletes: Sequence[Delete],
        view: Callable[[str], FolderView],
        now: float,
        monotonic: float = 0.0,
    ) -> Verdict:
        """Decide about the deletions of one plan, for images whose files are gone. ``view`` returns
        what is known about a folder. ``now`` is schedule time."""
        verdict = Verdict()
        by_folder: dict[str, list[Delete]] = defaultdict(list)
        for delete in deletes:
            assert delete.rel_path is not None
            by_folder[delete.rel_path.folder].append(delete)
        for folder, asked in by_folder.items():
            seen = view(folder)
            self._deletions.approve_refused(folder, (delete.image_id for delete in asked))
            approved = {
                record.image_id: record.rel_path for record in self._deletions.approved(folder)
            }
            seen = replace(seen, vanishing=set(seen.vanishing).difference(approved.values()))
            # The folder may be an older backup, so even a single one of these deletions is held.
            unproven = self._deletions.needing_approval(folder)
            held = [delete for delete in asked if delete.image_id in unproven]
            if held:
                self._hold(folder, held, seen.newest, now, monotonic, verdict)
            counted = []
            for delete in asked:
                if delete.image_id in unproven:
                    continue
                if delete.image_id in approved:
                    verdict.send.append(Cleared(delete, counts=False, newest=seen.newest))
                else:
                    counted.append(delete)
            if self._policy is None:
                verdict.send += [Cleared(each, counts=True, newest=seen.newest) for each in counted]
            elif counted:
                self._judge_folder(folder, counted, seen, now, monotonic, verdict)
        return verdict

    def _hold(
        self,
        folder: str,
        deletes: Sequence[Delete],
        newest: int,
        now: float,
        monotonic: float,
        verdict: Verdict,
    ) -> None:
        losses = self._losses(folder, {delete.image_id for delete in deletes}, newest, now)
        verdict.hold += deletes
        self._note_held(folder, losses, monotonic)

    def _judge_folder(
        self,
        folder: str,
        asked: list[Delete],
        seen: FolderView,
        now: float,
        monotonic: float,
        verdict: Verdict,
    ) -> None:
        unsent = self._unsent(folder)
        coming = {item.cleared.delete.image_id: item.cleared.delete for item in unsent}
        coming |= {delete.image_id: delete for delete in asked}
        newest = min([seen.newest, *(item.cleared.newest for item in unsent)])
        losses = self._losses(folder, coming.keys(), newest, now)
        others = len(set(seen.vanishing) - {delete.rel_path for delete in coming.values()})
        with_others = Losses(
            max(0, losses.kept - others), losses.sent, losses.coming + others, losses.unconfirmed
        )
        if self._is_too_much(losses):
            verdict.hold += coming.values()
            self._cleared.pop(folder, None)
            self._note_held(folder, losses, monotonic)
        elif others and self._is_too_much(with_others):
            verdict.unsettled += asked
        else:
            for delete in asked:
                cleared = Cleared(delete, counts=True, newest=newest)
                verdict.send.append(cleared)
                record = self._state.record(delete.image_id)
                if record is not None:
                    self._cleared[folder][delete.image_id] = _Unsent(cleared, record.seen)

    def exceeds(self, deletes: Sequence[Delete], now: float) -> bool:
        """Whether these deletions of a prune are too many to be sent without approval. They are
        counted by folder. Images without a record are counted against all images of the owner."""
        by_folder: dict[str | None, list[str]] = defaultdict(list)
        for delete in deletes:
            folder = delete.rel_path.folder if delete.rel_path is not None else None
            by_folder[folder].append(delete.image_id)
        newest = self._deletions.newest()
        return any(
            self._is_too_much(self._losses(folder, image_ids, newest, now))
            for folder, image_ids in by_folder.items()
        )

    def clear_prune(self, deletes: Sequence[Delete], *, approved: bool) -> list[Cleared]:
        """Clear the deletions of a prune. Either a person ``approved`` them, or they are few
        enough."""
        assert all(delete.cause is not Cause.GONE for delete in deletes)
        newest = self._deletions.newest()
        return [Cleared(delete, counts=not approved, newest=newest) for delete in deletes]

    def _losses(
        self, folder: str | None, image_ids: Collection[str], newest: int, now: float
    ) -> Losses:
        sent = self._deletions.sent_since(folder, now - WINDOW_SECONDS)
        newest = min(newest, self._deletions.newest_when_noticed(folder))
        kept, coming, unconfirmed = self._deletions.count_losses(folder, image_ids, newest)
        return Losses(kept, sent, coming, unconfirmed)

    def _is_too_much(self, losses: Losses) -> bool:
        if self._policy is None:
            return False
        return must_hold(losses, self._policy.count, self._policy.percent)

    def _unsent(self, folder: str) -> list[_Unsent]:
        """The cleared deletions that are not done yet. They accumulate during an outage."""
        cleared = self._cleared.pop(folder, None)
        if cleared is None:
            return []
        dirty = {record.image_id: record for record in self._state.intents.dirty_records(folder)}
        self._cleared[folder] = {
            image_id: item
            for image_id, item in cleared.items()
            # Otherwise something else was seen at the path since then, and has another plan.
            if image_id in dirty and dirty[image_id].seen == item.seen
        }
        return list(self._cleared[folder].values())

    # Logging.

    def _note_held(self, folder: str, losses: Losses, monotonic: float) -> None:
        if not self._deletions.holds_any(folder):
            self._reports.pop(folder, None)
        report = self._reports.setdefault(
            folder, _HeldReport(losses, monotonic + _COUNTING_SECONDS)
        )
        report.losses = losses
        report.is_new = True

    def note_decided(self, folder: str, count: int, decision: str) -> None:
        """Log that all held deletions of a folder, so many, were ``approved`` or ``discarded``."""
        self._reports.pop(folder, None)
        self._logged.discard(folder)
        if count:
            deletions = counted(count, "held deletion was", "held deletions were")
            _log_released(folder, f"{deletions} {decision}", decision)

    def _report_released(self) -> None:
        """Log that no deletions are held any more, for example because the files are back."""
        for folder in [each for each in self._logged if not self._deletions.holds_any(each)]:
            self._reports.pop(folder, None)
            self._logged.discard(folder)
            _log_released(folder, "no deletions are held any more")

    def report(
        self, is_vanishing: Callable[[str], bool], monotonic: float, *, is_last: bool = False
    ) -> None:
        """Log how many deletions are held: first when no more files are disappearing, again when
        the number has doubled, and from time to time while it changes. ``is_last``: this is the
        last call, so log an unlogged number now. Log also when no deletions are held any more."""
        self._report_released()
        for folder, report in self._reports.items():
            if not report.is_new:
                continue
            held = self._deletions.count_held(folder)
            is_counted = not is_vanishing(folder) or monotonic >= report.counted_by
            is_due = held >= 2 * report.logged or monotonic >= report.due
            if is_last or (is_counted and is_due):
                report.is_new = False
                if held not in (0, report.logged):
                    self._log_held(folder, report, held, monotonic)

    def _log_held(self, folder: str, report: _HeldReport, held: int, monotonic: float) -> None:
        report.logged = held
        self._logged.add(folder)
        report.due = monotonic + report.pause_seconds
        report.pause_seconds = min(2 * report.pause_seconds, _MAX_LOG_PAUSE_SECONDS)
        before = max(report.losses.before, held)
        percent = 100.0 * (report.losses.sent + held) / before if before else 0.0
        samples = [record.rel_path for record in self._deletions.held(folder, _SAMPLE_PATHS)]
        unproven = len(self._deletions.needing_approval(folder))
        why = f" ({unproven} of them since the disk was recognised by its contents)"
        log_event(
            log,
            logging.WARNING,
            Event.DELETIONS_HELD,
            "folder %s: %d deletions (%.0f %% of its images) are held%s: %s%s;"
            " to delete the images: snoopsync approve %s; to keep the images: snoopsync approve"
            " --discard %s",
            folder,
            held,
            percent,
            why if unproven else "",
            ", ".join(printable(rel_path.path) for rel_path in samples),
            ", ..." if held > len(samples) else "",
            *(folder, folder),
            folder=folder,
            count=held,
            percent=round(percent, 1),
            samples=[rel_path.text for rel_path in samples],
        )


def _log_released(folder: str, what: str, reason: str | None = None) -> None:
    message, keys = "folder %s: %s", {"folder": folder, "reason": reason}
    log_event(log, logging.INFO, Event.DELETIONS_RELEASED, message, folder, what, **keys)
