"""Finds what is missing before the service can run with a configuration, without running it."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from snoopsync.config.file import SYSTEM_PATH, SYSTEM_STATE_DIRECTORY, load_config
from snoopsync.config.settings import STATE_NAME, Config
from snoopsync.core.errors import ConfigError
from snoopsync.core.model import printable
from snoopsync.install.permissions import READ, USE, Reader, check_access

#: The service has private directories in place of these.
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))

#: Returns how to remove the barriers to a path.
Advice = Callable[[Sequence[Path]], str]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the service needs before it can run.

    ``problems``: what to do first. ``groups``: the groups that the service's user must be in, each
    with a path that the group may read. ``secret`` and ``notify_urls``: files that the
    configuration names."""

    problems: tuple[str, ...] = ()
    groups: Mapping[str, Path] = field(default_factory=dict)
    secret: Path | None = None
    notify_urls: Path | None = None


def user_readiness(source: Path) -> Readiness:
    """The readiness of a service of the current user. ``source``: its configuration file."""
    _, problems = _load(source, {})
    return Readiness(tuple(problems))


def system_readiness(
    source: Path, program: Iterable[Path], account: pwd.struct_passwd | None
) -> Readiness:
    """The readiness of the system's service, which runs as this account, or as a separate user if
    it is ``None``.
    ``program``: the files of snoopsync itself."""
    config, problems = _load(source, {"STATE_DIRECTORY": str(SYSTEM_STATE_DIRECTORY)})
    access = _AccessCheck(account)
    problems += access.problems(source, READ, partial(_open_config, source, config, account))
    for path in program:
        wanted = READ if path.suffix == ".py" else USE
        problems += access.problems(path, wanted, lambda _barriers: _INSTALL_ELSEWHERE)
    if config is None:
        return Readiness(tuple(dict.fromkeys(problems)), access.groups)
    for folder in config.folders:
        problems += access.problems(folder.path, USE, partial(_open_folder, folder.path, account))
    problems += _unwritable(config)
    state = SYSTEM_STATE_DIRECTORY / STATE_NAME
    if source != SYSTEM_PATH and _real(config.state) == _real(state):
        problems.append(f"set `state: {state}` in {source}, so that commands also find it")
    return Readiness(
        tuple(dict.fromkeys(problems)),
        access.groups,
        config.collection.secret_key_file,
        config.notify.urls_file if config.notify is not None else None,
    )


def _load(source: Path, environ: Mapping[str, str]) -> tuple[Config | None, list[str]]:
    if not source.exists():
        return None, [f"snoopsync init --output {shlex.quote(str(source))} FOLDER"]
    try:
        return load_config(source, environ), []
    except ConfigError as error:
        return None, [str(problem) for problem in error.problems]


class _AccessCheck:
    """Checks what the service's user can access, and collects the groups that it needs."""

    def __init__(self, account: pwd.struct_passwd | None) -> None:
        self.groups: dict[str, Path] = {}
        self._who = "the service"
        self._reader = Reader()
        if account is not None:
            self._who = account.pw_name
            gids = os.getgrouplist(account.pw_name, account.pw_gid)
            self._reader = Reader(account.pw_uid, frozenset(gids))

    def problems(self, path: Path, wanted: int, advice: Advice) -> Iterator[str]:
        """Why the service's user can't access this path, and what to do."""
        shown = printable(str(path))
        for directory in _TEMPORARY:
            if path.is_relative_to(directory):
                yield f"{shown}: the service has a private {directory}: move this path elsewhere"
        access = check_access(path, wanted, self._reader)
        if access.barriers:
            first = access.barriers[0]
            needed_for = "" if first == path else f", which contains {shown}"
            problem = f"{self._who} has no access to {printable(str(first))}{needed_for}"
            yield f"{problem}: {advice(access.barriers)}"
        else:
            for gid in access.groups:
                self.groups.setdefault(_group_name(gid), path)


_INSTALL_ELSEWHERE = "install snoopsync where all users can run it, for example in /opt/snoopsync"


def _open_config(
    source: Path,
    config: Config | None,
    account: pwd.struct_passwd | None,
    barriers: Sequence[Path],
) -> str:
    if set(barriers) - {source, source.parent}:
        return f"move the configuration to {SYSTEM_PATH.parent}"
    path, directory = shlex.quote(str(source)), shlex.quote(str(source.parent))
    commands = [f"chmod 755 {directory}"] if source.parent in barriers else []
    if source in barriers:
        commands += [f"chown {account.pw_name} {path}" if account else f"chmod 644 {path}"]
    advice = " && ".join(commands)
    if account is None and config is not None:
        advice = f"{''.join(_moves_of_secrets(config))}{advice}"
    return advice


def _moves_of_secrets(config: Config) -> Iterator[str]:
    """How to remove the secrets from a configuration before all users can read it."""
    move = "move {} to a separate file and name that file in {}, then: "
    if config.collection.secret_key is not None and config.collection.secret_key_file is None:
        yield move.format("the secret key", "collection.secret_key_file")
    if config.notify is not None and config.notify.urls_file is None:
        yield move.format("notify.urls", "notify.urls_file")


def _open_folder(folder: Path, account: pwd.struct_passwd | None, _barriers: Sequence[Path]) -> str:
    advice = f"let a group read {printable(str(folder))}"
    return advice if account else f"{advice}, or run the service as its owner (--as USER)"


def _unwritable(config: Config) -> Iterator[str]:
    """The configured output files that the service can't write."""
    given = {
        "state": config.state,
        "log.file": config.log.file,
        "duplicates.log": config.duplicates.log,
    }
    for key, path in given.items():
        if path is not None and not _real(path).is_relative_to(_real(SYSTEM_STATE_DIRECTORY)):
            yield (
                f"{key}: the service can write only below {SYSTEM_STATE_DIRECTORY}: move"
                f" {printable(str(path))} to that directory"
            )


def _real(path: Path) -> Path:
    # systemd creates the state directory as a link.
    return Path(os.path.realpath(path))


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
