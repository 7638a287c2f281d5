"""Which deletions may be sent, which wait for a person, and which for the whole picture."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from snoopsync.config.settings import HoldPolicy
from snoopsync.events import Event, happened
from snoopsync.hold import WINDOW_SECONDS, Losses, must_hold
from snoopsync.model import Fingerprint, Place, printable
from snoopsync.planner import Delete
from snoopsync.state.images import State

log = logging.getLogger("snoopsync.deletions")

_SAMPLE_PATHS = 3


@dataclass
class Verdict:
    """What becomes of some deletions. ``unsettled`` are to be asked about again: whether they are
    too many is only known when more files, seen to be gone, are gone for long enough."""

    send: list[Delete] = field(default_factory=list)
    hold: list[Delete] = field(default_factory=list)
    unsettled: list[Delete] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _LetGo:
    """A deletion that may be sent, and the file as it was last seen."""

    delete: Delete
    seen: Fingerprint


class DeletionGuard:
    """Counts deletions by folder. ``policy`` is ``None`` if nothing is ever held."""

    def __init__(self, policy: HoldPolicy | None, state: State) -> None:
        self._policy = policy
        self._state = state
        self._deletions = state.deletions
        self._let_go: dict[str, dict[str, _LetGo]] = defaultdict(dict)
        self._told: dict[str, int] = {}

    def judge(
        self,
        deletes: Sequence[Delete],
        vanishing: Callable[[str], frozenset[Place]],
        now: float,
    ) -> Verdict:
        """Decide about the deletions of one plan. ``vanishing`` gives the places of a folder that
        are seen to be gone, but not for long enough; ``now`` is Unix time."""
        verdict = Verdict()
        approved: set[str] = set()
        unproven: set[str] = set()
        by_folder: dict[str, list[Delete]] = defaultdict(list)
        for folder in {delete.place.folder for delete in deletes if delete.place}:
            self._deletions.approve_refused(folder, (delete.image_id for delete in deletes))
            approved |= {record.image_id for record in self._deletions.approved(folder)}
            unproven |= self._deletions.needing_approval(folder)
        for delete in deletes:
            if delete.place is not None and delete.image_id in unproven:
                verdict.hold.append(delete)
            elif delete.place is None or self._policy is None or delete.image_id in approved:
                verdict.send.append(delete)
            else:
                by_folder[delete.place.folder].append(delete)
        # An older backup of the disk looks like that, so no number of them is small enough.
        self._tell_unproven(verdict.hold)
        for folder, asked in by_folder.items():
            others = len(vanishing(folder) - {delete.place for delete in asked})
            self._judge_folder(folder, asked, others, now, verdict)
        return verdict

    def _tell_unproven(self, deletes: Sequence[Delete]) -> None:
        by_folder: dict[str, list[Place]] = defaultdict(list)
        for delete in deletes:
            if delete.place is not None:
                by_folder[delete.place.folder].append(delete.place)
        for folder, places in by_folder.items():
            happened(
                log,
                logging.WARNING,
                Event.DELETIONS_HELD,
                "folder %s: %d files are missing since its disk was recognised by its contents;"
                " their deletion is held: %s%s; to delete the images: snoopsync approve %s; to"
                " keep them: snoopsync approve --discard %s",
                *(folder, len(places)),
                ", ".join(printable(place.path) for place in places[:_SAMPLE_PATHS]),
                ", ..." if len(places) > _SAMPLE_PATHS else "",
                *(folder, folder),
                folder=folder,
                count=len(places),
                percent=round(100 * len(places) / self._deletions.count_images(folder), 1),
                samples=[place.text for place in places[:_SAMPLE_PATHS]],
            )

    def _judge_folder(
        self, folder: str, asked: list[Delete], others: int, now: float, verdict: Verdict
    ) -> None:
        assert self._policy is not None
        held = {record.image_id: record.place for record in self._deletions.held(folder)}
        images = self._deletions.count_images(folder)
        sent = self._deletions.sent_since(folder, now - WINDOW_SECONDS)
        unsent = self._unsent(folder)
        coming = list(({delete.image_id: delete for delete in asked} | unsent).values())
        known = len(held.keys() | {delete.image_id for delete in coming})
        losses = Losses(images, sent, known)
        count, percent = self._policy.count, self._policy.percent
        if must_hold(losses, count, percent):
            verdict.hold += coming
            self._let_go.pop(folder, None)
            if not held:
                self._told.pop(folder, None)
            places = [delete.place for delete in coming if delete.place]
            self._tell(folder, list(dict.fromkeys([*held.values(), *places])), losses)
        elif others and must_hold(Losses(images, sent, known + others), count, percent):
            verdict.unsettled += asked
        else:
            verdict.send += asked
            for delete in asked:
                record = self._state.record(delete.image_id)
                if record is not None:
                    self._let_go[folder][delete.image_id] = _LetGo(delete, record.seen)

    def _unsent(self, folder: str) -> dict[str, Delete]:
        """The deletions that were let go, and are not done: in an outage they gather."""
        let_go = self._let_go.pop(folder, None)
        if let_go is None:
            return {}
        dirty = {record.image_id: record for record in self._state.intents.dirty_records(folder)}
        self._let_go[folder] = {
            image_id: item
            for image_id, item in let_go.items()
            # Planned for anew since, if something else was seen at its place.
            if image_id in dirty and dirty[image_id].seen == item.seen
        }
        return {image_id: item.delete for image_id, item in self._let_go[folder].items()}

    def _tell(self, folder: str, places: Sequence[Place], losses: Losses) -> None:
        # Not for each one that trickles in: again when they are twice as many.
        if losses.coming < 2 * self._told.get(folder, 0):
            return
        self._told[folder] = losses.coming
        samples = places[:_SAMPLE_PATHS]
        happened(
            log,
            logging.WARNING,
            Event.DELETIONS_HELD,
            "folder %s: %d deletions (%.0f %% of it) are held, none is sent: %s%s;"
            " to let them go: snoopsync approve %s; to keep the images: snoopsync approve"
            " --discard %s",
            folder,
            losses.coming,
            losses.percent,
            ", ".join(printable(place.path) for place in samples),
            ", ..." if len(places) > len(samples) else "",
            *(folder, folder),
            folder=folder,
            count=losses.coming,
            percent=round(losses.percent, 1),
            samples=[place.text for place in samples],
        )
