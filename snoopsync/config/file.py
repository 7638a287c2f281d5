"""Finds and reads the configuration file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from snoopsync.config import secrets
from snoopsync.config.directories import config_directory, no_home
from snoopsync.config.document import Document, read_fields
from snoopsync.config.notify_urls import with_notify_urls
from snoopsync.config.secrets import Secret, SecretError, SecretNotReadable
from snoopsync.config.settings import (
    STATE_NAME,
    CollectionConfig,
    Config,
)
from snoopsync.core.errors import ConfigError, Problem
from snoopsync.runtime.owned_directory import resolve

CONFIG_VARIABLE = "SNOOPSYNC_CONFIG"
SYSTEM_PATH = Path("/etc/snoopsync/config.yaml")

#: The state directory of the system's service. systemd creates it: the unit sets
#: ``StateDirectory=``.
SYSTEM_STATE_DIRECTORY = Path("/var/lib/snoopsync")

#: The name of the configuration file in the user's directory.
_FILE_NAME = "config.yaml"

_MAX_BYTES = 1 << 20

#: The library that each section needs. The extra with the section's name installs it.
_NEEDED_LIBRARIES = {"notify": "apprise", "metrics": "prometheus_client"}


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
    """The path of the configuration file to read; ``None`` if there is none.

    The first of these is used: ``explicit`` (from the command line), ``$SNOOPSYNC_CONFIG``,
    ``config.yaml`` in ``user_dir`` (by default the user's own directory), and the system's file.
    Raises ``ConfigError`` if the first two are given but the file does not exist.
    """
    variable = f"${CONFIG_VARIABLE}"
    try:
        given = environ.get(CONFIG_VARIABLE)
        named = {"--config": explicit, variable: Path(given).expanduser() if given else None}
    except RuntimeError:
        problem = Problem(variable, "begins with ~, but that home directory does not exist")
        raise ConfigError("the environment", (problem,)) from None
    for origin, path in named.items():
        if path is not None:
            if not _may_exist(path):
                raise ConfigError(str(path), (Problem(origin, "file not found"),))
            return path
    own = user_dir or config_directory()
    usual = (system_path,) if own is None else (own / _FILE_NAME, system_path)
    # Path.exists would raise an error if a parent directory can't be searched.
    return next((path for path in usual if os.path.exists(path)), None)  # noqa: PTH110


def _may_exist(path: Path) -> bool:
    """Returns whether the file exists, or may exist in a directory that this user can't search. In
    the second case, reading the file fails with the reason."""
    try:
        path.stat()
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


def service_state_path(
    source: Path,
    environ: Mapping[str, str],
    *,
    system_path: Path = SYSTEM_PATH,
    system_directory: Path = SYSTEM_STATE_DIRECTORY,
) -> Path | None:
    """The state file of the service that systemd runs with this configuration; ``None`` if this is
    not the configuration of such a service.

    The service's state file is in ``$STATE_DIRECTORY``. Commands do not have this variable but must
    use the same file, so they recognize the path of the system's configuration.
    """
    directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    # lexists works for every user, although only its owner can enter the directory.
    if not directory and source == system_path and os.path.lexists(system_directory):
        directory = str(system_directory)
    return resolve(Path(directory)) / STATE_NAME if directory else None


@dataclass(frozen=True, slots=True)
class ParsedConfig:
    """A configuration file and its problems. In ``config``, each value with a problem has its
    default. ``secret_from``: the name of the secret key's source."""

    config: Config
    problems: tuple[Problem, ...]
    secret_from: str | None = None


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration file. Raises ``ConfigError`` with every problem.

    The secret key comes from the first of these that is set: ``$SNOOPSYNC_SECRET_KEY``,
    ``secret_key`` or ``secret_key_file`` in the file, and the systemd credential
    ``snoopsync-secret-key``.
    """
    parsed = parse_config(path, environ)
    if parsed.problems:
        raise ConfigError(str(path), parsed.problems)
    return parsed.config


def parse_config(path: Path, environ: Mapping[str, str]) -> ParsedConfig:
    """Like ``load_config``, but returns the problems together with the configuration. Raises
    ``ConfigError`` only if the file can't be parsed at all."""
    document = Document(path)
    content, mode = _read(document, path)
    given = read_fields(Config, document.root(content))
    if state := service_state_path(path.absolute(), environ):
        given.setdefault("state", state)
    config = Config(**given, source=path.absolute())
    if "folders" not in document.lines:
        document.report("folders", "is missing: add at least one folder")
    if "collection.secret_key" in document.lines:
        try:
            secrets.require_private(path, mode)
        except SecretError as error:
            document.report("collection.secret_key", error.message, fix=error.fix)
    secret_from = None
    if not config.collection.embedded:
        secret_from, secret = _find_secret(config.collection, document, environ)
        config = replace(config, collection=replace(config.collection, secret_key=secret))
    config = with_notify_urls(config, document, mode, environ)
    _require_extras(document)
    return ParsedConfig(config, document.problems, secret_from)


def _require_extras(document: Document) -> None:
    """Report the sections whose libraries are not installed."""
    for section, library in _NEEDED_LIBRARIES.items():
        if section in document.lines and find_spec(library) is None:
            extra = f"pip install 'snoopsync[{section}]'"
            document.report(section, f"needs {library}, which is not installed: {extra}")


def _read(document: Document, path: Path) -> tuple[bytes, int]:
    """The file's content and mode. Raises ``ConfigError``."""
    try:
        with path.open("rb") as file:
            content, mode = file.read(_MAX_BYTES + 1), os.fstat(file.fileno()).st_mode
    except OSError as error:
        document.fail(f"can't be read: {error.strerror}")
    if len(content) > _MAX_BYTES:
        document.fail("is larger than 1 MiB")
    return content, mode


def _find_secret(
    collection: CollectionConfig, document: Document, environ: Mapping[str, str]
) -> tuple[str | None, Secret | None]:
    """The name of the secret key's source, and the key. Reports a problem if no source has it."""
    not_readable: tuple[str, SecretError] | None = None
    for name, find in _secret_sources(collection, environ):
        try:
            if (secret := find()) is not None:
                return name, secret
        except SecretNotReadable as error:
            # If the service does not run as root, systemd passes the same file as a credential.
            not_readable = name, error
        except SecretError as error:
            document.report(name, error.message, fix=error.fix)
            return None, None
    if not_readable is not None:
        name, not_read = not_readable
        document.report(name, not_read.message, fix=not_read.fix)
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
    """The sources of the secret key, each with its name, in the order of precedence."""
    yield f"${secrets.SECRET_VARIABLE}", partial(secrets.secret_from_environment, environ)
    yield "collection.secret_key", lambda: collection.secret_key
    if collection.secret_key_file is not None:
        file = collection.secret_key_file
        yield "collection.secret_key_file", partial(secrets.secret_from_file, file)
    yield "systemd credential", partial(secrets.secret_from_credentials, environ)
