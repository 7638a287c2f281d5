"""The configuration file: where it is, what it says, and a new one to start from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from string import Template

import yaml

from snoopsync.config import secrets
from snoopsync.config.directories import config_directory, no_home
from snoopsync.config.document import Document, read_fields
from snoopsync.config.readers import EMBEDDED
from snoopsync.config.secrets import Secret, SecretError, SecretUnreadable
from snoopsync.config.settings import (
    STATE_NAME,
    CollectionConfig,
    Config,
    default_owner,
    name_folders,
)
from snoopsync.config.targets import require_extras, with_targets
from snoopsync.core.errors import ConfigError, Problem
from snoopsync.runtime.owned_directory import resolve

CONFIG_VARIABLE = "SNOOPSYNC_CONFIG"
SYSTEM_PATH = Path("/etc/snoopsync/config.yaml")

#: Where the system's service keeps its state: its unit has systemd make this directory.
SYSTEM_STATE_DIRECTORY = Path("/var/lib/snoopsync")

#: The name of the configuration file in the user's directory.
_FILE_NAME = "config.yaml"

_MAX_BYTES = 1 << 20


def user_config_file() -> Path:
    """The user's own configuration file. Raises ``ConfigError`` if there is no home directory."""
    directory = config_directory()
    if directory is None:
        raise no_home("--config", "XDG_CONFIG_HOME")
    return directory / _FILE_NAME


def find_config(
    explicit: Path | None,
    environ: Mapping[str, str],
    *,
    user_dir: Path | None = None,
    system_path: Path = SYSTEM_PATH,
) -> Path | None:
    """The configuration file to read; ``None`` if there is none.

    In this order: the one named on the command line, the one in ``$SNOOPSYNC_CONFIG``,
    ``config.yaml`` in ``user_dir`` (the user's own by default), and the system's. Raises
    ``ConfigError`` if one of the first two is named and is not there.
    """
    variable = environ.get(CONFIG_VARIABLE)
    named = {
        "--config": explicit,
        f"${CONFIG_VARIABLE}": Path(variable).expanduser() if variable else None,
    }
    for origin, path in named.items():
        if path is not None:
            if not _may_be_there(path):
                raise ConfigError(str(path), (Problem(origin, "there is no such file"),))
            return path
    own = user_dir or config_directory()
    usual = (system_path,) if own is None else (own / _FILE_NAME, system_path)
    # Not Path.exists, which raises where a directory on the way can't be searched.
    return next((path for path in usual if os.path.exists(path)), None)  # noqa: PTH110


def _may_be_there(path: Path) -> bool:
    """Is it there, or in a directory that is closed to us, which is said when it is read?"""
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def service_state(
    source: Path,
    environ: Mapping[str, str],
    *,
    system_path: Path = SYSTEM_PATH,
    system_directory: Path = SYSTEM_STATE_DIRECTORY,
) -> Path | None:
    """The state file of the service that systemd runs with this configuration; ``None`` if there
    is none, and the user's own is meant.

    In the service it is in ``$STATE_DIRECTORY``. Commands are not told of that, and have to find
    the same file: they know it by the system's configuration.
    """
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    # Only its owner may enter the directory: lexists, which says of everybody that it is there.
    if not directory and source == system_path and os.path.lexists(system_directory):
        directory = str(system_directory)
    return resolve(Path(directory)) / STATE_NAME if directory else None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a configuration file says, and what is wrong with it: in ``config`` that is at its
    default. ``secret_from`` names the source of the secret key."""

    config: Config
    problems: tuple[Problem, ...]
    secret_from: str | None = None


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration file. Raises ``ConfigError`` with all that is wrong with it.

    A service's secret key is the first there is of: ``$SNOOPSYNC_SECRET_KEY``, the file's own
    ``secret_key`` or ``secret_key_file``, the systemd credential ``snoopsync-secret-key``.
    """
    reading = read_config(path, environ)
    if reading.problems:
        raise ConfigError(str(path), reading.problems)
    return reading.config


def read_config(path: Path, environ: Mapping[str, str]) -> Reading:
    """Read a configuration file, as ``load_config``, as far as that can be done. Raises
    ``ConfigError`` only if nothing of it can be read."""
    document = Document(path)
    content, mode = _read(document, path)
    given = read_fields(Config, document.root(content))
    if state := service_state(path.absolute(), environ):
        given.setdefault("state", state)
    config = Config(**given, source=path.absolute())
    if "folders" not in document.lines:
        document.report("folders", "is missing: name at least one folder")
    if "collection.secret_key" in document.lines:
        try:
            secrets.refuse_if_exposed(path, mode)
        except SecretError as error:
            document.report("collection.secret_key", error.message, mend=error.mend)
    secret_from = None
    if not config.collection.embedded:
        secret_from, secret = _find_secret(config.collection, document, environ)
        config = replace(config, collection=replace(config.collection, secret_key=secret))
    config = with_targets(config, document, mode, environ)
    require_extras(document)
    return Reading(config, document.problems, secret_from)


def _read(document: Document, path: Path) -> tuple[bytes, int]:
    """The file's content and mode."""
    try:
        with path.open("rb") as file:
            content, mode = file.read(_MAX_BYTES + 1), os.fstat(file.fileno()).st_mode
    except OSError as error:
        document.fail(f"can't be read: {error.strerror}")
    if len(content) > _MAX_BYTES:
        document.fail("is more than a MiB long, which no configuration is")
    return content, mode


def _find_secret(
    collection: CollectionConfig, document: Document, environ: Mapping[str, str]
) -> tuple[str | None, Secret | None]:
    """Which source has the secret key, and the key."""
    barred: tuple[str, SecretError] | None = None
    for name, find in _secret_sources(collection, environ):
        try:
            if (secret := find()) is not None:
                return name, secret
        except SecretUnreadable as error:
            # The service that is not root: systemd has read the same file for it.
            barred = name, error
        except SecretError as error:
            document.report(name, error.message, mend=error.mend)
            return None, None
    if barred is not None:
        document.report(barred[0], barred[1].message, mend=barred[1].mend)
    elif not document.lines.keys() & {"collection.secret_key", "collection.secret_key_file"}:
        message = (
            f"is missing: set collection.secret_key_file, ${secrets.SECRET_VARIABLE} or the "
            f'systemd credential "{secrets.CREDENTIAL}"'
        )
        document.report("collection.secret_key", message, document.lines["collection.endpoint"])
    return None, None


def _secret_sources(
    collection: CollectionConfig, environ: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], Secret | None]]]:
    """Where a secret key may be, the one that decides first."""
    yield f"${secrets.SECRET_VARIABLE}", partial(secrets.secret_from_environment, environ)
    yield "collection.secret_key", lambda: collection.secret_key
    if collection.secret_key_file is not None:
        file = collection.secret_key_file
        yield "collection.secret_key_file", partial(secrets.secret_from_file, file)
    yield "systemd credential", partial(secrets.secret_from_credentials, environ)


def render_config(
    folders: Sequence[Path],
    endpoint: str = EMBEDDED,
    public_key: str | None = None,
    owner: str | None = None,
    secret_key_file: Path | None = None,
) -> str:
    """A commented configuration for these folders, one or more, with every key at its
    default.

    The owner is written down, so that a new name of the host does not change it. Raises
    ``ConfigError`` for folders that can't be mirrored together.
    """
    first, *others = name_folders(folders)
    more = [f"  - path: {_yaml(str(each.path))}\n    name: {_yaml(each.name)}\n" for each in others]
    key = f"public_key: {_yaml(public_key)}" if public_key else "#public_key: 24d337fe0ed9427cb512"
    secret = "#secret_key_file: ~/.config/snoopsync/secret-key"
    if secret_key_file is not None:
        secret = f"secret_key_file: {_yaml(str(secret_key_file))}"
    return _TEMPLATE.substitute(
        endpoint=_yaml(endpoint),
        public_key=key,
        secret_key_file=secret,
        owner=_yaml(owner or default_owner()),
        path=_yaml(str(first.path)),
        name=_yaml(first.name),
        other_folders="".join(more),
    )


def _yaml(text: str) -> str:
    """The text as a YAML scalar on one line, in quotes only where it needs them."""
    style = None if text.isprintable() else '"'
    dumped = yaml.safe_dump(text, default_style=style, allow_unicode=True, width=float("inf"))
    return dumped.removesuffix("...\n").removesuffix("\n")


_TEMPLATE = Template(
    """\
# The configuration of snoopsync. Every key has its default value here. A key with a "#" right
# before it has no default, or one that depends on the system: remove the "#" to set it.
# A duration is 500ms, 5s, 15m, 2h, 1d or a number of seconds. A relative path starts at the
# directory of this file, and ~ is the home directory.

collection:
  # "embedded", or the URL of a service: https://host/api/v1
  endpoint: $endpoint
  # The keys for that service. Better keep the secret key in a file that only you can read, in
  # $$SNOOPSYNC_SECRET_KEY, or in the systemd credential "snoopsync-secret-key".
  $public_key
  #secret_key: sUGSL96ZvNxqHixSPUopX5L1MtSPdkjrSPrPOCMX
  $secret_key_file
  # The first part of the ID of each image: 1 to 32 of a-z, 0-9 and -. snoopsync changes no image of
  # another owner.
  owner: $owner
  # How long to wait for an answer of the service.
  timeout: 30s
  # Which certificates to trust instead of the bundled ones: a PEM file, or "system" for those that
  # this machine trusts.
  #ca_file: /etc/ssl/certs/our-authority.pem

folders:
  - path: $path
    # The name in listings, unique, and part of the identity of the images. The default is the last
    # part of the path.
    name: $name
    # Which files are mirrored, as in a .gitignore. The default is all supported formats.
    #include: ["*.jpg", "*.JPG"]
    # Which of these are left out, as in a .gitignore. This is added to the default list.
    exclude: []
    # Leave out what other programs keep in folders of pictures: trash, thumbnails, versions,
    # snapshots, temporary files. docs/left-out.md has the list. A "!pattern" in exclude removes an
    # entry from it.
    exclude_defaults: true
    # Of identical files, recommend to keep the one in this folder. snoopsync deletes no file.
    prefer: false
    # How to notice changes: auto, events or poll.
    watch: auto
    # How often to scan the folder when polling.
    poll_interval: 30s
$other_folders
sync:
  # A file is sent when it has not changed for this long.
  settle: 500ms
  # An image is deleted when its file has been gone for this long.
  delete_after: 5s
  # How often to scan all folders, in case an event was missed.
  rescan_interval: 15m
  # Parallel uploads.
  workers: 4
  # Deletions are held for `snoopsync approve` when they exceed both this number and this share of
  # the folder within 10 minutes, or when a folder of 10 images or more would keep none. A prune of
  # that size needs --yes. "never" holds no deletion.
  hold_deletes_over: {count: 50, percent: 10}

duplicates:
  # Alert about duplicates.
  alert: true
  # How much a duplicate may differ: 0 the same picture, 31 strict, 60 loose. Above 75, unrelated
  # pictures match.
  max_rank: 50
  # A file that gets each alert as a line of JSON.
  #log: ~/.local/state/snoopsync/duplicates.jsonl

# The state file. The default is in the state directory of the user, and in /var/lib/snoopsync for
# the system service.
#state: ~/.local/state/snoopsync/state.sqlite3

log:
  # debug, info, warning or error.
  level: info
  # auto, text, json or journal.
  format: auto
  # A file to log to, besides standard error.
  #file: ~/.local/state/snoopsync/snoopsync.log

# Send events by mail, chat or push. This needs the extra "notify".
#notify:
  # URLs of Apprise (appriseit.com/services). They contain passwords: if you list them here, no
  # other user may be able to read this file.
  #urls: ["ntfys://ntfy.sh/topic", "mailtos://user:password@example.org"]
  # Or a file that only you can read, with one URL per line.
  #urls_file: ~/.config/snoopsync/notify-urls
  # Which events to send, by their names in the log. The end of a problem is sent too.
  #events: [duplicate, deletions-held, folder-missing, credentials-refused]

# Serve metrics for Prometheus, and a health check. This needs the extra "metrics".
#metrics:
  # Where to listen. Whoever can reach this address can read the names of the folders.
  #listen: 127.0.0.1:10667
"""
)
