"""The lists of groups: open ones, those that the person set aside, and dismissed ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from snoopsync.folders.companions import CompanionFinder
from snoopsync.review.companions import companion_views
from snoopsync.review.decisions import Choice, DecidedGroup, Decider
from snoopsync.review.marks import AsideReason, Mark, Marks
from snoopsync.review.presence import Presence
from snoopsync.review.requests import BadRequest
from snoopsync.review.source import Source
from snoopsync.review.view import group_view, image_view

#: How many groups a decision about all shown groups reads at a time.
_READ_AT_ONCE = 200

#: The lists of groups without open pairs, and the question for each.
_ENDED = {"dismissed": "dismissed_groups", "gone": "ended_groups"}

_NO_KEEP = "no evidence favours one picture"
_NOTHING = "no other file matches the filters"
_CHAIN = "a chain: not every picture is like the one to keep"
_SERIES = "a series of similar shots: decide about each group"


@dataclass(slots=True)
class _Effect:
    """What a decision about all shown groups would do. ``kinds``: how many of the images differ
    in which way. ``digest`` is of all of it."""

    groups: list[DecidedGroup] = field(default_factory=list)
    images: int = 0
    size_bytes: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    digest: str = ""

    def as_message(self) -> dict[str, Any]:
        """The effect as the page gets it."""
        return {
            "groups": len(self.groups),
            "images": self.images,
            "bytes": self.size_bytes,
            "kinds": self.kinds,
            "skipped": [{"reason": each, "groups": n} for each, n in self.skipped.items()],
            "digest": self.digest,
        }


class GroupLists:
    """Reads groups for the page. For any thread."""

    def __init__(self, source: Source, marks: Marks, decider: Decider, presence: Presence) -> None:
        self._source = source
        self._presence = presence
        self._marks = marks
        self._decider = decider

    def page(self, filters: dict[str, Any], after: str | None, count: int) -> dict[str, Any]:
        """One page of the groups that match, with ``next``, the totals, and what can be filtered
        by."""
        if filters["state"] in _ENDED:
            return self._ended(filters["state"], after, count)
        answer = self._source.ask(self._question(filters, after, count))
        return {
            "groups": self._views(answer["groups"]),
            **{key: answer[key] for key in ("next", "total", "folders", "kinds")},
        }

    def named(
        self, ids: Sequence[str], *, whole: bool = False, finder: CompanionFinder | None = None
    ) -> list[dict[str, Any]]:
        """Those of these groups that exist, in any state. ``whole``: with all images, up to some
        hundreds. ``finder``: finds the companions of the images of open groups."""
        numbers = [int(each) for each in ids if each.isdecimal()]
        dismissals = [int(each[1:]) for each in ids if each.startswith("d")]
        found: list[dict[str, Any]] = []
        if numbers:
            request = {"command": "groups_named", "ids": numbers, "whole": whole}
            found += self._views(self._source.ask(request)["groups"], finder)
        if dismissals:
            request = {
                "command": "dismissed_groups",
                "ids": dismissals,
                "count": len(dismissals),
                "whole": whole,
            }
            groups = self._source.ask(request)["groups"]
            found += [group_view(each, "dismissed") for each in groups]
        return found + self._named_ended(
            {int(each[1:]) for each in ids if each.startswith("g")}, whole
        )

    def _named_ended(self, numbers: set[int], whole: bool) -> list[dict[str, Any]]:
        """Those of these groups whose images are gone. Each request reads all links, so groups that
        follow each other are asked for at once."""
        found: list[dict[str, Any]] = []
        left = numbers
        while left:
            answer = self._source.ask(
                {
                    "command": "ended_groups",
                    "after": max(0, min(left) - 1),
                    "count": len(left),
                    "whole": whole,
                }
            )
            wanted = {f"g{number}" for number in left}
            found += [
                group_view(each, "gone") for each in answer["groups"] if each["group"] in wanted
            ]
            last = answer["next"]
            left = set() if last is None else {number for number in left if number > last}
        return found

    def decide_all(
        self, choice: Choice, filters: dict[str, Any], digest: str | None
    ) -> dict[str, Any]:
        """Decide about all groups that match. Without a digest, only what would be done. Raises
        ``BadRequest`` if it is not the digest of what would be done now."""
        effect = self._effect(choice, filters)
        if digest is None:
            return effect.as_message()
        if digest != effect.digest:
            raise BadRequest("The groups have changed meanwhile. Look at the preview again.", 409)
        outcome = self._decider.decide(choice, effect.groups)
        return {**effect.as_message(), **outcome.as_message(), "groups": outcome.done}

    def _effect(self, choice: Choice, filters: dict[str, Any]) -> _Effect:
        effect = _Effect()
        digest = hashlib.sha256(choice.encode())
        for group in self._all(filters):
            affected, reason = _affected(choice, group, filters)
            if reason is not None:
                effect.skipped[reason] = effect.skipped.get(reason, 0) + 1
                continue
            keep = group["keep"] if choice is Choice.KEEP else None
            only = frozenset(member[0] for member in affected) if keep is not None else None
            decided = DecidedGroup(group["group"], group["version"], keep=keep, only=only)
            effect.groups.append(decided)
            text = f"{decided.group} {decided.version} {keep} {sorted(only or ())}\n"
            digest.update(text.encode(errors="surrogatepass"))
            effect.images += len(affected)
            for _, _, size, kind, _ in affected:
                effect.size_bytes += size or 0
                effect.kinds[kind or "unknown"] = effect.kinds.get(kind or "unknown", 0) + 1
        effect.digest = digest.hexdigest()
        return effect

    def _all(self, filters: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """All groups that match, with their members."""
        if filters["state"] == "gone":
            raise BadRequest("There is nothing to decide about groups whose images are gone.")
        after: Any = None
        while True:
            request = self._question(filters, after, _READ_AT_ONCE)
            if filters["state"] == "dismissed":
                request = {"command": "dismissed_groups", "after": after, "count": _READ_AT_ONCE}
            answer = self._source.ask({**request, "members": True})
            yield from answer["groups"]
            after = answer["next"]
            if after is None:
                return

    def _question(self, filters: dict[str, Any], after: str | None, count: int) -> dict[str, Any]:
        """The question for a page of groups. The groups that are set aside are left out of the open
        ones, and are the only ones of the list for their reason."""
        state = filters["state"]
        asides = self._marks.asides().values()
        times = [
            [each.group_id, each.newest_at]
            for each in asides
            if state in ("open", each.reason.value)
        ]
        return {
            "command": "groups",
            **{key: filters[key] for key in ("kind", "folder", "max_rank", "sort")},
            "after": after,
            "count": count,
            "hidden": times if state == "open" else None,
            "only": times if state in list(AsideReason) else None,
        }

    def _ended(self, state: str, after: str | None, count: int) -> dict[str, Any]:
        request: dict[str, Any] = {"command": _ENDED[state], "count": count}
        if after is not None:
            request["after"] = int(after)
        answer = self._source.ask(request)
        following = answer["next"]
        return {
            "groups": [group_view(each, state) for each in answer["groups"]],
            "next": None if following is None else str(following),
            "total": {"groups": answer.get("total"), "images": None, "waste_bytes": None},
            **{key: answer[key] for key in ("folders", "kinds")},
        }

    def _views(
        self, groups: Sequence[dict[str, Any]], finder: CompanionFinder | None = None
    ) -> list[dict[str, Any]]:
        """Open groups for the page, each with what the person has decided about it. Where a file is
        gone, and no service has noticed it, its image and perhaps its group are left out."""
        groups = self._without_gone(groups)
        asides = self._marks.asides()
        by_group: dict[int, list[Mark]] = {}
        for mark in self._marks.marks([int(each["group"]) for each in groups]):
            by_group.setdefault(mark.group_id, []).append(mark)
        views = []
        for group in groups:
            number = int(group["group"])
            aside, marks = asides.get(number), by_group.get(number, [])
            # A picture that joined since makes it an open group again.
            is_aside = aside is not None and (group["newest_at"] or 0.0) <= aside.newest_at
            marked = {each.image_id for each in marks}
            views.append(
                group_view(
                    group,
                    aside.reason.value if aside is not None and is_aside else "open",
                    [
                        {**image_view(each, marked), "companions": companion_views(each, finder)}
                        for each in group["images"]
                    ],
                    picked=marks[0].keep_id if marks else None,
                )
            )
        return views

    def _without_gone(self, groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        shown = [image for group in groups for image in group["images"]]
        gone = self._presence.gone([each["image_id"] for each in shown if each["has_file"]])
        if not gone:
            return list(groups)
        left = []
        for group in groups:
            images = [each for each in group["images"] if each["image_id"] not in gone]
            count = group["image_count"] - len(group["images"]) + len(images)
            keep = {"keep": None, "reason": None} if group["keep"] in gone else {}
            if count > 1:
                left.append({**group, **keep, "images": images, "image_count": count})
        return left


def _affected(
    choice: Choice, group: dict[str, Any], filters: dict[str, Any]
) -> tuple[list[list[Any]], str | None]:
    """The members of a group that a decision about many groups affects, or why it leaves the group
    out. A person who keeps the best of a filtered list marks only the images that match the filter:
    they have not looked at the others."""
    members: list[list[Any]] = group["members"]
    if choice is not Choice.KEEP:
        return members, None
    if group["series"]:
        return [], _SERIES
    if group["keep"] is None:
        return [], _NO_KEEP
    if group["chain"]:
        return [], _CHAIN
    wanted_kind, most = filters["kind"], filters["max_rank"]
    affected = [
        member
        for member in members
        if member[0] != group["keep"]
        and member[2] is not None
        and wanted_kind in (None, member[3])
        and (most is None or (member[4] is not None and member[4] <= most))
    ]
    return affected, None if affected else _NOTHING
