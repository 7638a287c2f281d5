"""Decides what to do, as a pure function of what is on the disk, in the state file and remote.

``run`` and ``resync`` both plan here. They differ only in whether the collection's listing is
known. The rules apply in this order, and each relies on those before it:

1. A record stays at its path while the file there is the same one (by inode).
2. A record whose file is not at its path any more moves to the path where that file is found: by
   the file's identity first, then by the content's hash, unless the record's own path has the same
   bytes again. A record never moves onto the path of a record that finds no new path itself: that
   would leave an image without a file to prove gone. A record that is dirty, or that the collection
   has lost, also moves, and is sent from its new path.
3. A record that did not move, with another file at its path, was atomically replaced: an update.
4. A record that did not move, with no file at its path, is deleted once that is certain.
5. A file that no record moved to is new. It is adopted if the collection holds it already, and
   added if not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar

from snoopsync.core.model import File, Gone, Observation, Record, RelPath, image_ids


class Verb(StrEnum):
    """The name of an action, as it is shown to people."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    RENAME = "rename"
    ADOPT = "adopt"
    FORGET = "forget"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class _OfFile:
    """An action about the file at ``rel_path``."""

    rel_path: RelPath
    image_id: str
    file: File


@dataclass(frozen=True, slots=True)
class Add(_OfFile):
    """Send the file. The collection does not have the image."""

    verb: ClassVar = Verb.ADD


@dataclass(frozen=True, slots=True)
class Update(_OfFile):
    """Send the file. The collection has other bytes under this ID."""

    verb: ClassVar = Verb.UPDATE


@dataclass(frozen=True, slots=True)
class Rename(_OfFile):
    """The file of the image is now at ``rel_path``. Nothing is sent."""

    verb: ClassVar = Verb.RENAME
    source: RelPath


@dataclass(frozen=True, slots=True)
class Refresh(_OfFile):
    """The file was touched, or is back, and its bytes are the confirmed ones. Nothing is sent."""

    verb: ClassVar = Verb.REFRESH


@dataclass(frozen=True, slots=True)
class Adopt(_OfFile):
    """The collection holds this file already, under this ID. Nothing is sent."""

    verb: ClassVar = Verb.ADOPT
    sha256: bytes


class Cause(StrEnum):
    """Why an image is deleted. Only ``GONE`` is planned without a request."""

    GONE = "the file is gone"
    LEFT_OUT = "the configuration leaves the file out"
    UNKNOWN = "no record knows the image"


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the image. ``rel_path`` is ``None`` exactly if the cause is ``UNKNOWN``."""

    verb: ClassVar = Verb.DELETE
    rel_path: RelPath | None
    image_id: str
    cause: Cause = Cause.GONE


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the record. The collection does not have the image any more."""

    verb: ClassVar = Verb.FORGET
    rel_path: RelPath
    image_id: str


Action = Add | Update | Rename | Refresh | Adopt | Delete | Forget


@dataclass(frozen=True, slots=True)
class Found:
    """What a search with a file's bytes found: the unclaimed image that the file is, if it is one,
    and the SHA-256 of the file, if it could be read."""

    image_id: str | None = None
    sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """What the collection's listing says beside the state file.

    ``unclaimed``: our images that no record knows. ``missing``: confirmed images that are proven
    not to be in the collection. ``found``: for files that were searched for, what was found.
    ``reserved``: the unclaimed images that were found for any file, whether or not the file is part
    of this plan.
    """

    unclaimed: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    found: Mapping[RelPath, Found] = field(default_factory=dict)
    reserved: Container[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlanInput:
    """Everything that a plan is made from.

    ``asked`` are the paths to decide on. ``observations`` and ``records`` also have the paths that
    a file may have come from. ``gone_for_good`` are the paths that were seen to be gone for long
    enough. ``hashes`` has the SHA-256 of the files whose content may decide. ``taken`` has the IDs
    that a new file could get and that are given out already.
    """

    owner: str
    asked: frozenset[RelPath]
    observations: Mapping[RelPath, Observation]
    records: Mapping[RelPath, Record]
    taken: Container[str]
    hashes: Mapping[RelPath, bytes] = field(default_factory=dict)
    gone_for_good: frozenset[RelPath] = frozenset()
    remote: Remote | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions that make the collection equal to the disk, in an order in which they can be
    applied one after the other: renames together and first, then what is sent, deletions last.

    ``unsearched``: new files that may be unclaimed images. Nothing is planned for them before the
    collection was searched for them.
    """

    actions: list[Action]
    unsearched: list[RelPath]


def plan(plan_input: PlanInput) -> Plan:
    """What to do about the paths that are asked for."""
    moves = _find_moves(plan_input)
    moved_to = {rel_path: record for record, rel_path in moves.items()}
    moved_from = {record.rel_path for record in moves}

    actions: list[Action] = [
        Rename(rel_path, record.image_id, _file(plan_input, rel_path), record.rel_path)
        for rel_path, record in sorted(moved_to.items())
    ]
    for rel_path, moved in sorted(moved_to.items()):
        actions += _keep_moved(plan_input, moved, rel_path)
    new: list[RelPath] = []
    deletions: list[Action] = []
    for rel_path in sorted(plan_input.asked):
        observation = plan_input.observations[rel_path]
        record = None if rel_path in moved_from else plan_input.records.get(rel_path)
        if isinstance(observation, File) and rel_path not in moved_to:
            if record is None:
                new.append(rel_path)
            else:
                actions += _keep(plan_input, record, observation)
        elif isinstance(observation, Gone) and rel_path in plan_input.gone_for_good and record:
            deletions.append(_remove(plan_input, record))
    remote = plan_input.remote or Remote()
    unsearched = [each for each in new if remote.unclaimed and each not in remote.found]
    searched = new if not unsearched else [each for each in new if each in remote.found]
    actions += _settle_new(plan_input, remote, searched)
    return Plan(actions + deletions, unsearched)


def prune(left_out: Iterable[Record], unknown: Iterable[str]) -> list[Delete]:
    """Deletions that only a person can ask for: of images whose files the configuration leaves
    out, and of images of ours that no record knows."""
    deletes = [Delete(each.rel_path, each.image_id, Cause.LEFT_OUT) for each in left_out]
    return deletes + [Delete(None, image_id, Cause.UNKNOWN) for image_id in sorted(unknown)]


def _file(plan_input: PlanInput, rel_path: RelPath) -> File:
    observation = plan_input.observations[rel_path]
    assert isinstance(observation, File)
    return observation


def _keep(plan_input: PlanInput, record: Record, file: File) -> list[Action]:
    """At the record's path is its own file, or one that replaced it."""
    lost = plan_input.remote is not None and record.image_id in plan_input.remote.missing
    if lost:
        return [Add(record.rel_path, record.image_id, file)]
    if file.fingerprint == record.seen:
        # Confirmed, or planned for already and waiting to be sent.
        return (
            [Refresh(record.rel_path, record.image_id, file)] if record.marked_for_deletion else []
        )
    if record.sha256 is None:
        return [Add(record.rel_path, record.image_id, file)]
    if record.dirty:
        # A request may have succeeded although its answer was lost. Only sending again is safe.
        return [Update(record.rel_path, record.image_id, file)]
    if plan_input.hashes.get(record.rel_path) == record.sha256:
        return [Refresh(record.rel_path, record.image_id, file)]
    return [Update(record.rel_path, record.image_id, file)]


def _keep_moved(plan_input: PlanInput, record: Record, rel_path: RelPath) -> list[Action]:
    """The record's own file is at its new path: what has to be sent of it, if anything."""
    file = _file(plan_input, rel_path)
    moved = replace(record, rel_path=rel_path, seen=file.fingerprint, marked_for_deletion=False)
    return _keep(plan_input, moved, file)


def _remove(plan_input: PlanInput, record: Record) -> Action:
    lost = plan_input.remote is not None and record.image_id in plan_input.remote.missing
    if lost and not record.dirty:
        return Forget(record.rel_path, record.image_id)
    # An image that is lost and dirty may be a deletion of ours that was done and not recorded. The
    # deletion is sent again, finds nothing, and is counted as every other one.
    return Delete(record.rel_path, record.image_id)


def _find_moves(plan_input: PlanInput) -> dict[Record, RelPath]:
    """The records that have a new path: rule 2."""
    homeless = [record for record in plan_input.records.values() if _has_left(plan_input, record)]
    if not homeless:
        return {}
    left = {record.rel_path for record in homeless}
    open_paths = [
        rel_path
        for rel_path, observation in sorted(plan_input.observations.items())
        if isinstance(observation, File)
        and (rel_path not in plan_input.records or rel_path in left)
    ]
    by_inode: dict[int, list[Record]] = defaultdict(list)
    by_content: dict[bytes, list[Record]] = defaultdict(list)
    for record in homeless:
        by_inode[record.seen.inode].append(record)
        sha256 = _known_content(record)
        if sha256 is not None and plan_input.hashes.get(record.rel_path) != sha256:
            by_content[sha256].append(record)

    def same_file(rel_path: RelPath) -> list[Record]:
        inode = _file(plan_input, rel_path).fingerprint.inode
        return [
            record
            for record in by_inode.get(inode, ())
            if _is_same_file(plan_input, record, rel_path)
        ]

    def same_content(rel_path: RelPath) -> list[Record]:
        return by_content.get(plan_input.hashes.get(rel_path, b""), [])

    moves: dict[Record, RelPath] = {}
    for like in (same_file, same_content):
        _match(open_paths, like, moves)
    _cancel_evictions(plan_input, left, moves)
    return moves


def _has_left(plan_input: PlanInput, record: Record) -> bool:
    observation = plan_input.observations.get(record.rel_path)
    if isinstance(observation, File):
        return observation.fingerprint.inode != record.seen.inode
    return isinstance(observation, Gone)


def _known_content(record: Record) -> bytes | None:
    """The hash of what the collection holds, if that is certain."""
    return None if record.dirty else record.sha256


def _is_same_file(plan_input: PlanInput, record: Record, rel_path: RelPath) -> bool:
    """Is the file at this path the record's? It has the same four numbers, or three of them and the
    same content: renaming changes the ctime, and a file system gives a freed inode to the next new
    file. Unknown content, which is sent again wherever the record goes, needs no proof."""
    fingerprint = _file(plan_input, rel_path).fingerprint
    if fingerprint == record.seen:
        return True
    if not fingerprint.same_file(record.seen):
        return False
    sha256 = _known_content(record)
    return sha256 is None or plan_input.hashes.get(rel_path) == sha256


def _match(
    open_paths: Sequence[RelPath],
    like: Callable[[RelPath], Sequence[Record]],
    moves: dict[Record, RelPath],
) -> None:
    """Pair paths with the records that are like them, each at most once. Of several records, one
    with the same file name is preferred."""
    filled = set(moves.values())
    for rel_path in open_paths:
        found = [
            record
            for record in like(rel_path)
            if record not in moves and record.rel_path != rel_path
        ]
        if found and rel_path not in filled:
            best = min(
                found, key=lambda record: (record.rel_path.name != rel_path.name, record.rel_path)
            )
            moves[best] = rel_path


def _cancel_evictions(
    plan_input: PlanInput, left: set[RelPath], moves: dict[Record, RelPath]
) -> None:
    """A record with no new path keeps its old one if a file is there: no record moves onto it."""
    waiting = list(moves)
    while waiting:
        record = waiting.pop()
        target = moves.get(record)
        if target is None or target not in left or plan_input.records[target] in moves:
            continue
        del moves[record]
        # A record that was to move to the old path of this one may not do so now.
        waiting += [other for other, rel_path in moves.items() if rel_path == record.rel_path]


def _settle_new(
    plan_input: PlanInput, remote: Remote, rel_paths: Sequence[RelPath]
) -> list[Action]:
    """Files without a record: rule 5."""
    given: set[str] = set()
    actions: list[Action] = []
    for rel_path in rel_paths:
        file, found = _file(plan_input, rel_path), remote.found.get(rel_path, Found())
        if found.image_id in remote.unclaimed and found.image_id not in given:
            assert found.image_id is not None and found.sha256 is not None
            given.add(found.image_id)
            actions.append(Adopt(rel_path, found.image_id, file, found.sha256))
            continue
        image_id = next(
            candidate
            for candidate in image_ids(plan_input.owner, rel_path)
            if candidate not in given
            and candidate not in plan_input.taken
            and candidate not in remote.reserved
        )
        given.add(image_id)
        # An unclaimed image with this ID is another picture: the one that was here before.
        verb = Update if image_id in remote.unclaimed else Add
        actions.append(verb(rel_path, image_id, file))
    return actions
