"""What the review page asks about the state: the one place that answers it.

The page asks a running service through its socket, and otherwise reads the state file itself. In
both cases ``ReviewData`` answers, with JSON objects. Each question is a command of
``snoopsync.control.commands``.
"""

from __future__ import annotations

import bisect
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from snoopsync.config.settings import Config
from snoopsync.core.model import RelPath
from snoopsync.core.protocol import KINDS
from snoopsync.core.text import iso
from snoopsync.runtime.clock import Clock
from snoopsync.state.database import Database
from snoopsync.state.decisions import Decisions
from snoopsync.state.group_order import (
    GroupFilter,
    GroupSort,
    MeasuredGroup,
    measured_groups,
    sorted_groups,
)
from snoopsync.state.groups import Group, Groups
from snoopsync.state.images import State
from snoopsync.state.kept_open import StateReader
from snoopsync.state.rows import records
from snoopsync.state.schedule import read_schedule
from snoopsync.state.sides import sides_of_images
from snoopsync.status.reading import read_status
from snoopsync.status.review_json import group_json, image_json
from snoopsync.sync.comparing import comparing

Message = dict[str, Any]

#: How many images of a group are in a list of groups, and in an answer about one group.
LISTED_IMAGES, MOST_IMAGES = 12, 300

#: How many sorted lists of groups are kept, one for each filter and order.
_MOST_ORDERS = 8

#: How many held images of a folder, and how many failed images, are in an answer.
_MOST_HELD, _MOST_FAILED = 60, 200


@dataclass(frozen=True, slots=True)
class _Order:
    """Groups in the order of a list, and their totals."""

    groups: list[MeasuredGroup]
    by_number: dict[int, MeasuredGroup]
    images: int
    waste_bytes: int

    @classmethod
    def of(cls, groups: Sequence[MeasuredGroup], sort: GroupSort) -> _Order:
        return cls(
            sorted_groups(groups, sort),
            {each.number: each for each in groups},
            sum(each.images for each in groups),
            sum(each.waste_bytes for each in groups),
        )

    def covered(self, times: Mapping[int, float]) -> list[MeasuredGroup]:
        """Those of the groups with these numbers that no picture has joined since these times."""
        known = ((self.by_number.get(number), at) for number, at in times.items())
        return [each for each, at in known if each is not None and each.found_at <= at]


class ReviewData:
    """Answers questions about the state. For any thread, one at a time."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._folders = frozenset(config.folder_order)
        self._reader = StateReader(config.state)
        self._stack = ExitStack()
        self._stack.callback(self._reader.close)
        self._compare = self._stack.enter_context(comparing(config))
        self._orders: dict[tuple[GroupFilter, GroupSort], _Order] = {}
        self._version = ""
        self._answers: Mapping[str, Callable[[Database, Message], Message]] = {
            "groups": self._groups,
            "groups_named": self._groups_named,
            "dismissed_groups": self._dismissed_groups,
            "ended_groups": self._ended_groups,
            "images": self._images,
            "pictures": self._pictures,
            "images_at": self._images_at,
            "held_images": self._held_images,
            "failed_images": self._failed_images,
            "state_version": lambda _database, _command: {},
        }

    def answers(self, command: Message) -> bool:
        """Returns whether this valid command is one of the questions."""
        return command["command"] in self._answers or command["command"] == "overview"

    def answer(self, command: Message) -> Message:
        """The answer to one of the questions, with the ``version`` of the state. Raises
        ``StateError``."""
        if command["command"] == "overview":
            return read_status(self._config).as_message()
        with self._reader.reading() as (database, version):
            if version != self._version:
                self._version = version
                self._orders.clear()
            return {**self._answers[command["command"]](database, command), "version": version}

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def _groups(self, database: Database, command: Message) -> Message:
        """One page of the open groups. ``hidden``: groups that are left out, and ``only``: groups
        that alone are listed, each as a list of numbers and times. A group that got a new picture
        after its time is not covered."""
        sort = GroupSort(command.get("sort") or GroupSort.WASTE)
        which = GroupFilter(command.get("kind"), command.get("folder"), command.get("max_rank"))
        order, only = self._ordered(database, which, sort), command.get("only")
        if only is not None:
            order = _Order.of(order.covered(dict(only)), sort)
        hidden = order.covered(dict(command.get("hidden") or ()))
        start = _start(order.groups, sort, command.get("after"))
        numbers = {each.number for each in hidden}
        found, end = self._page(database, order.groups, start, command["count"], which, numbers)
        following = order.groups[end - 1] if 0 < end < len(order.groups) else None
        return {
            "groups": [self._shown(*each, command) for each in found],
            "next": following and f"{following.measure(sort)!r}:{following.number}",
            "total": {
                "groups": len(order.groups) - len(hidden),
                "images": order.images - sum(each.images for each in hidden),
                "waste_bytes": order.waste_bytes - sum(each.waste_bytes for each in hidden),
            },
            **_choices(database),
        }

    def _page(
        self,
        database: Database,
        listed: Sequence[MeasuredGroup],
        start: int,
        count: int,
        which: GroupFilter,
        hidden: Collection[int],
    ) -> tuple[list[tuple[Group, MeasuredGroup]], int]:
        """The next groups that match, and the position after the last one of them."""
        found: list[tuple[Group, MeasuredGroup]] = []
        at = start
        while at < len(listed) and len(found) < count:
            piece: list[MeasuredGroup] = []
            while at < len(listed) and len(piece) < count - len(found):
                if listed[at].number not in hidden:
                    piece.append(listed[at])
                at += 1
            # Some of them may turn out not to match.
            groups = self._reading(database).numbered(
                [each.number for each in piece], time.time(), which
            )
            by_number = {int(group.name): group for group in groups}
            found += [(by_number[each.number], each) for each in piece if each.number in by_number]
        return found, at

    def _ordered(self, database: Database, which: GroupFilter, sort: GroupSort) -> _Order:
        if (which, sort) not in self._orders:
            if len(self._orders) >= _MOST_ORDERS:
                self._orders.clear()
            self._orders[which, sort] = _Order.of(measured_groups(database, which), sort)
        return self._orders[which, sort]

    def _groups_named(self, database: Database, command: Message) -> Message:
        """The open groups with these numbers. One that does not exist any more is left out."""
        which = GroupFilter(groups=frozenset(command["ids"]))
        measured = {each.number: each for each in measured_groups(database, which)}
        found = self._reading(database).numbered(command["ids"], time.time())
        return {
            "groups": [
                self._shown(group, measured.get(int(group.name)), command) for group in found
            ]
        }

    def _shown(self, group: Group, measured: MeasuredGroup | None, command: Message) -> Message:
        most = MOST_IMAGES if command.get("whole") else LISTED_IMAGES
        members = command.get("members") is True
        return group_json(group, measured, self._folders, 0 if members else most, members=members)

    def _dismissed_groups(self, database: Database, command: Message) -> Message:
        """One page of the dismissals, the newest first, or those with these numbers (``ids``)."""
        decisions = Decisions(database)
        ids, count = command.get("ids"), command["count"]
        rows = (
            decisions.listed(command.get("after"), count)
            if ids is None
            else decisions.numbered(ids)
        )
        groups = []
        for row in rows:
            group = self._reading(database).with_members(row.members, time.time())
            if group is not None:
                decided = {"group": f"d{row.number}", "found_at": iso(row.at)}
                groups.append({**self._shown(group, None, command), **decided})
        is_full = ids is None and len(rows) == count
        return {
            "groups": groups,
            "next": rows[-1].number if is_full else None,
            "total": decisions.count(),
            **_choices(database),
        }

    def _ended_groups(self, database: Database, command: Message) -> Message:
        """One page of the groups whose images are gone."""
        after, count = command.get("after") or 0, command["count"]
        found = self._reading(database).ended(after, count, time.time())
        return {
            "groups": [self._shown(group, None, command) for _, group in found],
            "next": found[-1][0] if len(found) == count else None,
            **_choices(database),
        }

    def _images(self, database: Database, command: Message) -> Message:
        """The images with these IDs that are known, by ID. ``groups``: each with its group.
        ``dismissed_since``: each with the time of the newest dismissal since then that names its
        bytes."""
        groups = Groups(database, self._config.folder_order)
        since = command.get("dismissed_since")
        dismissed = {} if since is None else Decisions(database).named_since(since)
        images = {}
        for image_id, side in sides_of_images(database, command["ids"]).items():
            images[image_id] = image_json(side, None, self._folders)
            if command.get("groups") is True:
                images[image_id]["group"] = groups.of_content(side.content)
            if since is not None:
                images[image_id]["dismissed_at"] = dismissed.get(side.content)
        return {"images": images}

    def _pictures(self, database: Database, command: Message) -> Message:
        """Where the files of these images are, and what is known of them, by ID. ``path`` is a text
        with surrogates. Only files in configured folders."""
        rows = {row.name: row for row in State(database).folders.rows() if row.configured}
        found = {}
        condition = "image_id IN (SELECT value FROM json_each(?)) AND NOT left_out"
        for record in records(database, condition, (json.dumps(command["ids"]),)):
            row = rows.get(record.rel_path.folder)
            if row is not None:
                found[record.image_id] = {
                    "root": row.path_text,
                    "identity": row.identity,
                    "path": record.rel_path.text,
                    "fingerprint": record.seen,
                    "sha256": None if record.sha256 is None else record.sha256.hex(),
                }
        return {"pictures": found}

    def _images_at(self, database: Database, command: Message) -> Message:
        """The IDs of the images with these paths, null where there is none. A path is a list of the
        folder's name and, in hexadecimal, the bytes below it."""
        state = State(database)
        paths = (RelPath(folder, bytes.fromhex(path)) for folder, path in command["paths"])
        records = map(state.record_at, paths)
        return {"ids": [None if each is None else each.image_id for each in records]}

    def _held_images(self, database: Database, _command: Message) -> Message:
        """The held deletions by folder, with some of the images."""
        state = State(database)
        folders = []
        for row in state.folders.rows():
            count = state.deletions.count_held(row.name)
            if count:
                held = [each.image_id for each in state.deletions.held(row.name, _MOST_HELD)]
                sides = sides_of_images(database, held).values()
                images = [image_json(each, None, self._folders) for each in sides]
                folders.append(
                    {"folder": row.name, "count": count, "reason": row.reason, "images": images}
                )
        return {"folders": folders}

    def _failed_images(self, database: Database, _command: Message) -> Message:
        """The images that the collection or the disk refused, with the error and the time of the
        next attempt."""
        state, clock = State(database), Clock()
        ahead = clock.now() - read_schedule(state, clock).now()
        rows = database.query(
            "SELECT image_id, error, retry_at FROM image WHERE error IS NOT NULL AND NOT held"
            " ORDER BY folder, directory, name LIMIT ?",
            (_MOST_FAILED,),
        )
        sides = sides_of_images(database, [image_id for image_id, _, _ in rows])
        images = [
            {
                **image_json(sides[image_id], None, self._folders),
                "error": error,
                "next_try": None if retry_at is None else iso(retry_at + ahead),
            }
            for image_id, error, retry_at in rows
        ]
        return {"images": images, "count": sum(each.failed for each in state.counts().values())}

    def _reading(self, database: Database) -> Groups:
        return Groups(database, self._config.folder_order, self._compare)


def _choices(database: Database) -> Message:
    """What groups can be filtered by."""
    folders = [row.name for row in State(database).folders.rows() if row.configured]
    return {"folders": folders, "kinds": sorted(KINDS)}


def _start(listed: Sequence[MeasuredGroup], sort: GroupSort, after: str | None) -> int:
    """The position of the first group after this one, which may not be in the list any more."""
    if after is None:
        return 0
    measure, _, number = after.partition(":")
    last = (-float(measure), int(number))
    return bisect.bisect_right(listed, last, key=lambda group: (-group.measure(sort), group.number))
