"""Decides what to do: a pure function of the disk, the state file and the collection.

``run`` and ``resync`` both plan here. They differ only in whether the collection's listing is
known. The rules apply in this order, and each relies on those before it:

1. A record stays at its path while the file there is the same one (by inode).
2. A record whose file is no longer at its path moves to the path where that file is now. The file
   is found by its identity first, then by the hash of its content, unless the record's own path has
   the same bytes again. A record never moves onto the path of a record that has no new path: the
   second image would have no path at which its file can be proven gone. A record that is dirty, or
   whose image the collection has lost, also moves, and is sent from its new path.
3. If a record did not move and another file is at its path, the file was atomically replaced. The
   image is updated.
4. If a record did not move and no file is at its path, the image is deleted once that is certain.
5. A file that no record moved to is new. It is adopted if the collection already holds it, and
   added otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar

from snoopsync.core.model import File, Gone, Observation, Record, RelPath, image_ids


class Verb(StrEnum):
    """The name of an action, as shown to people."""

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
    """The file was touched or has come back, and its bytes are the confirmed ones. Nothing is
    sent."""

    verb: ClassVar = Verb.REFRESH


@dataclass(frozen=True, slots=True)
class Adopt(_OfFile):
    """The collection already holds this file under this ID. Nothing is sent."""

    verb: ClassVar = Verb.ADOPT
    sha256: bytes


class Cause(StrEnum):
    """Why an image is deleted. Only ``GONE`` is planned without a request from a person."""

    GONE = "the file is gone"
    LEFT_OUT = "the configuration leaves the file out"
    UNKNOWN = "no record knows the image"


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the image. ``rel_path`` is ``None`` only if the cause is ``UNKNOWN``."""

    verb: ClassVar = Verb.DELETE
    rel_path: RelPath | None
    image_id: str
    cause: Cause = Cause.GONE


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the record. The collection no longer has the image."""

    verb: ClassVar = Verb.FORGET
    rel_path: RelPath
    image_id: str


Action = Add | Update | Rename | Refresh | Adopt | Delete | Forget


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search with a file's bytes: the unclaimed image that the file matches, if
    any, and the SHA-256 of the file, if it could be read."""

    image_id: str | None = None
    sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """How the collection's listing differs from the state file.

    ``unclaimed``: images of this owner that have no record. ``missing``: confirmed images that are
    proven not to be in the collection. ``found``: the result for each file that was searched for.
    ``reserved``: the unclaimed images that were found for any file, whether or not the file is part
    of this plan.
    """

    unclaimed: Set[str] = frozenset()
    missing: Set[str] = frozenset()
    found: Mapping[RelPath, Found] = field(default_factory=dict)
    reserved: Container[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlanInput:
    """Everything that a plan is made from.

    ``asked``: the paths to decide on. ``observations`` and ``records`` also contain the paths that
    a file may have come from. ``taken``: IDs that are in use, of those that a new file could get.
    ``hashes``: the SHA-256 of each file whose content may decide. ``gone_for_good``: the paths
    whose files have been gone for long enough.
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
    """The actions that make the collection equal to the disk, in the order in which to apply them:
    all renames first, then files to send, then deletions.

    ``unsearched``: new files that may be unclaimed images. They must be searched for in the
    collection before anything is planned for them.
    """

    actions: list[Action]
    unsearched: list[RelPath]


def plan(plan_input: PlanInput) -> Plan:
    """The plan for the paths in ``asked``."""
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
    """Deletions that only a person can request: of images whose files the configuration leaves
    out, and of this owner's images that have no record."""
    deletes = [Delete(each.rel_path, each.image_id, Cause.LEFT_OUT) for each in left_out]
    return deletes + [Delete(None, image_id, Cause.UNKNOWN) for image_id in sorted(unknown)]


def _file(plan_input: PlanInput, rel_path: RelPath) -> File:
    observation = plan_input.observations[rel_path]
    assert isinstance(observation, File)
    return observation


def _keep(plan_input: PlanInput, record: Record, file: File) -> list[Action]:
    """The actions for a record whose path has its own file, or a file that replaced it."""
    lost = plan_input.remote is not None and record.image_id in plan_input.remote.missing
    if lost:
        return [Add(record.rel_path, record.image_id, file)]
    if file.fingerprint == record.seen:
        # The file is confirmed, or is already planned and waits to be sent.
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
    """The actions, beside the rename, for a record whose file is now at ``rel_path``."""
    file = _file(plan_input, rel_path)
    moved = replace(record, rel_path=rel_path, seen=file.fingerprint, marked_for_deletion=False)
    return _keep(plan_input, moved, file)


def _remove(plan_input: PlanInput, record: Record) -> Action:
    lost = plan_input.remote is not None and record.image_id in plan_input.remote.missing
    if lost and not record.dirty:
        return Forget(record.rel_path, record.image_id)
    # If the image is lost and dirty, an earlier deletion may have succeeded without being recorded.
    # Sending it again is harmless, and counts it like every other deletion.
    return Delete(record.rel_path, record.image_id)


def _find_moves(plan_input: PlanInput) -> dict[Record, RelPath]:
    """The records that move to a new path, by rule 2."""
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
    """The hash of the bytes that the collection holds, if it is certain."""
    return None if record.dirty else record.sha256


def _is_same_file(plan_input: PlanInput, record: Record, rel_path: RelPath) -> bool:
    """Returns whether the file at this path is the record's: it has the same four numbers, or three
    of them and the same content. Renaming changes the ctime, and a file system gives a freed inode
    to the next new file. If the content is unknown, three numbers are enough, since the file is
    sent again anyway."""
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
    """Add to ``moves`` a matching record for each path, using each record and path at most once. A
    record with the same file name is preferred."""
    filled = set(moves.values())
    for rel_path in open_paths:
        if rel_path in filled:
            continue
        found = [
            record
            for record in like(rel_path)
            if record not in moves and record.rel_path != rel_path
        ]
        if found:
            best = min(
                found, key=lambda record: (record.rel_path.name != rel_path.name, record.rel_path)
            )
            moves[best] = rel_path


def _cancel_evictions(
    plan_input: PlanInput, left: set[RelPath], moves: dict[Record, RelPath]
) -> None:
    """Cancel each move onto the old path of a record that has no new path itself."""
    movers = {rel_path: record for record, rel_path in moves.items()}
    waiting = list(moves)
    while waiting:
        record = waiting.pop()
        target = moves.get(record)
        if target is None or target not in left or plan_input.records[target] in moves:
            continue
        del moves[record]
        # This record now stays, so a move onto its path must be cancelled too.
        if record.rel_path in movers:
            waiting.append(movers[record.rel_path])


def _settle_new(
    plan_input: PlanInput, remote: Remote, rel_paths: Sequence[RelPath]
) -> list[Action]:
    """The actions for files without a record, by rule 5."""
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
        # An unclaimed image with this ID is another picture, which was at this path before.
        verb = Update if image_id in remote.unclaimed else Add
        actions.append(verb(rel_path, image_id, file))
    return actions
