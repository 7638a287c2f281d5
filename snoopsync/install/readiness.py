"""What a service still needs before it can run with this configuration, as far as can be told
without running it."""

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
from snoopsync.install.permissions import READ, USE, Reader, reach

#: The service has directories of its own in the place of these.
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))

#: What to do about the barriers on a way.
Advice = Callable[[Sequence[Path]], str]


@dataclass(frozen=True, slots=True)
class Readiness:
    """``problems``: what to do first. ``groups``: those that the service's user has to be in, each
    with what it reads as a member; ``secret`` and ``notify_urls``: the files that the configuration
    names."""

    problems: tuple[str, ...] = ()
    groups: Mapping[str, Path] = field(default_factory=dict)
    secret: Path | None = None
    notify_urls: Path | None = None


def own_readiness(source: Path) -> Readiness:
    """For a service of the user who asks."""
    _, problems = _loaded(source, {})
    return Readiness(tuple(problems))


def system_readiness(
    source: Path, program: Iterable[Path], account: pwd.struct_passwd | None
) -> Readiness:
    """For the system's service, that is run by this account, or by a user of its own. ``program``:
    the files that snoopsync is."""
    config, problems = _loaded(source, {"STATE_DIRECTORY": str(SYSTEM_STATE_DIRECTORY)})
    access = _Access(account)
    problems += access.problems(source, READ, partial(_let_read, source, config, account))
    for path in program:
        wanted = READ if path.suffix == ".py" else USE
        problems += access.problems(path, wanted, lambda _barriers: _ELSEWHERE)
    if config is None:
        return Readiness(tuple(dict.fromkeys(problems)), access.groups)
    for folder in config.folders:
        problems += access.problems(folder.path, USE, partial(_let_in, folder.path, account))
    problems += _unwritable(config)
    state = SYSTEM_STATE_DIRECTORY / STATE_NAME
    if source != SYSTEM_PATH and _real(config.state) == _real(state):
        problems.append(f"set `state: {state}` in {source}, so that commands find it too")
    return Readiness(
        tuple(dict.fromkeys(problems)),
        access.groups,
        config.collection.secret_key_file,
        config.notify.urls_file if config.notify is not None else None,
    )


def _loaded(source: Path, environ: Mapping[str, str]) -> tuple[Config | None, list[str]]:
    if not source.exists():
        return None, [f"snoopsync init --output {shlex.quote(str(source))} FOLDER"]
    try:
        return load_config(source, environ), []
    except ConfigError as error:
        return None, [str(problem) for problem in error.problems]


class _Access:
    """What the service's user may get at, and the groups that it takes."""

    def __init__(self, account: pwd.struct_passwd | None) -> None:
        self.groups: dict[str, Path] = {}
        self._who = "the service"
        self._reader = Reader()
        if account is not None:
            self._who = account.pw_name
            gids = os.getgrouplist(account.pw_name, account.pw_gid)
            self._reader = Reader(account.pw_uid, frozenset(gids))

    def problems(self, path: Path, wanted: int, advice: Advice) -> Iterator[str]:
        """Why it does not get at this path, and what to do."""
        for place in _TEMPORARY:
            if path.is_relative_to(place):
                yield f"{printable(str(path))}: the service sees another {place}, put it elsewhere"
        found = reach(path, wanted, self._reader)
        if found.barriers:
            first = found.barriers[0]
            way = "" if first == path else f", on the way to {printable(str(path))}"
            told = f"{printable(str(first))} is closed to {self._who}{way}"
            yield f"{told}: {advice(found.barriers)}"
        else:
            for gid in found.groups:
                self.groups.setdefault(_group_name(gid), path)


_ELSEWHERE = "install snoopsync where all may use it, in /opt/snoopsync for example"


def _let_read(
    source: Path,
    config: Config | None,
    account: pwd.struct_passwd | None,
    barriers: Sequence[Path],
) -> str:
    if set(barriers) - {source, source.parent}:
        return f"keep the configuration in {SYSTEM_PATH.parent}"
    path, directory = shlex.quote(str(source)), shlex.quote(str(source.parent))
    commands = [f"chmod 755 {directory}"] if source.parent in barriers else []
    if source in barriers:
        commands += [f"chown {account.pw_name} {path}" if account else f"chmod 644 {path}"]
    advice = " && ".join(commands)
    if account is None and config is not None:
        advice = f"{''.join(_to_move_out(config))}{advice}"
    return advice


def _to_move_out(config: Config) -> Iterator[str]:
    """What must not be in a configuration that everybody may read."""
    then = "move {} into a file of its own, name that in {}, then: "
    if config.collection.secret_key is not None and config.collection.secret_key_file is None:
        yield then.format("its secret key", "collection.secret_key_file")
    if config.notify is not None and config.notify.urls_file is None:
        yield then.format("the addresses of notify", "notify.urls_file")


def _let_in(folder: Path, account: pwd.struct_passwd | None, _barriers: Sequence[Path]) -> str:
    advice = f"let a group read {printable(str(folder))}"
    return advice if account else f"{advice}, or run the service as its owner (--as USER)"


def _unwritable(config: Config) -> Iterator[str]:
    """What the configuration says that the service writes, where it can't."""
    given = {
        "state": config.state,
        "log.file": config.log.file,
        "duplicates.log": config.duplicates.log,
    }
    for key, path in given.items():
        if path is not None and not _real(path).is_relative_to(_real(SYSTEM_STATE_DIRECTORY)):
            yield (
                f"{key}: the service can only write below {SYSTEM_STATE_DIRECTORY}: move"
                f" {printable(str(path))} there"
            )


def _real(path: Path) -> Path:
    # systemd makes the directory as a link.
    return Path(os.path.realpath(path))


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
