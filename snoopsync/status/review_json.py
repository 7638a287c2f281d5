"""Groups and images as JSON objects for the review page, as a service or the page itself reads
them. A path is a text with surrogates for bytes that are not UTF-8; the page makes it printable."""

from __future__ import annotations

import hashlib
from typing import Any

from snoopsync.core.model import RelPath, path_keys
from snoopsync.core.text import iso
from snoopsync.state.group_order import MeasuredGroup
from snoopsync.state.group_rows import Likeness
from snoopsync.state.groups import Group
from snoopsync.state.sides import Side

_NS_PER_SECOND = 1e9


def group_json(
    group: Group,
    measured: MeasuredGroup | None,
    folders: frozenset[str],
    most_images: int,
    *,
    members: bool = False,
) -> dict[str, Any]:
    """A group with at most so many of its images. ``folders``: the configured ones. ``version``
    changes with the members and their bytes, and ``newest_at`` when a picture joins. ``members``:
    also each image as its ID, its content, the size of its file (null without one), kind and
    rank."""
    keep = group.keep
    return {
        **({"members": _members(group, folders)} if members else {}),
        "group": group.name,
        "version": version_of(group),
        "images": [
            image_json(each.side, each.likeness, folders) for each in group.images[:most_images]
        ],
        "image_count": len(group.images),
        "keep": None if keep is None else keep.image_id,
        "reason": None if keep is None else keep.reason,
        "reason_words": None if keep is None else keep.reason.words,
        "chain": group.chain,
        "series": group.series,
        "waste_bytes": group.waste_bytes,
        "open_pairs": group.open_pairs,
        "found_at": iso(group.found_at),
        "newest_at": None if measured is None else measured.found_at,
    }


def _members(group: Group, folders: frozenset[str]) -> list[list[Any]]:
    members = []
    for each in group.images:
        side, likeness = each.side, each.likeness
        size_bytes = side.size_bytes if has_file(side, folders) else None
        kind, rank = (None, None) if likeness is None else (likeness.kind, likeness.rank)
        members.append([side.image_id, side.content.hex(), size_bytes, kind, rank])
    return members


def version_of(group: Group) -> str:
    """A digest of the members of a group and their bytes."""
    members = sorted((each.side.image_id, each.side.content.hex()) for each in group.images)
    return hashlib.sha256(repr(members).encode()).hexdigest()[:16]


def image_json(side: Side, likeness: Likeness | None, folders: frozenset[str]) -> dict[str, Any]:
    """An image. ``content`` is hexadecimal: the SHA-256 of its bytes, or its ID where the
    collection tells no SHA-256. ``has_file``: its file is known to be in a configured folder."""
    rel_path = side.rel_path
    return {
        **path_keys(rel_path or side.was),
        "image_id": side.image_id,
        "label": side.label,
        "width": side.facts.get("width"),
        "height": side.facts.get("height"),
        "size_bytes": side.size_bytes,
        "modified_at": None if rel_path is None else iso(side.modified_ns / _NS_PER_SECOND),
        "kind": None if likeness is None else likeness.kind,
        "rank": None if likeness is None else likeness.rank,
        "content": side.content.hex(),
        "is_gone": side.is_gone,
        "has_file": has_file(side, folders),
    }


def has_file(side: Side, folders: frozenset[str]) -> bool:
    """Returns whether the image's file is known to be in a configured folder."""
    rel_path: RelPath | None = side.rel_path
    return rel_path is not None and not side.is_missing and rel_path.folder in folders
