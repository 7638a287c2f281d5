"""The commands that a service accepts on its socket, with their keys and types."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from snoopsync.core.errors import SnoopsyncError

#: The longest ``patience_seconds``. The limit of the system's timers is not much larger.
_MAX_PATIENCE_SECONDS = 366 * 86400.0

#: The most groups in one answer.
_MAX_PAGE = 500


@dataclass(frozen=True, slots=True)
class _Type:
    """The type of a key's value. ``description`` completes "must be ..."."""

    description: str
    accepts: Callable[[object], bool]
    is_required: bool = False


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False  # JSON can contain half of a surrogate pair, which can't be written to a file


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _are_members(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, list) and len(each) == 2 and _is_text(each[0]) and _is_hex(each[1])
        for each in value
    )


def _is_hex(value: object) -> bool:
    try:
        return isinstance(value, str) and bytes.fromhex(value).hex() == value
    except ValueError:
        return False


def _are_decisions(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and each.keys() == {"members", "group"}
        and _are_members(each["members"])
        and (each["group"] is None or _is_number(each["group"]))
        for each in value
    )


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


def _are_times(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, list) and len(each) == 2 and _is_number(each[0]) and _is_time(each[1])
        for each in value
    )


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_PAGE


def _is_page_end(value: object) -> bool:
    """``MEASURE:NUMBER`` of the last group of a page."""
    measure, colon, number = value.partition(":") if isinstance(value, str) else ("", "", "")
    try:
        return bool(colon) and math.isfinite(float(measure)) and _is_number(int(number))
    except ValueError:
        return False


def _is_patience(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= _MAX_PATIENCE_SECONDS  # false for NaN


_OPTIONAL_TEXT = _Type("a string", lambda value: value is None or _is_text(value))
_BOOLEAN = _Type("true or false", lambda value: isinstance(value, bool))
_TEXTS = _Type(
    "a list of strings", lambda value: isinstance(value, list) and all(map(_is_text, value))
)
_MEMBERS = _Type("a list of images with their contents", _are_members, is_required=True)
_DECISIONS = _Type("a list of decisions", _are_decisions, is_required=True)
_OPTIONAL_NUMBER = _Type("a number", lambda value: value is None or _is_number(value))
_TIME = _Type("a time", _is_time)
_PATIENCE = _Type("a number of seconds", _is_patience)
_COUNT = _Type(f"a number from 1 to {_MAX_PAGE}", _is_count, is_required=True)
_PATHS = _Type("a list of folders with paths", _are_members, is_required=True)
_IDS = _Type("a list of strings", lambda value: _TEXTS.accepts(value), is_required=True)
_NUMBERS = _Type("a list of numbers", _are_numbers, is_required=True)
_OPTIONAL_NUMBERS = _Type("a list of numbers", lambda value: value is None or _are_numbers(value))
_TIMES = _Type("a list of groups with times", lambda value: value is None or _are_times(value))
_PAGE_END = _Type("the end of a page", lambda value: value is None or _is_page_end(value))
_SORT = _Type("waste, found or size", lambda value: value in (None, "waste", "found", "size"))

_COMMANDS: Mapping[str, Mapping[str, _Type]] = {
    "status": {},
    "resync": {
        "folders": _TEXTS,
        "prune": _BOOLEAN,
        "approved": _OPTIONAL_TEXT,
        "patience_seconds": _PATIENCE,
    },
    "approve": {"folder": _OPTIONAL_TEXT, "discard": _BOOLEAN},
    "dismiss": {"decisions": _DECISIONS},
    "restore": {"members": _MEMBERS, "group": _OPTIONAL_NUMBER},
    "restore_all": {"decisions": _DECISIONS},
    "approve_moved": {"members": _MEMBERS},
    "withdraw_moved": {"members": _MEMBERS},
    # Questions of the review page.
    "groups": {
        "kind": _OPTIONAL_TEXT,
        "folder": _OPTIONAL_TEXT,
        "max_rank": _OPTIONAL_NUMBER,
        "sort": _SORT,
        "after": _PAGE_END,
        "count": _COUNT,
        "hidden": _TIMES,
        "only": _TIMES,
        "members": _BOOLEAN,
    },
    "groups_named": {"ids": _NUMBERS, "whole": _BOOLEAN, "members": _BOOLEAN},
    "dismissed_groups": {
        "after": _OPTIONAL_NUMBER,
        "count": _COUNT,
        "ids": _OPTIONAL_NUMBERS,
        "whole": _BOOLEAN,
        "members": _BOOLEAN,
    },
    "ended_groups": {"after": _OPTIONAL_NUMBER, "count": _COUNT, "whole": _BOOLEAN},
    "images": {"ids": _IDS, "groups": _BOOLEAN, "dismissed_since": _TIME},
    "pictures": {"ids": _IDS},
    "images_at": {"paths": _PATHS},
    "held_images": {},
    "failed_images": {},
    "state_version": {},
    "overview": {},
}


def validate_command(command: Mapping[str, object]) -> None:
    """Raise ``SnoopsyncError`` unless the command and all of its keys are known, and all values
    have the right types.

    An unknown key is an error. It comes from a newer version, and ignoring it could change what the
    command does (``dry_run``, for example).
    """
    name = command.get("command")
    known = _COMMANDS.get(name) if isinstance(name, str) else None
    if known is None:
        raise SnoopsyncError(
            "the running service has another version and does not know this command: restart it"
        )
    for key, value in command.items():
        if key == "command":
            continue
        if key not in known:
            raise SnoopsyncError(
                f"the running service has another version and does not know {key!r:.60} of {name}:"
                " restart it"
            )
        if not known[key].accepts(value):
            raise SnoopsyncError(f"{name}: {key} must be {known[key].description}")
    for key, expected in known.items():
        if expected.is_required and key not in command:
            raise SnoopsyncError(f"{name}: {key} is missing")
