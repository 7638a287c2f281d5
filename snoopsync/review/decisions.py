"""Carries out what a person decides about groups, and undoes it.

The person decides about the images that they saw. A decision is refused, with a reason, if any of
them has changed since, or if another one has joined. A decision about many groups is one action,
which is undone as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, TypeVar

from snoopsync.core.companions import are_companions
from snoopsync.core.model import RelPath
from snoopsync.review.companions import path_of
from snoopsync.review.marks import Action, Aside, AsideReason, Mark, Marks
from snoopsync.review.source import IMAGES_PER_REQUEST, Source

#: How many groups are asked for at a time.
_GROUPS_PER_REQUEST = 50

#: Two pictures of one shot alone make no group.
_PAIR = 2

_Item = TypeVar("_Item")

_GONE = "the group does not exist any more"
_NOTHING_TO_MARK = "no other image with a file on this machine is to be marked"
_CHANGED = "its images have changed since you saw them"


class Choice(StrEnum):
    """What a person can decide about a group. ``OPEN`` puts it back into the list."""

    DISMISS = "dismiss"
    KEEP = "keep"
    LATER = "later"
    RESTORE = "restore"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class DecidedGroup:
    """A group as the person saw it. ``group``: its number, or that of a dismissal with a ``d``
    before it. ``version``: the group's as it was shown. ``keep``: the image to keep, for that
    choice. ``only``: the images to mark, if not all others are. Images that are marked already for
    the same one to keep stay marked. The group stays open until all others are marked."""

    group: str
    version: str
    keep: str | None = None
    only: frozenset[str] | None = None


@dataclass(slots=True)
class Outcome:
    """What became of a decision. ``undo``: the number of its action, if anything was done.
    ``refused``: groups with the reason."""

    done: int = 0
    undo: int | None = None
    refused: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, group: str, reason: str) -> None:
        """Note that nothing was decided about this group."""
        self.refused.append({"group": group, "reason": reason})

    def as_message(self) -> dict[str, Any]:
        """The outcome as the page gets it."""
        return {"undo": self.undo, "done": self.done, "refused": self.refused}


@dataclass(frozen=True, slots=True)
class _Member:
    """An image of a group now. ``file_bytes``: the size of its file; ``None`` without a file.
    ``kind`` and ``rank``: how it differs from the one that snoopsync would keep."""

    image_id: str
    content: str
    file_bytes: int | None
    kind: str | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class _Decided:
    """A group that has not changed since it was seen, and the images that the decision covers."""

    group: DecidedGroup
    members: tuple[_Member, ...]
    newest_at: float

    @property
    def number(self) -> int:
        """The number of the group, or of the dismissal."""
        return int(self.group.group.removeprefix("d"))

    def as_message(self) -> list[list[str]]:
        """The members as part of a command."""
        return [[each.image_id, each.content] for each in self.members]


class Decider:
    """Decides about groups. For any thread, one decision at a time is carried out."""

    def __init__(self, source: Source, marks: Marks, *, has_companions: bool = True) -> None:
        """``has_companions``: a decision to keep a picture also keeps those that belong to it."""
        self._source = source
        self._marks = marks
        self._has_companions = has_companions

    def decide(self, choice: Choice, groups: Sequence[DecidedGroup]) -> Outcome:
        """Carry out one decision about these groups. Raises ``SnoopsyncError`` if the state can't
        be read or written."""
        outcome = Outcome()
        with self._marks.one_decision():
            self._decide(choice, groups, outcome)
        return outcome

    def _decide(self, choice: Choice, groups: Sequence[DecidedGroup], outcome: Outcome) -> None:
        now = time.time()  # before the groups are read: a later dismissal ends the marks
        unchanged = list(self._unchanged(choice, groups, outcome))
        match choice:
            case Choice.DISMISS:
                self._dismiss(unchanged, outcome)
            case Choice.RESTORE:
                self._restore(unchanged, outcome)
            case Choice.KEEP:
                self._keep(unchanged, now, outcome)
            case Choice.LATER:
                asides = [
                    Aside(each.number, AsideReason.LATER, each.newest_at) for each in unchanged
                ]
                self._set_aside(choice, unchanged, asides, [], outcome)
            case Choice.OPEN:
                self._set_aside(choice, unchanged, [], [], outcome)

    def _unchanged(
        self, choice: Choice, groups: Sequence[DecidedGroup], outcome: Outcome
    ) -> Iterator[_Decided]:
        """Those of the groups that are as they were seen; the others are refused."""
        iterator = iter(groups)
        command = "dismissed_groups" if choice is Choice.RESTORE else "groups_named"
        while page := list(islice(iterator, _GROUPS_PER_REQUEST)):
            numbers = [int(each.group.removeprefix("d")) for each in page]
            request = {"command": command, "ids": numbers, "members": True}
            if choice is Choice.RESTORE:
                request["count"] = len(numbers)
            found = {each["group"]: each for each in self._source.ask(request)["groups"]}
            for group in page:
                known = found.get(group.group)
                if known is None:
                    outcome.refuse(group.group, _GONE)
                    continue
                decided = _as_seen(group, known, choice)
                if decided is None:
                    outcome.refuse(group.group, _CHANGED)
                else:
                    yield decided

    def _dismiss(self, groups: Sequence[_Decided], outcome: Outcome) -> None:
        done: list[_Decided] = []
        try:
            for batch in _batches(groups, lambda each: len(each.members)):
                decisions = [{"members": each.as_message(), "group": each.number} for each in batch]
                self._source.ask({"command": "dismiss", "decisions": decisions})
                done += batch
        finally:
            # Also if the state can't be written any more: what was done can be undone.
            self._set_aside(Choice.DISMISS, done, [], [], outcome)

    def _restore(self, groups: Sequence[_Decided], outcome: Outcome) -> None:
        done: list[list[list[str]]] = []
        try:
            for batch in _batches(groups, lambda each: len(each.members)):
                members = [each.as_message() for each in batch]
                decisions = [{"members": each, "group": None} for each in members]
                self._source.ask({"command": "restore_all", "decisions": decisions})
                done += members
        finally:
            if done:
                outcome.undo = self._marks.add_action(Choice.RESTORE, {"dismiss": done})
                outcome.done += len(done)

    def _keep(self, groups: Sequence[_Decided], now: float, outcome: Outcome) -> None:
        decided, asides, marks = [], [], []
        stored = self._marks.marks([each.number for each in groups])
        earlier = {(m.image_id, m.content, m.keep_id, m.keep_content) for m in stored}
        companions = self._companions_of_kept(groups)
        for each in groups:
            keep = next((m for m in each.members if m.image_id == each.group.keep), None)
            if keep is None or keep.file_bytes is None:
                outcome.refuse(each.group.group, "the image to keep has no file on this machine")
                continue
            others = [
                m
                for m in each.members
                if m is not keep
                and m.file_bytes is not None
                and (keep.image_id, m.image_id) not in companions
            ]
            only = each.group.only
            chosen = [
                m
                for m in others
                if only is None
                or m.image_id in only
                or (m.image_id, m.content, keep.image_id, keep.content) in earlier
            ]
            if not chosen:
                outcome.refuse(each.group.group, _NOTHING_TO_MARK)
                continue
            decided.append(each)
            if len(chosen) == len(others):
                asides.append(Aside(each.number, AsideReason.MARKED, each.newest_at))
            marks += [
                Mark(m.image_id, m.content, keep.image_id, keep.content, each.number, now)
                for m in chosen
            ]
        self._set_aside(Choice.KEEP, decided, asides, marks, outcome)

    def _companions_of_kept(self, groups: Sequence[_Decided]) -> set[tuple[str, str]]:
        """The image to keep of each group, with each image that belongs to it: the RAW file and the
        JPEG of a shot can be in one group, because a third picture is like both."""
        if not self._has_companions:
            return set()
        pairs = [
            (each.group.keep, member.image_id)
            for each in groups
            if each.group.keep is not None and len(each.members) > _PAIR
            for member in each.members
        ]
        paths = self._paths(sorted({image_id for pair in pairs for image_id in pair}))
        return {
            (keep, image_id)
            for keep, image_id in pairs
            if (path := paths.get(keep)) and (other := paths.get(image_id))
            if are_companions(path, other)
        }

    def _paths(self, image_ids: Sequence[str]) -> dict[str, RelPath]:
        """Where the files of these images are, by ID."""
        paths: dict[str, RelPath] = {}
        for start in range(0, len(image_ids), IMAGES_PER_REQUEST):
            ids = image_ids[start : start + IMAGES_PER_REQUEST]
            images = self._source.ask({"command": "images", "ids": ids})["images"]
            paths |= {image_id: path for image_id in images if (path := path_of(images[image_id]))}
        return paths

    def _set_aside(
        self,
        choice: Choice,
        groups: Sequence[_Decided],
        asides: Sequence[Aside],
        marks: Sequence[Mark],
        outcome: Outcome,
    ) -> None:
        """Replace what is stored about these groups and their images, as one action."""
        if not groups:
            return
        numbers = [each.number for each in groups]
        with self._marks.transaction():
            # An image may have been in another group. A mark from then must not rely on a file that
            # is marked now.
            earlier = self._marks.marks_naming(
                member.image_id for each in groups for member in each.members
            )
            undo = self._stored({*numbers, *(each.group_id for each in earlier)})
            if choice is Choice.DISMISS:
                undo["restore"] = [each.as_message() for each in groups]
            self._marks.take_back(numbers)
            self._marks.end(earlier)
            self._marks.set_aside(asides)
            self._marks.add_marks(marks)
            outcome.undo = self._marks.add_action(choice, undo)
        outcome.done += len(groups)

    def _stored(self, groups: Collection[int]) -> dict[str, Any]:
        """What is stored about these groups, to be put back."""
        asides = self._marks.asides()
        return {
            "groups": sorted(groups),
            "asides": [astuple(asides[each]) for each in groups if each in asides],
            "marks": [astuple(each) for each in self._marks.marks(groups)],
        }

    def unmark(self, image_ids: Sequence[str]) -> Outcome:
        """Unmark these images. A group without any marked image is open again."""
        with self._marks.one_decision(), self._marks.transaction():
            marks = self._marks.marks_of_images(image_ids)
            outcome = Outcome(done=len(marks))
            if marks:
                undo = self._stored({each.group_id for each in marks})
                self._marks.end(marks)
                outcome.undo = self._marks.add_action("unmark", undo)
        return outcome

    def undo(self, action: Action | None) -> dict[str, Any]:
        """Undo a decision, the last one. Returns which one it was, ``None`` if there is none."""
        if action is None:
            return {"undone": None, "groups": [], "refused": []}
        undo, refused = action.undo, []
        for batch in _batches(undo.get("restore", []), len):
            decisions = [{"members": members, "group": None} for members in batch]
            self._source.ask({"command": "restore_all", "decisions": decisions})
        for batch in _batches(undo.get("dismiss", []), len):
            unchanged = [members for members in batch if self._are_unchanged(members)]
            refused += [{"reason": _CHANGED}] * (len(batch) - len(unchanged))
            decisions = [{"members": members, "group": None} for members in unchanged]
            self._source.ask({"command": "dismiss", "decisions": decisions})
        with self._marks.transaction():
            self._marks.take_back(undo.get("groups", []))
            self._marks.set_aside(Aside(*each) for each in undo.get("asides", []))
            self._marks.add_marks([Mark(*each) for each in undo.get("marks", [])])
            self._marks.remove_action(action.number)
        groups = [str(each) for each in undo.get("groups", [])]
        return {"undone": action.kind, "groups": groups, "refused": refused}

    def _are_unchanged(self, members: Sequence[Sequence[str]]) -> bool:
        ids = [image_id for image_id, _ in members]
        images = self._source.ask({"command": "images", "ids": ids})["images"]
        return all(
            image_id in images and images[image_id]["content"] == content
            for image_id, content in members
        )


def _as_seen(group: DecidedGroup, known: dict[str, Any], choice: Choice) -> _Decided | None:
    """The group with the members that the decision covers; ``None`` if it has changed, and the
    decision depends on that."""
    members = tuple(_Member(*each) for each in known["members"])
    decided = _Decided(group, members, known["newest_at"] or 0.0)
    if choice in (Choice.LATER, Choice.OPEN) or group.version == known["version"]:
        return decided
    return None


def _batches(items: Sequence[_Item], size: Callable[[_Item], int]) -> Iterator[list[_Item]]:
    """The items in batches that fit into one request. ``size``: how many images an item has."""
    batch: list[_Item] = []
    images = 0
    for each in items:
        if batch and images + size(each) > IMAGES_PER_REQUEST:
            yield batch
            batch, images = [], 0
        batch.append(each)
        images += size(each)
    if batch:
        yield batch
