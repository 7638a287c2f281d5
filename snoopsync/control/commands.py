"""The commands that a service takes on its socket, and what each of them may say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from snoopsync.core.errors import SnoopsyncError

#: More is no patience (seconds): the longest wait that a system's timers can count is not far off.
_MAX_PATIENCE_SECONDS = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class _Value:
    """What a key's value must be."""

    words: str
    fits: Callable[[object], bool]
    is_required: bool = False


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False  # JSON can say half of a character, which no file takes


def _is_patience(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= _MAX_PATIENCE_SECONDS  # which is not so of NaN


_TEXT = _Value("a text", _is_text, is_required=True)
_TEXT_OR_NOTHING = _Value("a text", lambda value: value is None or _is_text(value))
_SWITCH = _Value("true or false", lambda value: isinstance(value, bool))
_TEXTS = _Value(
    "a list of texts", lambda value: isinstance(value, list) and all(map(_is_text, value))
)
_PATIENCE = _Value("a number of seconds", _is_patience)

_COMMANDS: Mapping[str, Mapping[str, _Value]] = {
    "status": {},
    "resync": {
        "folders": _TEXTS,
        "prune": _SWITCH,
        "approved": _TEXT_OR_NOTHING,
        "patience_seconds": _PATIENCE,
    },
    "approve": {"folder": _TEXT_OR_NOTHING, "discard": _SWITCH},
    "dismiss": {"a": _TEXT, "b": _TEXT},
}


def require_sound(command: Mapping[str, object]) -> None:
    """Raises ``SnoopsyncError`` unless this is a command, and every key of it is known and has a
    value of its kind.

    A key that is not known is refused as well: it is one of a newer version, and a command without
    it would be another one (``dry_run``, say).
    """
    name = command.get("command")
    known = _COMMANDS.get(name) if isinstance(name, str) else None
    if known is None:
        raise SnoopsyncError(
            "the service is of another version, and does not know this command: restart it"
        )
    for key, value in command.items():
        if key == "command":
            continue
        if key not in known:
            raise SnoopsyncError(
                f"the service is of another version, and {name} has no {key!r:.60} there: restart"
                " it"
            )
        if not known[key].fits(value):
            raise SnoopsyncError(f"{name}: {key} must be {known[key].words}")
    for key, expected in known.items():
        if expected.is_required and key not in command:
            raise SnoopsyncError(f"{name}: {key} is missing")
