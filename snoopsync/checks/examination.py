"""The whole examination, in order."""

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
    library_findings,
    missing_libraries,
    service_findings,
    try_decoders,
)
from snoopsync.checks.configuration import (
    Setup,
    configuration_findings,
    owner_findings,
    read_setup,
)
from snoopsync.checks.finding import Finding, warning
from snoopsync.checks.folders import (
    LOOK_SECONDS,
    folder_finding,
    hidden_finding,
    left_out_finding,
    look_through,
    missing_finding,
)
from snoopsync.checks.inotify import inotify_findings
from snoopsync.checks.overlaps import overlap_findings
from snoopsync.checks.service import read_units, service_finding, unit_findings
from snoopsync.checks.state import NOWHERE, STATE_FILE, place_findings, read_state
from snoopsync.config.settings import Config
from snoopsync.control.channel import Message
from snoopsync.folders.configured import monitors_of, remembered_folders
from snoopsync.folders.folder import Folder
from snoopsync.folders.ownership import known_owner
from snoopsync.state.images import State
from snoopsync.status.status import service_status
from snoopsync.sync.components import COLLECTION_FACT, embedded_path
from snoopsync.watching.limits import read_limits, read_use
from snoopsync.watching.mounts import choose_watch


def examine(config_path: Path | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at everything, and change nothing anywhere; what is found comes as it is found.
    ``config_path``: the configuration that the command line names, if it does."""
    setup = read_setup(config_path, environ)
    if setup.config is None:
        yield from configuration_findings(setup, 0)
        for check in ("folders", STATE_FILE, COLLECTION):
            yield _unchecked(check)
        yield from unit_findings(read_units())
        return
    looked = read_state(setup.config.state if setup.is_sound("state") else NOWHERE)
    with closing(looked.database) as database:
        state = State(database)
        config = setup.config
        if setup.source is None:
            config = replace(config, folders=remembered_folders(state))
        yield from configuration_findings(setup, len(config.folders))
        if setup.is_sound("collection"):
            yield from owner_findings(config.collection, known_owner(state))
        service = service_status(config) if setup.is_sound("state") else None
        yield from _folders(config, state, None if service is None else service.pid)
        if service is None:
            yield _unchecked(STATE_FILE)
        else:
            yield from place_findings(config)
            yield looked.finding
        account = None if service is None else service.account
        known = state.fact(COLLECTION_FACT) is not None
        yield from _collection(setup, config, known, account)
        if service is not None:
            yield service_finding(service)
        yield from unit_findings(read_units())


def _unchecked(check: str) -> Finding:
    message = "not checked, as what the configuration says of it is wrong"
    return warning(check, message, "correct the configuration, and check again")


def _folders(config: Config, state: State, service: int | None) -> Iterator[Finding]:
    """The folders, and the system's limits for watching them. ``state`` is written to."""
    watched = directories = 0
    whole = True
    present: list[Folder] = []
    configs = {folder.name: folder for folder in config.folders}
    for monitor in monitors_of(config, state):
        folder = configs[monitor.row.name]
        monitor.update(time.monotonic())
        until = time.monotonic() + LOOK_SECONDS
        while monitor.is_being_recognised and time.monotonic() < until:
            list(monitor.differences(until, time.monotonic()))
        if monitor.is_missing:
            yield missing_finding(folder, monitor.folder, monitor.row.reason)
            continue
        look = look_through(monitor.folder, time.monotonic() + LOOK_SECONDS)
        yield hidden_finding(folder, monitor.folder, state) or folder_finding(folder, look)
        left_out = left_out_finding(folder, look)
        if left_out is not None:
            yield left_out
        present.append(monitor.folder)
        if choose_watch(folder.watch, os.fsencode(folder.path)).mode == "events":
            watched += 1
            directories += look.directories
            whole = whole and look.whole
    yield from overlap_findings(present)
    limits = read_limits()
    if limits is not None:
        others = read_use(os.getuid(), besides=service)
        yield from inotify_findings(limits, others, watched, directories, at_least=not whole)


def _collection(
    setup: Setup, config: Config, known: bool, account: Message | None
) -> Iterator[Finding]:
    """``account``: what the running service says of itself."""
    settings = config.collection
    if not setup.is_sound("collection"):
        yield _unchecked(COLLECTION)
    elif not settings.embedded:
        yield address_finding(settings.endpoint)
        secret_key = settings.secret_key.reveal() if settings.secret_key else ""
        yield from service_findings(ask_service(settings, secret_key))
    else:
        if setup.is_sound("state"):
            yield embedded_finding(embedded_path(config.state), known=known)
        missing = missing_libraries()
        yield from library_findings(missing)
        if not missing:
            yield from decoder_findings(try_decoders(), (account or {}).get("decoders_without"))
