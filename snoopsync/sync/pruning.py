"""``resync --prune``: deletes the images that the configuration leaves out, and images without a
record.

An image ID is a hash and does not show the image's folder. So an image without a record is only
deleted when all configured folders are present and were completely scanned in the same resync. A
prune deletes everything in its plan or nothing. A plan that exceeds the guard's limit needs a
person's approval of exactly this plan.
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

    ``deletes``: the whole plan. ``waits``: nothing was deleted, because the plan needs an approval
    that it does not have: it exceeds the guard's limit, or there are ``doubts`` (one sentence
    each). ``kept``: why possibly unwanted images were kept (one sentence each). ``failed``: how
    many images of the plan could not be deleted.
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
        """How many images of each kind the plan deletes, one text per kind. ``configured``: the
        names of the configured folders."""
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
        """The pruning as JSON, for a command that asked the service. The JSON contains the plan
        only if it waits for approval."""
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
        """The pruning from the JSON that ``as_message`` returned."""
        deletes = tuple(_delete(each) for each in message["deletes"])
        return cls(
            deletes,
            message["waits"],
            tuple(message["kept"]),
            message["failed"],
            tuple(message["doubts"]),
        )


#: Returns whether a plan that needs approval is approved.
Approve = Callable[[Pruning], bool]


@dataclass
class Prune:
    """One prune, within a resync of ``monitors``. Create this before the scan of that resync
    begins."""

    engine: SyncEngine
    monitors: Sequence[FolderMonitor]
    approve: Approve
    outcome: Pruning = field(default_factory=Pruning)

    def __post_init__(self) -> None:
        self._scans_before = {each.folder.name: each.scans_ended for each in self.monitors}

    def run(self) -> Iterator[None]:
        """Plan, and delete what may be deleted. The engine performs a step at each ``yield``."""
        engine = self.engine
        self.outcome = self._plan()
        deletes = self.outcome.deletes
        is_much = engine.guard.exceeds(deletes, engine.schedule.now())
        needs_approval = is_much or bool(self.outcome.doubts)
        if needs_approval and not self.approve(self.outcome):
            self.outcome = replace(self.outcome, waits=True)
            return
        engine.remove(engine.guard.clear_prune(deletes, approved=needs_approval))
        while not engine.is_idle_except_settling:
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
            yield f"folder {name} was not completely scanned"
        elif monitor.unreadable:
            yield f"folder {name} could not be completely read: {monitor.row.reason}"

    def _unknown(self) -> frozenset[str]:
        remote = self.engine.listing.remote
        return frozenset(remote.unclaimed) if remote is not None else frozenset()

    def _keeps_unknown(self) -> tuple[str, ...]:
        """Why images without a record are kept: one sentence, or none if they are pruned."""
        count, waiting = len(self._unknown()), self.engine.unsettled
        if not count:
            return ()
        kept = f"not pruned: {images(count)} without a record"
        if len(self.monitors) < len(self.engine.monitors):
            return (
                f"{kept}: they may belong to another folder; to check all folders:"
                " snoopsync resync --prune",
            )
        if waiting:
            files = counted(waiting, "file that is", "files that are")
            return (f"{kept}: they may belong to {files} still waiting",)
        return ()

    def _doubts(self) -> tuple[str, ...]:
        """One sentence for each folder that may be an empty mount point: a folder without records
        looks the same as an empty mount point. With a single folder the guard's limits are
        enough."""
        if len(self.monitors) == 1:
            return ()
        return tuple(
            f"folder {monitor.folder.name} contains no image (an empty mount point?)"
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
