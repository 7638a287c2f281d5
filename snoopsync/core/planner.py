"""What has to be done, as a pure function of what is on the disk, in the state file and remote.

``run`` and ``resync`` both plan here; the only difference is whether the remote listing is known.
The order of the rules, each relying on those before it:

1. A record stays at its place while the file there is the same one (by inode).
2. A record whose file is not at its place any more moves to where that file is found, by the
   file's identity first, then, unless its own place has the same bytes again, by the content's
   hash. It never moves onto the place of a record that finds no new place itself: that would
   leave an image without a file to prove gone. One that is dirty, or that the collection has
   lost, moves all the same, and is sent from its new place.
3. A record that did not move, with another file at its place, was atomically replaced: an update.
4. A record that did not move, with no file at its place, is deleted, once that is certain.
5. A file that no record has come to is new: adopted if the collection holds it already, else added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import ClassVar

from snoopsync.core.model import File, Gone, Observation, Record, RelPath, image_ids

#: How many IDs of a place's series are compared with what a search found: a picture has to be
#: renamed away from the same place as often before a later one can matter.
_SERIES_TO_TRY = 8


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
    """An action that a file at ``rel_path`` is the reason for."""

    rel_path: RelPath
    image_id: str
    file: File


@dataclass(frozen=True, slots=True)
class Add(_OfFile):
    """Send the file; the collection does not have the image."""

    verb: ClassVar = Verb.ADD


@dataclass(frozen=True, slots=True)
class Update(_OfFile):
    """Send the file; the collection has other bytes under this ID."""

    verb: ClassVar = Verb.UPDATE


@dataclass(frozen=True, slots=True)
class Rename(_OfFile):
    """The image is now at ``rel_path``. Nothing is sent."""

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
    """Drop the record; the collection does not have the image any more."""

    verb: ClassVar = Verb.FORGET
    rel_path: RelPath
    image_id: str


Action = Add | Update | Rename | Refresh | Adopt | Delete | Forget


@dataclass(frozen=True, slots=True)
class Remote:
    """What the collection's listing says beside the state file.

    ``unclaimed``: our images that no record knows. ``missing``: confirmed images that are proven
    not to be there. ``matches``: for files without a record, the unclaimed images that a search
    with the file's own bytes showed to be the same picture.
    """

    unclaimed: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    matches: Mapping[RelPath, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanInput:
    """Everything that a plan is made from.

    ``asked`` are the paths to decide on. ``observations`` and ``records`` also have the paths that
    a file may have come from. ``gone_for_good`` are those seen to be gone for long enough.
    ``hashes`` has the SHA-256 of the files whose content may decide. ``taken`` tells whether an ID
    is given out already, for whatever place.
    """

    owner: str
    asked: frozenset[RelPath]
    observations: Mapping[RelPath, Observation]
    records: Mapping[RelPath, Record]
    taken: Callable[[str], bool]
    hashes: Mapping[RelPath, bytes] = field(default_factory=dict)
    gone_for_good: frozenset[RelPath] = frozenset()
    remote: Remote | None = None


def plan(plan_input: PlanInput) -> list[Action]:
    """The actions that make the collection equal to the disk, in an order that can be applied one
    after the other: renames together and first, then what is sent, deletions last."""
    moves = _find_moves(plan_input)
    moved_to = {rel_path: record for record, rel_path in moves.items()}
    moved_from = {record.rel_path for record in moves}

    actions: list[Action] = [
        Rename(rel_path, record.image_id, _file(plan_input, rel_path), record.rel_path)
        for rel_path, record in sorted(moved_to.items())
    ]
    for rel_path, moved in sorted(moved_to.items()):
        actions += _keep_moved(plan_input, moved, rel_path)
    deletions: list[Action] = []
    for rel_path in sorted(plan_input.asked):
        observation = plan_input.observations[rel_path]
        record = None if rel_path in moved_from else plan_input.records.get(rel_path)
        if record is None:
            continue
        if isinstance(observation, File) and rel_path not in moved_to:
            actions += _keep(plan_input, record, observation)
        elif isinstance(observation, Gone) and rel_path in plan_input.gone_for_good:
            deletions.append(_remove(plan_input, record))
    actions += _settle_new(plan_input, _new_places(plan_input, moves))
    return actions + deletions


def newcomers(plan_input: PlanInput) -> list[RelPath]:
    """The files that no record has come to: rule 5 is theirs, and ``matches`` decides it."""
    return _new_places(plan_input, _find_moves(plan_input))


def _new_places(plan_input: PlanInput, moves: Mapping[Record, RelPath]) -> list[RelPath]:
    moved_to = set(moves.values())
    moved_from = {record.rel_path for record in moves}
    return [
        rel_path
        for rel_path in sorted(plan_input.asked)
        if isinstance(plan_input.observations[rel_path], File)
        and rel_path not in moved_to
        and (rel_path in moved_from or rel_path not in plan_input.records)
    ]


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
    """The record's own file is at its place, or one that has replaced it."""
    lost = plan_input.remote is not None and record.image_id in plan_input.remote.missing
    if lost:
        return [Add(record.rel_path, record.image_id, file)]
    if file.fingerprint == record.seen:
        # Confirmed, or planned for already: then its row will have its turn.
        return (
            [Refresh(record.rel_path, record.image_id, file)] if record.marked_for_deletion else []
        )
    if record.sha256 is None:
        return [Add(record.rel_path, record.image_id, file)]
    if record.dirty:
        # A request may have been answered by now without our knowing: only sending settles it.
        return [Update(record.rel_path, record.image_id, file)]
    if plan_input.hashes.get(record.rel_path) == record.sha256:
        return [Refresh(record.rel_path, record.image_id, file)]
    return [Update(record.rel_path, record.image_id, file)]


def _keep_moved(plan_input: PlanInput, record: Record, rel_path: RelPath) -> list[Action]:
    """The record's own file, at its new place: what has to be sent of it, if anything."""
    file = _file(plan_input, rel_path)
    moved = replace(record, rel_path=rel_path, seen=file.fingerprint, marked_for_deletion=False)
    return _keep(plan_input, moved, file)


def _remove(plan_input: PlanInput, record: Record) -> Action:
    lost = plan_input.remote is not None and record.image_id in plan_input.remote.missing
    if lost and not record.dirty:
        return Forget(record.rel_path, record.image_id)
    # One that is lost and dirty may be a deletion of ours that ended before it was written down.
    # It is sent again, and finds nothing; so it is counted, as every other.
    return Delete(record.rel_path, record.image_id)


def _find_moves(plan_input: PlanInput) -> dict[Record, RelPath]:
    """Which records have a new place: rule 2."""
    homeless = [record for record in plan_input.records.values() if _has_left(plan_input, record)]
    if not homeless:
        return {}
    left = {record.rel_path for record in homeless}
    open_places = [
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
        _match(open_places, like, moves)
    _cancel_evictions(plan_input, left, moves)
    return moves


def _has_left(plan_input: PlanInput, record: Record) -> bool:
    observation = plan_input.observations.get(record.rel_path)
    if isinstance(observation, File):
        return observation.fingerprint.inode != record.seen.inode
    return isinstance(observation, Gone)


def _known_content(record: Record) -> bytes | None:
    """The hash of what the collection holds, if that is sure."""
    return None if record.dirty else record.sha256


def _is_same_file(plan_input: PlanInput, record: Record, rel_path: RelPath) -> bool:
    """Alike in all four numbers, or, since renaming a file changes its ctime, in three of them and
    in content: a file system gives a freed inode to the next new file. Content that nobody knows,
    and that is sent again wherever the record goes, needs no proof."""
    fingerprint = _file(plan_input, rel_path).fingerprint
    if fingerprint == record.seen:
        return True
    if not fingerprint.same_file(record.seen):
        return False
    sha256 = _known_content(record)
    return sha256 is None or plan_input.hashes.get(rel_path) == sha256


def _match(
    open_places: Sequence[RelPath],
    like: Callable[[RelPath], Sequence[Record]],
    moves: dict[Record, RelPath],
) -> None:
    """Pair places and the records that are like them, each at most once; of several records, one
    with the same name before another."""
    filled = set(moves.values())
    for rel_path in open_places:
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
    """A record with no new place keeps its old one, if a file is there: nobody moves onto it."""
    waiting = list(moves)
    while waiting:
        record = waiting.pop()
        target = moves.get(record)
        if target is None or target not in left or plan_input.records[target] in moves:
            continue
        del moves[record]
        # Its own old place may have been given away: whoever was to move there may not, now.
        waiting += [other for other, rel_path in moves.items() if rel_path == record.rel_path]


def _settle_new(plan_input: PlanInput, rel_paths: Sequence[RelPath]) -> list[Action]:
    """Files without a record: rule 5."""
    remote = plan_input.remote or Remote()
    given: set[str] = set()
    adopted = _adoptions(plan_input, remote, rel_paths)
    given.update(adopted.values())
    actions: list[Action] = []
    for rel_path in rel_paths:
        file = _file(plan_input, rel_path)
        if rel_path in adopted:
            actions.append(Adopt(rel_path, adopted[rel_path], file, plan_input.hashes[rel_path]))
            continue
        image_id = next(
            candidate
            for candidate in image_ids(plan_input.owner, rel_path)
            if candidate not in given and not plan_input.taken(candidate)
        )
        given.add(image_id)
        # An image of ours under this very ID that is not this picture: what was here before.
        verb = Update if image_id in remote.unclaimed else Add
        actions.append(verb(rel_path, image_id, file))
    return actions


def _adoptions(
    plan_input: PlanInput, remote: Remote, rel_paths: Sequence[RelPath]
) -> dict[RelPath, str]:
    """Which of the collection's unclaimed images the files are. A place's own IDs come first, so
    that of several copies each gets its own image back."""
    adopted: dict[RelPath, str] = {}
    free = set(remote.unclaimed)

    def adopt(rel_path: RelPath, wanted: Iterable[str]) -> None:
        same = remote.matches.get(rel_path, ())
        found = next(
            (image_id for image_id in wanted if image_id in free and image_id in same), None
        )
        if found is not None:
            adopted[rel_path] = found
            free.discard(found)

    for rel_path in rel_paths:
        adopt(rel_path, islice(image_ids(plan_input.owner, rel_path), _SERIES_TO_TRY))
    for rel_path in rel_paths:
        if rel_path not in adopted:
            adopt(rel_path, remote.matches.get(rel_path, ()))
    return adopted
