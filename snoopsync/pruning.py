"""``resync --prune``: deletes the images that the configuration leaves out, and those that no
record knows.

An ID is a hash and does not tell its folder. So an image without a record is deleted only when all
configured folders are there and were scanned to the end in this very run. A prune is all or
nothing, and more than the guard's limit needs a person's approval of exactly this plan.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from snoopsync.assembly import Assembly
from snoopsync.model import Place, place_keys
from snoopsync.planner import Cause, Delete, prune
from snoopsync.survey import Survey


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a prune found and did.

    ``deletes``: its whole plan. ``waits``: the plan is more than the guard's limit, nobody approved
    it, and nothing of it was done. ``kept``: why images were kept that may be unwanted, a sentence
    each. ``failed``: images of the plan that could not be deleted.
    """

    deletes: tuple[Delete, ...] = ()
    waits: bool = False
    kept: tuple[str, ...] = ()
    failed: int = 0

    @property
    def digest(self) -> str:
        """Names exactly this plan. The order of the deletions does not matter."""
        plan = sorted(json.dumps(_delete_message(each), sort_keys=True) for each in self.deletes)
        return hashlib.sha256("\n".join(plan).encode()).hexdigest()

    def counts(self, configured: Sequence[str]) -> list[str]:
        """How many images it is about, in words, by what they are. ``configured``: the names of
        the folders in the configuration."""
        found: Counter[str] = Counter()
        for each in self.deletes:
            if each.place is None:
                found["without a record"] += 1
            elif each.place.folder in configured:
                found[f"left out of folder {each.place.folder}"] += 1
            else:
                found[f"of folder {each.place.folder}, which is not configured"] += 1
        return [f"{count} {what}" for what, count in found.items()]

    def as_message(self) -> dict[str, Any]:
        """The pruning as JSON has it, for a command that asked the service. The plan is in it only
        if that has to be approved."""
        shown = self.deletes if self.waits else ()
        return {
            "deletes": [_delete_message(each) for each in shown],
            "waits": self.waits,
            "kept": list(self.kept),
            "failed": self.failed,
        }

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Pruning:
        """The pruning that ``as_message`` wrote."""
        deletes = tuple(_delete(each) for each in message["deletes"])
        return cls(deletes, message["waits"], tuple(message["kept"]), message["failed"])


#: Is this plan, which is more than the limit, approved?
Approve = Callable[[Pruning], bool]


@dataclass
class Prune:
    """One prune, within a resync of ``surveys``. Make it before the scan of that resync begins."""

    assembly: Assembly
    surveys: Sequence[Survey]
    approve: Approve
    outcome: Pruning = field(default_factory=Pruning)

    def __post_init__(self) -> None:
        self._scanned_before = {each.folder.name: each.row.last_scan for each in self.surveys}

    def run(self) -> Iterator[None]:
        """Plan, and delete what may be deleted. A step of the mirror is done at each ``yield``."""
        assembly, mirror = self.assembly, self.assembly.mirror
        self.outcome = self._plan()
        deletes = self.outcome.deletes
        is_much = mirror.guard.exceeds(deletes, assembly.clock.now())
        if is_much and not self.approve(self.outcome):
            self.outcome = replace(self.outcome, waits=True)
            return
        mirror.remove(mirror.guard.clear_prune(deletes, approved=is_much))
        while not mirror.is_at_rest:
            yield
        self.outcome = replace(self.outcome, failed=mirror.sender.tally.unpruned)

    def _plan(self) -> Pruning:
        mirror = self.assembly.mirror
        obstacles = [why for each in self.assembly.surveys for why in self._obstacles(each)]
        if obstacles:
            return Pruning(kept=tuple(f"nothing is pruned: {why}" for why in obstacles))
        if len(self.surveys) == len(self.assembly.surveys):
            left_out, unknown, kept = mirror.left_out(), self._unknown(), self._keeps_unknown()
        else:
            left_out = mirror.left_out({each.folder.name for each in self.surveys})
            unknown, kept = frozenset[str](), self._not_all()
        return Pruning(tuple(prune(left_out, frozenset() if kept else unknown)), kept=kept)

    def _obstacles(self, survey: Survey) -> Iterator[str]:
        name = survey.folder.name
        if survey.is_missing:
            yield f"folder {name} is missing"
        elif survey not in self.surveys:
            return
        elif survey.is_busy or survey.row.last_scan == self._scanned_before[name]:
            yield f"folder {name} was not scanned to the end"
        elif survey.unreadable:
            yield f"folder {name} is not all there: {survey.row.reason}"

    def _unknown(self) -> frozenset[str]:
        remote = self.assembly.mirror.comparison.remote
        return remote.unclaimed if remote is not None else frozenset()

    def _keeps_unknown(self) -> tuple[str, ...]:
        count, waiting = len(self._unknown()), self.assembly.mirror.unsettled
        kept = f"{_images(count)} without a record are kept"
        if not count:
            return ()
        if waiting:
            return (f"{kept}: they may belong to the {waiting} files that are still waiting",)
        # Without a record of its files an empty mount point looks like the folder itself.
        return tuple(
            f"{kept}: folder {survey.folder.name} holds no image (an empty mount point?); if that"
            " is right, remove it from the configuration first"
            for survey in self.surveys
            if not survey.scanned
        )

    def _not_all(self) -> tuple[str, ...]:
        count = len(self._unknown())
        if not count:
            return ()
        return (
            f"{_images(count)} without a record are kept: only a resync of all folders can tell"
            " whether they belong to another one (snoopsync resync --prune)",
        )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _delete_message(delete: Delete) -> dict[str, Any]:
    return {**place_keys(delete.place), "image_id": delete.image_id, "cause": delete.cause}


def _delete(message: dict[str, Any]) -> Delete:
    place = None
    if message["folder"] is not None:
        place = Place(message["folder"], os.fsencode(message["path"]))
    return Delete(place, message["image_id"], Cause(message["cause"]))
