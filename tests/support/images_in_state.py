"""Images in a state file: planned, confirmed and looked up."""

from __future__ import annotations

from snoopsync.core.model import (
    File,
    Fingerprint,
    Record,
    RelPath,
)
from snoopsync.core.planner import Action, Add
from snoopsync.state.images import State
from snoopsync.state.intents import Outstanding, Sent

A, B, C = (RelPath("photos", name) for name in (b"a.jpg", b"b.jpg", b"c.jpg"))
ONE, TWO = b"1" * 32, b"2" * 32
NOW = 1000.0


def version(number: int, inode: int = 1) -> File:
    return File(Fingerprint(inode, 100, number, number))


def apply(state: State, *actions: Action) -> None:
    state.intents.apply(actions, NOW)


def due(state: State, now: float = NOW) -> list[Outstanding]:
    return state.intents.outstanding(100, now, ["photos", "scans"])


def the_only_due(state: State, now: float = NOW) -> Outstanding:
    [item] = due(state, now)
    return item


def confirm(state: State, item: Outstanding, sha256: bytes = ONE) -> None:
    state.intents.confirm(
        Sent(item.record.image_id, item.mark, sha256, "2024-01-01T00:00:00Z"), NOW
    )


def synced(
    state: State, rel_path: RelPath, image_id: str, inode: int = 1, sha256: bytes = ONE
) -> None:
    apply(state, Add(rel_path, image_id, version(1, inode)))
    [item] = [item for item in due(state) if item.record.image_id == image_id]
    confirm(state, item, sha256)


def record_of(state: State, image_id: str) -> Record:
    record = state.record(image_id)
    assert record is not None
    return record
