"""The readers, one for each kind of value in a configuration. A reader converts a ``Value``, or
raises ``SettingError`` with a description of a valid value."""

from __future__ import annotations

import grp
import os
import re
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import yaml

from snoopsync.config.document import (
    BOOLEAN,
    LIST,
    MAPPING,
    NOTHING,
    TEXT,
    WHOLE,
    SettingError,
    Value,
    read_fields,
)
from snoopsync.config.secrets import Secret
from snoopsync.core.addresses import Address
from snoopsync.core.durations import parse_duration
from snoopsync.core.model import OWNER_PATTERN
from snoopsync.core.protocol import SYSTEM_STORE
from snoopsync.core.selection import check_pattern
from snoopsync.runtime.owned_directory import resolve

Choice = TypeVar("Choice", bound=StrEnum)
Item = TypeVar("Item")
Section = TypeVar("Section")

#: The endpoint of the embedded collection, in place of a URL.
EMBEDDED = "embedded"

# YAML 1.1 has other whole numbers too: 1:30 would be 90, and 010 would be 8.
_PLAIN_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")

# The limit of the system's timers is far higher.
_MAX_DURATION = "365d"


def text(value: Value) -> str:
    """Text that is not empty."""
    if value.kind in (LIST, MAPPING, NOTHING):
        raise SettingError(f"must be text, not {value.kind}")
    if value.kind != TEXT:
        raise SettingError(f"must be text, but YAML reads it as {value.kind}: put it in quotes")
    if not value.raw:
        raise SettingError("is empty")
    return value.raw


def boolean(value: Value) -> bool:
    """A boolean without quotes, in any of YAML's spellings."""
    if value.kind != BOOLEAN or value.raw.lower() not in yaml.SafeLoader.bool_values:
        raise SettingError("must be true or false, without quotes")
    return yaml.SafeLoader.bool_values[value.raw.lower()]


def whole_number(low: int, high: int) -> Callable[[Value], int]:
    """A reader of whole numbers from ``low`` to ``high``, both included."""

    def read(value: Value) -> int:
        if value.kind == WHOLE and _PLAIN_NUMBER.fullmatch(value.raw):
            number = int(value.raw)
            if low <= number <= high:
                return number
        raise SettingError(f"must be a whole number from {low} to {high}")

    return read


def duration(at_least: str) -> Callable[[Value], float]:
    """A reader of durations from ``at_least`` to a year, which returns seconds."""
    low, high = parse_duration(at_least), parse_duration(_MAX_DURATION)

    def read(value: Value) -> float:
        try:
            seconds = parse_duration(value.raw)
        except ValueError as error:
            raise SettingError(str(error)) from None
        if not low <= seconds <= high:
            raise SettingError(f"must be from {at_least} to {_MAX_DURATION}")
        return seconds

    return read


def choice(enum: type[Choice]) -> Callable[[Value], Choice]:
    """A reader of the values of an enumeration."""

    def read(value: Value) -> Choice:
        if value.kind != TEXT or value.raw not in list(enum):
            raise SettingError(f"must be one of {', '.join(enum)}")
        return enum(value.raw)

    return read


def list_of(read: Callable[[Value], Item]) -> Callable[[Value], tuple[Item, ...]]:
    """A reader of lists with at least one item, each read by ``read``."""

    def read_all(value: Value) -> tuple[Item, ...]:
        if not value.items():
            raise SettingError("is empty: remove it")
        found = []
        for item in value.items():
            with item.reporting_errors():
                found.append(read(item))
        return tuple(found)

    return read_all


def address(value: Value) -> Address:
    """A host and a port to listen on."""
    try:
        return Address.parse(text(value))
    except ValueError:
        raise SettingError("must be HOST:PORT, such as 127.0.0.1:10667 or [::1]:10667") from None


def path(value: Value) -> Path:
    """A path, made absolute. ``~`` is the home directory, and a relative path is relative to the
    configuration's directory."""
    given = text(value)
    try:
        usable = b"\0" not in os.fsencode(given)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise SettingError("contains a character that is not allowed in a path")
    try:
        return absolute_path(value.document.folder / Path(given).expanduser())
    except RuntimeError:
        raise SettingError("begins with ~, but that home directory does not exist") from None


def ca_file(value: Value) -> str:
    """The certificates to trust: ``system``, or the absolute path of a valid PEM file."""
    if text(value) == SYSTEM_STORE:
        return SYSTEM_STORE
    given = path(value)
    import ssl  # imported late: few configurations need it

    try:
        ssl.create_default_context(cafile=given)
    except ssl.SSLError:
        raise SettingError("contains no PEM certificates") from None
    except OSError as error:
        raise SettingError(f"can't be read: {error.strerror}") from None
    return str(given)


def state(value: Value) -> Path:
    """The path of the state file. Links are resolved, because the lock and the socket are next to
    the file. A link that another user can change stays in the path, and opening the file then
    fails."""
    return resolve(path(value))


def absolute_path(given: Path) -> Path:
    """The path, absolute and without ``..``. Resolves symbolic links only if there is a ``..``."""
    return given.resolve() if ".." in given.parts else given.absolute()


def section(cls: type[Section]) -> Callable[[Value], Section]:
    """A reader of mappings that returns a dataclass. Each field of ``cls`` must have a default."""
    return lambda value: cls(**read_fields(cls, value))


def is_name(given: str) -> bool:
    """Returns whether this is a valid name of a folder."""
    is_odd = any(unicodedata.category(char) in ("Cc", "Cs") for char in given)
    return 1 <= len(given) <= 255 and "/" not in given and not is_odd


def name(value: Value) -> str:
    """A folder's name."""
    given = text(value)
    if not is_name(given):
        raise SettingError("must have 1 to 255 characters, and no slash or control character")
    return given


def group(value: Value) -> str:
    """The name of a group of this system."""
    given = text(value)
    try:
        grp.getgrnam(given)
    except (KeyError, ValueError):
        raise SettingError("is not the name of a group on this machine") from None
    return given


def owner(value: Value) -> str:
    """The prefix of all image IDs."""
    given = text(value)
    if not OWNER_PATTERN.fullmatch(given):
        raise SettingError("must have 1 to 32 characters, each one of a-z, 0-9 or -")
    return given


def endpoint(value: Value) -> str:
    """``embedded``, or the URL of a service without its trailing slashes."""
    given = text(value)
    if given != EMBEDDED and not _is_url(given):
        raise SettingError(
            f'must be "{EMBEDDED}" or a URL such as https://host/api/v1, without user, password, '
            "query or fragment"
        )
    return given.rstrip("/")


def _is_url(given: str) -> bool:
    try:
        url = urlsplit(given)
        has_usable_port = url.port != 0
    except ValueError:
        return False
    odd = any(char in "?#@\\" or char.isspace() or not char.isprintable() for char in given)
    return url.scheme in ("http", "https") and bool(url.hostname) and has_usable_port and not odd


def public_key(value: Value) -> str:
    """A public key. It is sent in a header, followed by a colon."""
    given = text(value)
    if not re.fullmatch(r"[!-9;-~]+", given):
        raise SettingError("must be one word of ASCII characters, without a colon")
    return given


def secret(value: Value) -> Secret:
    """A secret in the configuration file itself."""
    return Secret(text(value))


def patterns(value: Value) -> tuple[str, ...]:
    """A list of gitignore patterns."""
    valid = []
    for item in value.items():
        with item.reporting_errors():
            pattern = text(item)
            try:
                check_pattern(pattern)
            except ValueError as error:
                raise SettingError(str(error)) from None
            valid.append(pattern)
    return tuple(valid)


def include_patterns(value: Value) -> tuple[str, ...]:
    """A list of gitignore patterns with at least one item."""
    if not value.items():
        raise SettingError("is empty, so no image would be mirrored: remove it to mirror all")
    return patterns(value)
