"""Checks the configuration: its file, its problems, and the source of the secret key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snoopsync.checks.finding import Finding, error, ok, warning
from snoopsync.config.file import CONFIG_VARIABLE, find_config, parse_config
from snoopsync.config.secrets import CREDENTIAL, SECRET_VARIABLE
from snoopsync.config.settings import (
    CollectionConfig,
    Config,
    default_config,
    default_owner,
)
from snoopsync.core.errors import ConfigError, Problem
from snoopsync.core.model import printable
from snoopsync.core.text import counted

CONFIGURATION = "configuration"
SECRET_KEY = "secret key"
OWNER = "owner"

#: The sources of a secret key, by their names in problems and in ``ParsedConfig``, for people.
_SECRET_SOURCES = {
    f"${SECRET_VARIABLE}": f"in ${SECRET_VARIABLE}",
    "collection.secret_key": "in the configuration, readable only by its owner",
    "collection.secret_key_file": "in {file}, readable only by its owner",
    "systemd credential": f'in the systemd credential "{CREDENTIAL}"',
}


@dataclass(frozen=True, slots=True)
class CheckedConfig:
    """The configuration as far as it could be read. ``config`` is ``None`` if it could not be
    parsed, and ``source`` if there is no file."""

    config: Config | None
    source: Path | None
    problems: tuple[Problem, ...] = ()
    secret_from: str | None = None

    def is_valid(self, section: str) -> bool:
        """Whether this top-level key has no problems."""
        if self.config is None:
            return False
        return not any(
            problem.key.partition(".")[0] == section
            or (section == "collection" and problem.key in _SECRET_SOURCES)
            for problem in self.problems
        )


def check_config(explicit: Path | None, environ: Mapping[str, str]) -> CheckedConfig:
    """Find the configuration and read as much of it as possible. ``explicit``: the file named on
    the command line."""
    try:
        path = find_config(explicit, environ)
        if path is None:
            return CheckedConfig(default_config(()), None)
        parsed = parse_config(path, environ)
    except ConfigError as failure:
        return CheckedConfig(None, Path(failure.source), failure.problems)
    return CheckedConfig(parsed.config, path, parsed.problems, parsed.secret_from)


def configuration_findings(checked: CheckedConfig, folders: int) -> list[Finding]:
    """The findings about the configuration. ``folders``: the number of folders to mirror."""
    findings = [_problem(checked.source, problem) for problem in checked.problems]
    if not any(each.check == CONFIGURATION for each in findings):
        findings.insert(0, _without_problems(checked, folders))
    if checked.secret_from is not None and checked.config is not None:
        file = printable(str(checked.config.collection.secret_key_file))
        findings.append(ok(SECRET_KEY, _SECRET_SOURCES[checked.secret_from].format(file=file)))
    return findings


def owner_findings(config: CollectionConfig, known: str | None) -> Iterator[Finding]:
    """Findings about a changed owner. ``known``: the owner in the state file."""
    host = default_owner()
    owner = config.owner or known or host
    if config.owner is not None and known not in (None, config.owner):
        message = (
            f"the prefix of all image IDs changes from {known} to {owner}: images with the old"
            " prefix stay in the collection, and all files are added again"
        )
        yield warning(OWNER, message, f"if this is not intended, set collection.owner: {known}")
    elif config.owner is None and owner != host:
        message = f"the prefix of all image IDs is still {owner}, but the host is now called {host}"
        yield warning(OWNER, message, f"to make this explicit, set collection.owner: {owner}")


def _without_problems(checked: CheckedConfig, folders: int) -> Finding:
    count = counted(folders, "folder")
    if checked.source is not None and checked.config is not None:
        collection = _collection_of(checked.config)
        return ok(CONFIGURATION, f"{checked.source}: {count} mirrored into {collection}")
    if folders:
        message = f"no file, {count} from an earlier run, mirrored into the embedded collection"
        return ok(CONFIGURATION, message)
    message = "there is no configuration, and no folder is mirrored"
    return error(CONFIGURATION, message, "snoopsync init", ConfigError)


def _collection_of(config: Config) -> str:
    if config.collection.embedded:
        return "the embedded collection"
    return config.collection.endpoint


def _problem(source: Path | None, problem: Problem) -> Finding:
    check = SECRET_KEY if problem.key in _SECRET_SOURCES else CONFIGURATION
    if problem.key in ("--config", f"${CONFIG_VARIABLE}"):
        fix = f"correct {problem.key}, or write a configuration: snoopsync init"
        return error(check, f"{source}: {problem.message}", fix, ConfigError)
    where = f"correct {source}" + ("" if problem.line is None else f", line {problem.line}")
    message = f"{problem.key}: {problem.message}"
    return error(check, message, problem.fix or where, ConfigError)
