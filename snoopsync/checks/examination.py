"""Runs all checks, in order."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from snoopsync.checks.collection import (
    COLLECTION,
    address_finding,
    ask_service,
    decoder_findings,
    embedded_finding,
    extras_finding,
    interpreter_finding,
    library_findings,
    missing_libraries,
    service_findings,
    try_decoders,
)
from snoopsync.checks.configuration import (
    CheckedConfig,
    check_config,
    configuration_findings,
    owner_findings,
)
from snoopsync.checks.finding import Finding, warning
from snoopsync.checks.folders import (
    SURVEY_SECONDS,
    extra_findings,
    folder_finding,
    hidden_finding,
    left_out_finding,
    missing_finding,
    survey,
)
from snoopsync.checks.inotify import inotify_findings
from snoopsync.checks.overlaps import overlap_findings
from snoopsync.checks.service import read_units, service_finding, unit_findings
from snoopsync.checks.state import NOWHERE, STATE_FILE, output_findings, read_state
from snoopsync.config.settings import Config
from snoopsync.control.report import ServiceReport
from snoopsync.decoding.formats import missing_extras
from snoopsync.folders.configured import monitors_of, remembered_folders
from snoopsync.folders.folder import Folder
from snoopsync.folders.ownership import known_owner
from snoopsync.state.images import State
from snoopsync.status.reading import service_status
from snoopsync.sync.components import embedded_path
from snoopsync.sync.resync import COLLECTION_FACT
from snoopsync.watching.limits import read_limits, read_use
from snoopsync.watching.mounts import choose_watch


def examine(config_path: Path | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Run all checks, without changing anything. Yields each finding as soon as it is known.
    ``config_path``: the configuration file named on the command line."""
    checked = check_config(config_path, environ)
    if checked.config is None:
        yield from configuration_findings(checked, 0)
        for check in ("folders", STATE_FILE, COLLECTION):
            yield _unchecked(check)
        yield from unit_findings(read_units())
        return
    checked_state = read_state(checked.config.state if checked.is_valid("state") else NOWHERE)
    with closing(checked_state.database) as database:
        state = State(database)
        config = checked.config
        if checked.source is None:
            config = replace(config, folders=remembered_folders(state))
        yield from configuration_findings(checked, len(config.folders))
        if checked.is_valid("collection"):
            yield from owner_findings(config.collection, known_owner(state))
        service = service_status(config) if checked.is_valid("state") else None
        yield from _folders(config, state, None if service is None else service.pid)
        if service is None:
            yield _unchecked(STATE_FILE)
        else:
            yield from output_findings(config)
            yield checked_state.finding
        report = None if service is None else service.report
        known = state.fact(COLLECTION_FACT) is not None
        yield from _collection(checked, config, known, report)
        if service is not None:
            yield service_finding(service)
        yield from unit_findings(read_units())


def _unchecked(check: str) -> Finding:
    message = "not checked, because its configuration is invalid"
    return warning(check, message, "correct the configuration and check again")


def _folders(config: Config, state: State, service_pid: int | None) -> Iterator[Finding]:
    """The folders, and the system's limits for watching them. Writes to ``state``, which is a copy
    in memory."""
    watched = directories = 0
    is_complete = True
    present: list[Folder] = []
    configs = {folder.name: folder for folder in config.folders}
    for monitor in monitors_of(config, state):
        folder = configs[monitor.row.name]
        monitor.update(time.monotonic())
        until = time.monotonic() + SURVEY_SECONDS
        while monitor.is_being_recognised and time.monotonic() < until:
            list(monitor.differences(until, time.monotonic()))
        if monitor.is_missing:
            yield missing_finding(folder, monitor.folder, monitor.row.reason)
            continue
        found = survey(monitor.folder, time.monotonic() + SURVEY_SECONDS)
        yield hidden_finding(folder, monitor.folder, state) or folder_finding(folder, found)
        left_out = left_out_finding(folder, found)
        if left_out is not None:
            yield left_out
        yield from extra_findings(folder, found)
        present.append(monitor.folder)
        if choose_watch(folder.watch, os.fsencode(folder.path)).mode == "events":
            watched += 1
            directories += found.directories
            is_complete = is_complete and found.is_complete
    yield from overlap_findings(present)
    limits = read_limits()
    if limits is not None:
        others = read_use(os.getuid(), besides=service_pid)
        yield from inotify_findings(limits, others, watched, directories, at_least=not is_complete)


def _collection(
    checked: CheckedConfig, config: Config, known: bool, report: ServiceReport | None
) -> Iterator[Finding]:
    """``report``: what the running service reports about itself."""
    settings = config.collection
    if not checked.is_valid("collection"):
        yield _unchecked(COLLECTION)
    elif not settings.embedded:
        yield address_finding(settings.endpoint)
        secret_key = settings.secret_key.reveal() if settings.secret_key else ""
        yield from service_findings(ask_service(settings, secret_key))
    else:
        if checked.is_valid("state"):
            yield embedded_finding(embedded_path(config.state), known=known)
        if (found := interpreter_finding()) is not None:
            yield found
            return
        missing = missing_libraries()
        yield from library_findings(missing)
        yield extras_finding(missing_extras())
        if not missing:
            of_service = None if report is None else report.decoders_without
            yield from decoder_findings(try_decoders(), of_service)
