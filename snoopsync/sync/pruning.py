"""``resync --prune``: deletes the images that the configuration leaves out, and those that no
record knows.

An ID is a hash and does not tell its folder. So an image without a record is deleted only when all
configured folders are present and were scanned to the end in this very resync. A prune is all or
nothing. A plan that exceeds the guard's limit needs a person's approval of exactly this plan.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from snoopsync.core.model import RelPath, path_keys
from snoopsync.core.planner import Cause, Delete, prune
from snoopsync.core.text import counted, images
from snoopsync.folders.monitor import FolderMonitor

if TYPE_CHECKING:
    from snoopsync.sync.engine import SyncEngine


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a prune found and did.

    ``deletes``: the whole plan. ``waits``: the plan needs approval, because it exceeds the guard's
    limit or because there are ``doubts`` (one sentence each); it was not approved, and nothing of
    it was done. ``kept``: why images were kept that may be unwanted (one sentence each).
    ``failed``: images of the plan that could not be deleted.
    """

    deletes: tuple[Delete, ...] = ()
    waits: bool = False
    kept: tuple[str, ...] = ()
    failed: int = 0
    doubts: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Identifies exactly this plan. The order of the deletions does not matter."""
        plan = sorted(json.dumps(_delete_message(each), sort_keys=True) for each in self.deletes)
        return hashlib.sha256("\n".join(plan).encode()).hexdigest()

    def counts(self, configured: Sequence[str]) -> list[str]:
        """How many images of each kind the plan deletes, one text for each kind. ``configured``:
        the names of the folders in the configuration."""
        found: Counter[str] = Counter()
        for each in self.deletes:
            if each.rel_path is None:
                found["without a record"] += 1
            elif each.rel_path.folder in configured:
                found[f"left out of folder {each.rel_path.folder}"] += 1
            else:
                found[f"of folder {each.rel_path.folder}, which is not configured"] += 1
        return [f"{count} {what}" for what, count in found.items()]

    def as_message(self) -> dict[str, Any]:
        """The pruning as JSON, for a command that asked the service. It has the plan only if that
        needs approval."""
        shown = self.deletes if self.waits else ()
        return {
            "deletes": [_delete_message(each) for each in shown],
            "waits": self.waits,
            "kept": list(self.kept),
            "failed": self.failed,
            "doubts": list(self.doubts),
        }

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Pruning:
        """The pruning that ``as_message`` returned."""
        deletes = tuple(_delete(each) for each in message["deletes"])
        return cls(
            deletes,
            message["waits"],
            tuple(message["kept"]),
            message["failed"],
            tuple(message["doubts"]),
        )


#: Is this plan, which exceeds the limit, approved?
Approve = Callable[[Pruning], bool]


@dataclass
class Prune:
    """One prune, within a resync of ``monitors``. Create it before the scan of that resync
    begins."""

    engine: SyncEngine
    monitors: Sequence[FolderMonitor]
    approve: Approve
    outcome: Pruning = field(default_factory=Pruning)

    def __post_init__(self) -> None:
        self._scans_before = {each.folder.name: each.scans_ended for each in self.monitors}

    def run(self) -> Iterator[None]:
        """Plan, and delete what may be deleted. The engine makes a step at each ``yield``."""
        engine = self.engine
        self.outcome = self._plan()
        deletes = self.outcome.deletes
        is_much = engine.guard.exceeds(deletes, engine.schedule.now())
        needs_approval = is_much or bool(self.outcome.doubts)
        if needs_approval and not self.approve(self.outcome):
            self.outcome = replace(self.outcome, waits=True)
            return
        engine.remove(engine.guard.clear_prune(deletes, approved=needs_approval))
        while not engine.is_at_rest:
            yield
        self.outcome = replace(self.outcome, failed=engine.sender.tally.unpruned)

    def _plan(self) -> Pruning:
        obstacles = [why for each in self.engine.monitors for why in self._obstacles(each)]
        if obstacles:
            return Pruning(kept=tuple(f"nothing is pruned: {why}" for why in obstacles))
        is_all = len(self.monitors) == len(self.engine.monitors)
        names = None if is_all else {each.folder.name for each in self.monitors}
        kept = self._keeps_unknown()
        unknown = frozenset[str]() if kept else self._unknown()
        doubts = self._doubts() if unknown else ()
        return Pruning(tuple(prune(self.engine.left_out(names), unknown)), kept=kept, doubts=doubts)

    def _obstacles(self, monitor: FolderMonitor) -> Iterator[str]:
        name = monitor.folder.name
        if monitor.is_missing:
            yield f"folder {name} is missing"
        elif monitor not in self.monitors:
            return
        elif monitor.is_busy or monitor.scans_ended == self._scans_before[name]:
            yield f"folder {name} was not scanned to the end"
        elif monitor.unreadable:
            yield f"folder {name} could not be read completely: {monitor.row.reason}"

    def _unknown(self) -> frozenset[str]:
        remote = self.engine.listing.remote
        return remote.unclaimed if remote is not None else frozenset()

    def _keeps_unknown(self) -> tuple[str, ...]:
        """Why images without a record are kept: one sentence, or none if they are not."""
        count, waiting = len(self._unknown()), self.engine.unsettled
        if not count:
            return ()
        kept = f"not pruned: {images(count)} without a record"
        if len(self.monitors) < len(self.engine.monitors):
            return (
                f"{kept}: only a resync of all folders can tell whether they belong to another one"
                " (snoopsync resync --prune)",
            )
        if waiting:
            files = counted(waiting, "file that is", "files that are")
            return (f"{kept}: they may belong to {files} still waiting",)
        return ()

    def _doubts(self) -> tuple[str, ...]:
        """Folders that may be empty mount points: without a record of its files, nothing tells an
        empty mount point from the folder itself. With a single folder the guard's limits apply."""
        if len(self.monitors) == 1:
            return ()
        return tuple(
            f"folder {monitor.folder.name} holds no image (an empty mount point?)"
            for monitor in self.monitors
            if not monitor.scanned
        )


def _delete_message(delete: Delete) -> dict[str, Any]:
    return {**path_keys(delete.rel_path), "image_id": delete.image_id, "cause": delete.cause}


def _delete(message: dict[str, Any]) -> Delete:
    rel_path = None
    if message["folder"] is not None:
        rel_path = RelPath(message["folder"], os.fsencode(message["path"]))
    return Delete(rel_path, message["image_id"], Cause(message["cause"]))
