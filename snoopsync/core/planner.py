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

from snoopsync.core.model import File, Gone, Place, Record, Sight, image_ids

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
    """An action that a file at ``place`` is the reason for."""

    place: Place
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
    """The image is now at ``place``. Nothing is sent."""

    verb: ClassVar = Verb.RENAME
    source: Place


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
    """Remove the image. ``place`` is ``None`` exactly if the cause is ``UNKNOWN``."""

    verb: ClassVar = Verb.DELETE
    place: Place | None
    image_id: str
    cause: Cause = Cause.GONE


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the record; the collection does not have the image any more."""

    verb: ClassVar = Verb.FORGET
    place: Place
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
    matches: Mapping[Place, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a plan is made from.

    ``asked`` are the places to decide on. ``sights`` and ``records`` also have the places from
    where a file may have come. ``gone_for_good`` are those seen to be gone for long enough.
    ``hashes`` has the SHA-256 of the files whose content may decide. ``taken`` tells whether an ID
    is given out already, for whatever place.
    """

    owner: str
    asked: frozenset[Place]
    sights: Mapping[Place, Sight]
    records: Mapping[Place, Record]
    taken: Callable[[str], bool]
    hashes: Mapping[Place, bytes] = field(default_factory=dict)
    gone_for_good: frozenset[Place] = frozenset()
    remote: Remote | None = None


def plan(world: World) -> list[Action]:
    """The actions that make the collection equal to the disk, in an order that can be applied one
    after the other: renames together and first, then what is sent, deletions last."""
    moves = _find_moves(world)
    moved_to = {place: record for record, place in moves.items()}
    moved_from = {record.place for record in moves}

    actions: list[Action] = [
        Rename(place, record.image_id, _file(world, place), record.place)
        for place, record in sorted(moved_to.items())
    ]
    for place, moved in sorted(moved_to.items()):
        actions += _keep_moved(world, moved, place)
    deletions: list[Action] = []
    for place in sorted(world.asked):
        sight = world.sights[place]
        record = None if place in moved_from else world.records.get(place)
        if record is None:
            continue
        if isinstance(sight, File) and place not in moved_to:
            actions += _keep(world, record, sight)
        elif isinstance(sight, Gone) and place in world.gone_for_good:
            deletions.append(_remove(world, record))
    actions += _settle_new(world, _new_places(world, moves))
    return actions + deletions


def newcomers(world: World) -> list[Place]:
    """The files that no record has come to: rule 5 is theirs, and ``matches`` decides it."""
    return _new_places(world, _find_moves(world))


def _new_places(world: World, moves: Mapping[Record, Place]) -> list[Place]:
    moved_to = set(moves.values())
    moved_from = {record.place for record in moves}
    return [
        place
        for place in sorted(world.asked)
        if isinstance(world.sights[place], File)
        and place not in moved_to
        and (place in moved_from or place not in world.records)
    ]


def prune(left_out: Iterable[Record], unknown: Iterable[str]) -> list[Delete]:
    """Deletions that only a person can ask for: of images whose files the configuration leaves
    out, and of images of ours that no record knows."""
    deletes = [Delete(each.place, each.image_id, Cause.LEFT_OUT) for each in left_out]
    return deletes + [Delete(None, image_id, Cause.UNKNOWN) for image_id in sorted(unknown)]


def _file(world: World, place: Place) -> File:
    sight = world.sights[place]
    assert isinstance(sight, File)
    return sight


def _keep(world: World, record: Record, file: File) -> list[Action]:
    """The record's own file is at its place, or one that has replaced it."""
    lost = world.remote is not None and record.image_id in world.remote.missing
    if lost:
        return [Add(record.place, record.image_id, file)]
    if file.fingerprint == record.seen:
        # Confirmed, or planned for already: then its row will have its turn.
        return [Refresh(record.place, record.image_id, file)] if record.doomed else []
    if record.sha256 is None:
        return [Add(record.place, record.image_id, file)]
    if record.dirty:
        # A request may have been answered by now without our knowing: only sending settles it.
        return [Update(record.place, record.image_id, file)]
    if world.hashes.get(record.place) == record.sha256:
        return [Refresh(record.place, record.image_id, file)]
    return [Update(record.place, record.image_id, file)]


def _keep_moved(world: World, record: Record, place: Place) -> list[Action]:
    """The record's own file, at its new place: what has to be sent of it, if anything."""
    file = _file(world, place)
    moved = replace(record, place=place, seen=file.fingerprint, doomed=False)
    return _keep(world, moved, file)


def _remove(world: World, record: Record) -> Action:
    lost = world.remote is not None and record.image_id in world.remote.missing
    if lost and not record.dirty:
        return Forget(record.place, record.image_id)
    # One that is lost and dirty may be a deletion of ours that ended before it was written down.
    # It is sent again, and finds nothing; so it is counted, as every other.
    return Delete(record.place, record.image_id)


def _find_moves(world: World) -> dict[Record, Place]:
    """Which records have a new place: rule 2."""
    homeless = [record for record in world.records.values() if _has_left(world, record)]
    if not homeless:
        return {}
    left = {record.place for record in homeless}
    open_places = [
        place
        for place, sight in sorted(world.sights.items())
        if isinstance(sight, File) and (place not in world.records or place in left)
    ]
    by_inode: dict[int, list[Record]] = defaultdict(list)
    by_content: dict[bytes, list[Record]] = defaultdict(list)
    for record in homeless:
        by_inode[record.seen.inode].append(record)
        sha256 = _known_content(record)
        if sha256 is not None and world.hashes.get(record.place) != sha256:
            by_content[sha256].append(record)

    def same_file(place: Place) -> list[Record]:
        inode = _file(world, place).fingerprint.inode
        return [record for record in by_inode.get(inode, ()) if _is_same_file(world, record, place)]

    def same_content(place: Place) -> list[Record]:
        return by_content.get(world.hashes.get(place, b""), [])

    moves: dict[Record, Place] = {}
    for like in (same_file, same_content):
        _match(open_places, like, moves)
    _cancel_evictions(world, left, moves)
    return moves


def _has_left(world: World, record: Record) -> bool:
    sight = world.sights.get(record.place)
    if isinstance(sight, File):
        return sight.fingerprint.inode != record.seen.inode
    return isinstance(sight, Gone)


def _known_content(record: Record) -> bytes | None:
    """The hash of what the collection holds, if that is sure."""
    return None if record.dirty else record.sha256


def _is_same_file(world: World, record: Record, place: Place) -> bool:
    """Alike in all four numbers, or, since renaming a file changes its ctime, in three of them and
    in content: a file system gives a freed inode to the next new file. Content that nobody knows,
    and that is sent again wherever the record goes, needs no proof."""
    fingerprint = _file(world, place).fingerprint
    if fingerprint == record.seen:
        return True
    if not fingerprint.same_file(record.seen):
        return False
    sha256 = _known_content(record)
    return sha256 is None or world.hashes.get(place) == sha256


def _match(
    open_places: Sequence[Place],
    like: Callable[[Place], Sequence[Record]],
    moves: dict[Record, Place],
) -> None:
    """Pair places and the records that are like them, each at most once; of several records, one
    with the same name before another."""
    filled = set(moves.values())
    for place in open_places:
        found = [record for record in like(place) if record not in moves and record.place != place]
        if found and place not in filled:
            best = min(found, key=lambda record: (record.place.name != place.name, record.place))
            moves[best] = place


def _cancel_evictions(world: World, left: set[Place], moves: dict[Record, Place]) -> None:
    """A record with no new place keeps its old one, if a file is there: nobody moves onto it."""
    waiting = list(moves)
    while waiting:
        record = waiting.pop()
        target = moves.get(record)
        if target is None or target not in left or world.records[target] in moves:
            continue
        del moves[record]
        # Its own old place may have been given away: whoever was to move there may not, now.
        waiting += [other for other, place in moves.items() if place == record.place]


def _settle_new(world: World, places: Sequence[Place]) -> list[Action]:
    """Files without a record: rule 5."""
    remote = world.remote or Remote()
    given: set[str] = set()
    adopted = _adoptions(world, remote, places)
    given.update(adopted.values())
    actions: list[Action] = []
    for place in places:
        file = _file(world, place)
        if place in adopted:
            actions.append(Adopt(place, adopted[place], file, world.hashes[place]))
            continue
        image_id = next(
            candidate
            for candidate in image_ids(world.owner, place)
            if candidate not in given and not world.taken(candidate)
        )
        given.add(image_id)
        # An image of ours under this very ID that is not this picture: what was here before.
        verb = Update if image_id in remote.unclaimed else Add
        actions.append(verb(place, image_id, file))
    return actions


def _adoptions(world: World, remote: Remote, places: Sequence[Place]) -> dict[Place, str]:
    """Which of the collection's unclaimed images the files are. A place's own IDs come first, so
    that of several copies each gets its own image back."""
    adopted: dict[Place, str] = {}
    free = set(remote.unclaimed)

    def adopt(place: Place, wanted: Iterable[str]) -> None:
        same = remote.matches.get(place, ())
        found = next(
            (image_id for image_id in wanted if image_id in free and image_id in same), None
        )
        if found is not None:
            adopted[place] = found
            free.discard(found)

    for place in places:
        adopt(place, islice(image_ids(world.owner, place), _SERIES_TO_TRY))
    for place in places:
        if place not in adopted:
            adopt(place, remote.matches.get(place, ()))
    return adopted
