"""Reads what the browser sends: JSON of a limited size, and parameters with a known form.

Everything else is refused with 4xx and a sentence.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request

from snoopsync.core.protocol import KINDS
from snoopsync.review.decisions import Choice, DecidedGroup
from snoopsync.state.group_order import GroupSort

#: A decision about 10,000 groups has 1 MB.
MAX_JSON_BYTES = 8 << 20

#: As many bytes as the embedded collection accepts for a picture.
MAX_PICTURE_BYTES = 64 << 20

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PAGE_END = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?:[0-9]{1,18}")
_GROUP = re.compile(r"d?[0-9]{1,18}")
_SHOWN_GROUP = re.compile(r"[dg]?[0-9]{1,18}")
_MAX_ID_CHARACTERS = 100
_MAX_IDS = 200
_MAX_PATH_BYTES = 4096
_STATES = ("open", "later", "marked", "dismissed", "gone", "all")

#: The lists whose pages end with a number.
_NUMBERED_STATES = ("dismissed", "gone")


class BadRequest(Exception):
    """The request is refused. ``status``: 4xx. The message is a sentence for people."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.status = status
        super().__init__(message)


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The body of a request. Raises ``BadRequest`` if it is larger."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most_bytes:
        raise BadRequest("The request is too large.", 413)
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > most_bytes:
                raise BadRequest("The request is too large.", 413)
    except ClientDisconnect:
        raise BadRequest("The request has no end.") from None
    return bytes(body)


async def read_json(request: Request) -> Mapping[str, Any]:
    """The JSON object in the body of a request. Raises ``BadRequest``."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise BadRequest("The request is not JSON.", 415)
    try:
        value = json.loads(await read_body(request, MAX_JSON_BYTES))
    except (ValueError, RecursionError):
        raise BadRequest("The request is not valid JSON.") from None
    if not isinstance(value, dict):
        raise BadRequest("The request is not a JSON object.")
    return value


def group_id(value: object) -> str:
    """A group's number, or that of a dismissal. Raises ``BadRequest``, as all that follow."""
    if not isinstance(value, str) or not _GROUP.fullmatch(value):
        raise BadRequest("This is not a group.")
    return value


def shown_group(value: str) -> str:
    """A group, a dismissal, or a group whose images are gone."""
    if not _SHOWN_GROUP.fullmatch(value):
        raise BadRequest("This is not a group.")
    return value


def group_ids(text: str) -> list[str]:
    """Groups, separated by commas."""
    ids = [shown_group(each) for each in text.split(",") if each]
    if len(ids) > _MAX_IDS:
        raise BadRequest("These are too many groups.")
    return ids


def image_id(value: object) -> str:
    """An image's ID."""
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_ID_CHARACTERS:
        raise BadRequest("This is not an image.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequest("This is not an image.") from None
    return value


def image_ids(value: object) -> list[str]:
    """A list of IDs."""
    if not isinstance(value, list):
        raise BadRequest("image_ids must be a list.")
    return [image_id(each) for each in value]


def choice(value: object) -> Choice:
    """What the person decides."""
    if not isinstance(value, str) or value not in list(Choice):
        raise BadRequest(f"decision must be one of {', '.join(Choice)}.")
    return Choice(value)


def decided_groups(value: object) -> list[DecidedGroup]:
    """The groups that a person decides about, as they saw them."""
    if not isinstance(value, list):
        raise BadRequest("groups must be a list.")
    return [_decided_group(each) for each in value]


def _decided_group(value: object) -> DecidedGroup:
    if not isinstance(value, dict):
        raise BadRequest("A group must be an object.")
    version, keep = value.get("version"), value.get("keep")
    if not isinstance(version, str):
        raise BadRequest("version must be a text.")
    return DecidedGroup(
        group_id(value.get("group")), version, None if keep is None else image_id(keep)
    )


def filters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of a list of groups: ``state``, ``folder``, ``kind``, ``max_rank``, ``sort``."""
    state, kind = given.get("state") or "open", given.get("kind") or None
    folder, sort = given.get("folder") or None, given.get("sort") or GroupSort.WASTE.value
    if state not in _STATES:
        raise BadRequest(f"state must be one of {', '.join(_STATES)}.")
    if kind is not None and kind not in KINDS:
        raise BadRequest(f"kind must be one of {', '.join(sorted(KINDS))}.")
    if sort not in list(GroupSort):
        raise BadRequest(f"sort must be one of {', '.join(GroupSort)}.")
    if folder is not None:
        folder = folder_name(folder)
    rank = given.get("max_rank")
    return {
        "state": state,
        "kind": kind,
        "folder": folder,
        "sort": sort,
        "max_rank": None if rank in (None, "") else whole_number(rank, "max_rank", 0, 10**6),
    }


def page_end(value: str | None, state: str) -> str | None:
    """The end of the page before, of a list in this state."""
    if value is None:
        return None
    if state in _NUMBERED_STATES:
        return str(whole_number(value, "after", 0, 10**18))
    if not _PAGE_END.fullmatch(value):
        raise BadRequest("after must be what the page before returned.")
    return value


def digest(value: object) -> str:
    """The digest of a preview."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise BadRequest("digest must be what the preview returned.")
    return value


def boolean(value: object, name: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false.")
    return value


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object.")
    return value


def absolute_path(value: str | None) -> bytes:
    """An absolute path of a folder."""
    try:
        path = os.fsencode(value or "")
    except UnicodeEncodeError:
        path = b""
    if not path.startswith(b"/") or b"\0" in path or len(path) > _MAX_PATH_BYTES:
        raise BadRequest("Name a folder by its absolute path.")
    return path


def folder_name(value: object) -> str:
    """A text of a limited length that can be written as UTF-8."""
    try:
        if isinstance(value, str) and 1 <= len(value.encode()) <= 1024:
            return value
    except UnicodeEncodeError:
        pass
    raise BadRequest("folder must be the name of a folder.")


def whole_number(value: object, name: str, low: int, high: int) -> int:
    """A whole number in this range, as a number or as digits."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and low <= int(text) <= high):
        raise BadRequest(f"{name} must be a whole number from {low} to {high}.")
    return int(text)
