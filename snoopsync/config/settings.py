"""The schema of the configuration: its keys, types and defaults.

``Config`` and its parts are dataclasses. The metadata of a field names its key and its reader.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from snoopsync.config import readers
from snoopsync.config.directories import no_home, state_directory
from snoopsync.config.document import MAPPING, TEXT, SettingError, Value, key, read_fields
from snoopsync.config.readers import EMBEDDED, choice, duration, list_of, section, whole_number
from snoopsync.config.secrets import Secret
from snoopsync.core.addresses import Address
from snoopsync.core.errors import ConfigError, Problem
from snoopsync.core.events import Event
from snoopsync.core.model import printable
from snoopsync.log.formats import LogFormat, LogLevel
from snoopsync.runtime.owned_directory import resolve

_SERVICE_KEYS = (
    "collection.public_key",
    "collection.secret_key",
    "collection.secret_key_file",
    "collection.ca_file",
)


#: The name of the state file.
STATE_NAME = "state.sqlite3"


class Watch(StrEnum):
    """How changes in a folder are detected. ``AUTO``: by events if the file system supports them,
    otherwise by polling."""

    AUTO = "auto"
    EVENTS = "events"
    POLL = "poll"


def default_state_path() -> Path:
    """The state file if the configuration does not name one. Raises ``ConfigError`` if there is no
    home directory."""
    directory = state_directory()
    if directory is None:
        raise no_home("state", "XDG_STATE_HOME")
    return resolve(directory / STATE_NAME)


def default_owner(host: str | None = None) -> str:
    """The default owner for this host name. ``host``: ``None`` for the name of this host."""
    label = (socket.gethostname() if host is None else host).partition(".")[0].lower()
    return re.sub(r"[^a-z0-9-]+", "-", label)[:32].strip("-") or "snoopsync"


def default_name(folder: Path) -> str:
    """The default name of a folder: the last part of its path. Characters that a name can't contain
    are escaped (``\\n``).

    Raises ``SettingError`` if the result is not a valid name, because the path is ``/`` or the
    escapes make the name too long.
    """
    name = folder.name if readers.is_name(folder.name) else printable(os.fsencode(folder.name))
    if not readers.is_name(name):
        raise SettingError("needs a name: the last part of its path is not a valid name")
    return name


@dataclass(frozen=True, slots=True)
class CollectionConfig:
    """The collection that the folders are mirrored into. ``owner``: ``None`` for the owner in the
    state file or, if it has none, the host's name (see ``snoopsync.folders.ownership``).
    ``ca_file``: the path of the certificates to trust, or ``system``. ``share_names``: whether to
    send the host's name and the path of each image, for people on other machines."""

    endpoint: str = field(default=EMBEDDED, metadata=key("endpoint", readers.endpoint))
    public_key: str | None = field(default=None, metadata=key("public_key", readers.public_key))
    secret_key: Secret | None = field(default=None, metadata=key("secret_key", readers.secret))
    secret_key_file: Path | None = field(
        default=None, metadata=key("secret_key_file", readers.path)
    )
    owner: str | None = field(default=None, metadata=key("owner", readers.owner))
    timeout_seconds: float = field(default=30.0, metadata=key("timeout", duration("1ms")))
    ca_file: str | None = field(default=None, metadata=key("ca_file", readers.ca_file))
    share_names: bool = field(default=False, metadata=key("share_names", readers.boolean))

    @property
    def embedded(self) -> bool:
        """Returns whether this is the embedded collection, not a service."""
        return self.endpoint == EMBEDDED


@dataclass(frozen=True, slots=True)
class FolderConfig:
    """One folder. ``path`` is absolute. ``include``: ``None`` for all supported images.
    ``exclude_defaults``: whether to exclude the files of other programs too. ``prefer``: whether
    files in this folder are preferred over identical files elsewhere."""

    name: str = field(metadata=key("name", readers.name))
    path: Path = field(metadata=key("path", readers.path))
    include: tuple[str, ...] | None = field(
        default=None, metadata=key("include", readers.include_patterns)
    )
    exclude: tuple[str, ...] = field(default=(), metadata=key("exclude", readers.patterns))
    watch: Watch = field(default=Watch.AUTO, metadata=key("watch", choice(Watch)))
    poll_interval_seconds: float = field(
        default=30.0, metadata=key("poll_interval", duration("1s"))
    )
    exclude_defaults: bool = field(default=True, metadata=key("exclude_defaults", readers.boolean))
    prefer: bool = field(default=False, metadata=key("prefer", readers.boolean))


@dataclass(frozen=True, slots=True)
class HoldPolicy:
    """Deletions are held if there are more than ``count`` and they are more than ``percent`` of the
    folder's images."""

    count: int = field(default=50, metadata=key("count", whole_number(0, 10**9 - 1)))
    percent: int = field(default=10, metadata=key("percent", whole_number(0, 100)))


def _hold_policy(value: Value) -> HoldPolicy | None:
    if value.kind == TEXT and value.raw == "never":
        return None
    if value.kind != MAPPING or not value.node.value:
        raise SettingError('must be "never" or {count: NUMBER, percent: NUMBER}')
    # A limit that is not given is 0, so that the other one decides.
    return HoldPolicy(**{"count": 0, "percent": 0} | read_fields(HoldPolicy, value))


@dataclass(frozen=True, slots=True)
class SyncConfig:
    """When and how changes are sent."""

    # The kernel's clock for file times ticks every 1 to 10 ms. Two observations of a file must be
    # several ticks apart to show whether it is being written.
    settle_seconds: float = field(default=0.5, metadata=key("settle", duration("50ms")))
    delete_after_seconds: float = field(default=5.0, metadata=key("delete_after", duration("0s")))
    rescan_interval_seconds: float = field(
        default=900.0, metadata=key("rescan_interval", duration("10s"))
    )
    workers: int = field(default=4, metadata=key("workers", whole_number(1, 64)))
    hold_deletes_over: HoldPolicy | None = field(
        default=HoldPolicy(), metadata=key("hold_deletes_over", _hold_policy)
    )


@dataclass(frozen=True, slots=True)
class DuplicatesConfig:
    """The matches to alert about. ``companions`` and ``series``: whether files of one shot, and
    shots of one series, are distinguished from duplicates. ``log``: a file that gets each alert as
    a line of JSON."""

    alert: bool = field(default=True, metadata=key("alert", readers.boolean))
    # Ranks of the embedded collection are distances between codes of 256 bits.
    max_rank: int = field(default=50, metadata=key("max_rank", whole_number(0, 256)))
    companions: bool = field(default=True, metadata=key("companions", readers.boolean))
    series: bool = field(default=True, metadata=key("series", readers.boolean))
    log: Path | None = field(default=None, metadata=key("log", readers.path))


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What to log, in which format, and to which file in addition to standard error."""

    level: LogLevel = field(default=LogLevel.INFO, metadata=key("level", choice(LogLevel)))
    format: LogFormat = field(default=LogFormat.AUTO, metadata=key("format", choice(LogFormat)))
    file: Path | None = field(default=None, metadata=key("file", readers.path))


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """Notifications. ``urls``: Apprise addresses. After the configuration is loaded, they include
    those from ``urls_file`` or the systemd credential."""

    urls: tuple[Secret, ...] = field(default=(), metadata=key("urls", list_of(readers.secret)))
    urls_file: Path | None = field(default=None, metadata=key("urls_file", readers.path))
    events: tuple[Event, ...] = field(
        default=(
            Event.DUPLICATE,
            Event.DELETIONS_HELD,
            Event.FOLDER_MISSING,
            Event.CREDENTIALS_REFUSED,
        ),
        metadata=key("events", list_of(choice(Event))),
    )


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """The HTTP server for metrics and health checks. No known exporter uses the default port."""

    listen: Address = field(
        default=Address("127.0.0.1", 10667), metadata=key("listen", readers.address)
    )


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """Who may send commands to the service besides its own user: the members of a group."""

    group: str | None = field(default=None, metadata=key("group", readers.group))


def _collection(value: Value) -> CollectionConfig:
    given = read_fields(CollectionConfig, value)
    collection = CollectionConfig(**given)
    document, lines = value.document, value.document.lines
    keys = [name for name in _SERVICE_KEYS if name in lines]
    if "collection.endpoint" in lines and "endpoint" not in given:
        return collection  # which keys are needed depends on the endpoint, which is invalid
    if collection.embedded:
        for name in keys:
            document.report(name, "is only for a service, but the endpoint is embedded: remove it")
        return collection
    if "collection.public_key" not in keys:
        line = lines["collection.endpoint"]
        document.report("collection.public_key", "is missing: a service needs it", line)
    if {"collection.secret_key", "collection.secret_key_file"} <= set(keys):
        document.report(
            "collection.secret_key_file", "conflicts with secret_key: remove one of them"
        )
    return collection


def _folders(value: Value) -> tuple[FolderConfig, ...]:
    items, lines = value.items(), value.document.lines
    if not items:
        raise SettingError("is empty: add at least one folder")
    folders: dict[str, FolderConfig] = {}
    for item in items:
        with item.reporting_errors():
            given = read_fields(FolderConfig, item)
            if f"{item.key}.path" not in lines:
                raise SettingError("has no path")
            if "path" in given:
                name = given.pop("name", None) or default_name(given["path"])
                folders[item.key] = FolderConfig(name=name, **given)
    for folder, setting, message in _conflicts(folders):
        name = f"{folder}.{setting}"
        value.document.report(name, message, lines.get(name, lines[f"{folder}.path"]))
    return tuple(folders.values())


def _conflicts(folders: Mapping[str, FolderConfig]) -> Iterator[tuple[str, str, str]]:
    """The conflicts by which two images would get one ID, or one image two IDs. For each, returns
    the folder's label, the key, and the problem. ``folders``: by their labels for messages."""
    names: dict[str, str] = {}
    for label, folder in folders.items():
        if (first := names.setdefault(folder.name, label)) != label:
            yield label, "name", f"is also the name of {first}: rename one of them"
    real_paths = {label: Path(os.path.realpath(folder.path)) for label, folder in folders.items()}
    labels: dict[Path, str] = {}
    for label, path in real_paths.items():
        if (first := labels.setdefault(path, label)) != label:
            yield label, "path", f"is the same folder as {first}"
    for label, path in real_paths.items():
        if outer := next((labels[above] for above in path.parents if above in labels), None):
            yield label, "path", f"is inside {outer}: an image can be in only one folder"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. ``source``: the file that it was read from, if any."""

    collection: CollectionConfig = field(
        default_factory=CollectionConfig, metadata=key("collection", _collection)
    )
    folders: tuple[FolderConfig, ...] = field(default=(), metadata=key("folders", _folders))
    sync: SyncConfig = field(default=SyncConfig(), metadata=key("sync", section(SyncConfig)))
    duplicates: DuplicatesConfig = field(
        default=DuplicatesConfig(), metadata=key("duplicates", section(DuplicatesConfig))
    )
    state: Path = field(default_factory=default_state_path, metadata=key("state", readers.state))
    log: LogConfig = field(default=LogConfig(), metadata=key("log", section(LogConfig)))
    control: ControlConfig = field(
        default=ControlConfig(), metadata=key("control", section(ControlConfig))
    )
    # A factory, so that a section without a value means its defaults, not None (see read_fields).
    notify: NotifyConfig | None = field(
        default_factory=lambda: None, metadata=key("notify", section(NotifyConfig))
    )
    metrics: MetricsConfig | None = field(
        default_factory=lambda: None, metadata=key("metrics", section(MetricsConfig))
    )
    source: Path | None = None

    @property
    def folder_order(self) -> dict[str, tuple[int, bool]]:
        """For each folder: its position in the configuration, from 0, and whether it is
        preferred."""
        return {folder.name: (at, folder.prefer) for at, folder in enumerate(self.folders)}


def default_config(folders: Sequence[Path]) -> Config:
    """The configuration without a file: these folders and the embedded collection. Raises
    ``ConfigError`` as ``name_folders`` does."""
    return Config(folders=name_folders(folders))


def name_folders(given: Sequence[Path]) -> tuple[FolderConfig, ...]:
    """Folders at these paths, each named after the last part of its path.

    Image IDs depend on the names, so the names must not depend on the order of the folders: if
    several paths have the same last part, a hash of the path is appended to each name. Raises
    ``ConfigError`` for folders that can't be named, or that contain each other.
    """
    paths = dict.fromkeys(readers.absolute_path(path) for path in given)
    last_parts = Counter(path.name for path in paths)
    folders: dict[str, FolderConfig] = {}
    problems = []
    for path in paths:
        try:
            name = default_name(path)
        except SettingError as error:
            problems.append(Problem(str(path), str(error)))
            continue
        if last_parts[path.name] > 1:
            name = f"{name[:200]}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        folders[str(path)] = FolderConfig(name, path)
    problems += [Problem(label, message) for label, _, message in _conflicts(folders)]
    if problems:
        raise ConfigError("command line", tuple(problems))
    return tuple(folders.values())
