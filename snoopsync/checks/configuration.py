"""The configuration: which file, what is wrong with it, and where the secret key comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.config.file import CONFIG_VARIABLE, find_config, read_config
from snoopsync.config.secrets import CREDENTIAL, SECRET_VARIABLE
from snoopsync.config.settings import (
    CollectionConfig,
    Config,
    default_config,
    default_owner,
)
from snoopsync.core.errors import ConfigError, Problem
from snoopsync.core.exits import Exit
from snoopsync.core.model import printable
from snoopsync.core.text import counted

CONFIGURATION = "configuration"
SECRET_KEY = "secret key"
OWNER = "owner"

#: The name of each source of a secret key, as problems and readings have it, for a person.
_SECRET_SOURCES = {
    f"${SECRET_VARIABLE}": f"in ${SECRET_VARIABLE}",
    "collection.secret_key": "in the configuration, which its owner alone can read",
    "collection.secret_key_file": "in {file}, which its owner alone can read",
    "systemd credential": f'in the systemd credential "{CREDENTIAL}"',
}


@dataclass(frozen=True, slots=True)
class Setup:
    """The configuration as far as it could be read: ``config`` is ``None`` where nothing was, and
    ``source`` where there is no file."""

    config: Config | None
    source: Path | None
    problems: tuple[Problem, ...] = ()
    secret_from: str | None = None

    def is_sound(self, section: str) -> bool:
        """Can what the configuration says of this top key be relied on?"""
        if self.config is None:
            return False
        return not any(
            problem.key.partition(".")[0] == section
            or (section == "collection" and problem.key in _SECRET_SOURCES)
            for problem in self.problems
        )


def read_setup(explicit: Path | None, environ: Mapping[str, str]) -> Setup:
    """Find the configuration, and read what can be read of it."""
    try:
        path = find_config(explicit, environ)
        if path is None:
            return Setup(default_config(()), None)
        reading = read_config(path, environ)
    except ConfigError as failure:
        return Setup(None, Path(failure.source), failure.problems)
    return Setup(reading.config, path, reading.problems, reading.secret_from)


def configuration_findings(setup: Setup, folders: int) -> list[Finding]:
    """What there is to say of the configuration that was read. ``folders``: how many there are to
    be mirrored."""
    findings = [_problem(setup.source, problem) for problem in setup.problems]
    if not any(each.check == CONFIGURATION for each in findings):
        findings.insert(0, _sound(setup, folders))
    if setup.secret_from is not None and setup.config is not None:
        file = printable(str(setup.config.collection.secret_key_file))
        findings.append(ok(SECRET_KEY, _SECRET_SOURCES[setup.secret_from].format(file=file)))
    return findings


def owner_findings(config: CollectionConfig, known: str | None) -> Iterator[Finding]:
    """Is the owner another one than expected? ``known``: the owner that the state file has."""
    host = default_owner()
    owner = config.owner or known or host
    message = f"the IDs of all images begin with {owner}."
    if config.owner is not None and known not in (None, config.owner):
        yield warning(
            OWNER,
            f"{message} now, and before with {known}.: those images stay, and their files are added"
            " anew",
            f"if that is not meant, set collection.owner: {known}",
        )
    elif config.owner is None and owner != host:
        message += f" as before, though the host is called {host} now"
        yield warning(OWNER, message, f"to make that explicit, set collection.owner: {owner}")


def _sound(setup: Setup, folders: int) -> Finding:
    if setup.source is not None and setup.config is not None:
        return ok(
            CONFIGURATION,
            f"{setup.source}: {counted(folders, 'folder')} into {_collection_of(setup.config)}",
        )
    if folders:
        return ok(
            CONFIGURATION,
            f"no file, {counted(folders, 'folder')} of an earlier run, into the embedded one",
        )
    return error(
        CONFIGURATION, "there is none, and no folder is mirrored", "snoopsync init", Exit.CONFIG
    )


def _collection_of(config: Config) -> str:
    if config.collection.embedded:
        return "the embedded collection"
    return config.collection.endpoint


def _problem(source: Path | None, problem: Problem) -> Finding:
    check = SECRET_KEY if problem.key in _SECRET_SOURCES else CONFIGURATION
    if problem.key in ("--config", f"${CONFIG_VARIABLE}"):
        mend = f"name another file in {problem.key}, or write one: snoopsync init"
        return error(check, f"{source}: {problem.message}", mend, Exit.CONFIG)
    where = f"correct {source}" + ("" if problem.line is None else f", line {problem.line}")
    message = f"{problem.key}: {problem.message}"
    return error(check, message, problem.fix or where, Exit.CONFIG)
