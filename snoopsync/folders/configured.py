"""The configured folders: their directories, their rows in the state file, and their monitors.

A folder is recognised by its directory. A folder that gets another name in the configuration is
still the same folder and keeps its images.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection as Container
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from snoopsync.config.settings import Config, FolderConfig
from snoopsync.core.errors import FolderMissing
from snoopsync.core.events import Event, log_event
from snoopsync.core.identity import Identity, IdentityVerdict, decide, decide_by_content
from snoopsync.core.model import RelPath, printable
from snoopsync.core.selection import EXTRA_SUFFIXES, Selection
from snoopsync.core.text import images
from snoopsync.decoding.formats import missing_extras
from snoopsync.folders.disk import Disk
from snoopsync.folders.folder import Folder
from snoopsync.folders.monitor import FolderMonitor, Pace
from snoopsync.folders.ownership import take_owner
from snoopsync.folders.sample import SAMPLE_FILES, take_sample
from snoopsync.runtime.clock import Clock
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.watching.folder_watch import FolderWatch

if TYPE_CHECKING:
    from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync")

#: How many of the images that are now left out a log line names.
_SAMPLE_PATHS = 3


def monitors_of(
    config: Config,
    state: State,
    watcher: Watcher | None = None,
    only: Container[str] | None = None,
    disk: Disk | None = None,
    kept: Mapping[str, FolderMonitor] | None = None,
    clock: Clock | None = None,
) -> tuple[FolderMonitor, ...]:
    """Write the configured folders into the state file, and return a monitor for each. ``kept`` has
    the existing monitors to keep, by folder name."""
    kept = kept or {}
    _register(config, state)
    take_owner(config.collection, state)
    rows = {row.name: row for row in state.folders.rows()}
    missing = _missing_extras(config)
    for folder in config.folders:
        if folder.name in kept:
            kept[folder.name].resume(_pace(config, folder))
    return tuple(
        kept.get(folder.name)
        or _monitor(
            folder,
            folder_of(folder, disk, missing),
            rows[folder.name],
            state,
            _pace(config, folder),
            watcher,
            clock or Clock(),
            dormant=only is not None and folder.name not in only,
        )
        for folder in config.folders
    )


def _register(config: Config, state: State) -> None:
    """Write the configured folders into the state file. A folder that was renamed in the
    configuration stays the same folder. Images that the configuration no longer wants are left out
    from now on."""
    left_out: dict[str, list[RelPath]] = {}
    missing = _missing_extras(config)
    rows = {row.name: row for row in state.folders.rows()}
    configured = {folder.name for folder in config.folders}
    dropped = [row for name, row in rows.items() if name not in configured]
    with state.transaction():
        for folder in config.folders:
            row = rows.get(folder.name)
            if row is None:
                before = _known_before(folder, dropped, state)
                if before is not None:
                    log_event(
                        log,
                        logging.INFO,
                        Event.FOLDER_RENAMED,
                        "folder %s is now called %s",
                        *(before.name, folder.name),
                        folder=folder.name,
                        source_folder=before.name,
                    )
                    state.folders.rename(before.name, folder.name)
                    row = before
                    del rows[before.name]
            selection = selection_of(folder, missing)
            if row is None or row.selection != selection.digest:
                left_out[folder.name] = state.unwanted.apply(folder.name, selection)
            begun = FolderRow(
                folder.name, os.fsencode(folder.path), None, None, selection=selection.digest
            )
            if row is not None:
                begun = replace(
                    begun,
                    device=row.device,
                    inode=row.inode,
                    file_system=row.file_system,
                    birth_ns=row.birth_ns,
                    recognised_by_content=row.recognised_by_content,
                    accepted=row.accepted,
                    last_scan=row.last_scan,
                    left_out=row.left_out,
                )
            state.folders.save(begun)
        for name in rows.keys() - configured:
            state.folders.drop(name)
    for name, rel_paths in left_out.items():
        if rel_paths:
            _log_left_out(name, rel_paths, missing)


def _missing_extras(config: Config) -> frozenset[str]:
    """The extras without which pictures can't be mirrored. A service decodes pictures itself."""
    return missing_extras() if config.collection.embedded else frozenset()


def _log_left_out(name: str, rel_paths: Sequence[RelPath], missing: Container[str]) -> None:
    samples = rel_paths[:_SAMPLE_PATHS]
    extras = [extra for extra in EXTRA_SUFFIXES if extra in missing and _need(extra, rel_paths)]
    cause = "the configuration"
    if extras:
        cause += f" or a missing extra (pip install 'snoopsync[{','.join(extras)}]')"
    log_event(
        log,
        logging.WARNING,
        Event.LEFT_OUT,
        "folder %s: %s now leaves out %s: %s%s. These images stay in the collection"
        " and are not searched for duplicates. To delete them from the collection:"
        " snoopsync resync --prune --dry-run, then without --dry-run",
        *(name, cause, images(len(rel_paths))),
        ", ".join(printable(rel_path.path) for rel_path in samples),
        ", ..." if len(rel_paths) > len(samples) else "",
        folder=name,
        count=len(rel_paths),
        samples=[rel_path.text for rel_path in samples],
    )


def _need(extra: str, rel_paths: Sequence[RelPath]) -> bool:
    return any(each.path.lower().endswith(EXTRA_SUFFIXES[extra]) for each in rel_paths)


def _known_before(
    config: FolderConfig, rows: Sequence[FolderRow], state: State
) -> FolderRow | None:
    """The row of this folder under its former name, or ``None``. ``recognised_by_content`` is set
    if only the folder's content proves the match."""
    folder = folder_of(config)
    try:
        identity = folder.identify()
    except FolderMissing:
        return None
    for row in rows:
        if row.identity is None:
            continue
        verdict = decide(row.identity, identity, observed_here=False)
        if verdict is IdentityVerdict.SAME:
            return row
        if verdict is IdentityVerdict.CANNOT_TELL and _may_be(row, folder, identity):
            records = state.sample(row.name, SAMPLE_FILES)
            sample = take_sample(records, folder.open, folder.disk, folder.path)
            if records and decide_by_content(sample) is IdentityVerdict.SAME:
                return replace(row, recognised_by_content=True)
    return None


def _may_be(row: FolderRow, folder: Folder, identity: Identity) -> bool:
    """Whether the row's folder may be this directory, so that comparing files is useful. If the
    row's own directory still exists, a directory with another device or inode is a copy."""
    old_path_exists = row.path != folder.path and os.path.lexists(row.path)
    has_same_inode = row.identity is not None and row.identity[:2] == identity[:2]
    return has_same_inode or not old_path_exists


def remembered_folders(state: State) -> tuple[FolderConfig, ...]:
    """The folders that an earlier run without a configuration stored."""
    return tuple(
        FolderConfig(row.name, Path(row.path_text))
        for row in state.folders.rows()
        if row.configured
    )


def folder_of(
    config: FolderConfig, disk: Disk | None = None, missing: Container[str] = ()
) -> Folder:
    """The folder on disk for this configuration. ``missing``: the missing extras."""
    return Folder(config.name, os.fsencode(config.path), selection_of(config, missing), disk)


def selection_of(config: FolderConfig, missing: Container[str] = ()) -> Selection:
    """The files of the folder that the configuration wants and that no missing extra is needed
    for."""
    return Selection(
        config.include,
        config.exclude,
        exclude_defaults=config.exclude_defaults,
        missing_extras=missing,
    )


def identity_of(folder: FolderConfig) -> Identity:
    """The identity of the directory at the folder's path now. Raises ``FolderMissing``."""
    return folder_of(folder).identify()


def _monitor(
    config: FolderConfig,
    folder: Folder,
    row: FolderRow,
    state: State,
    pace: Pace,
    watcher: Watcher | None,
    clock: Clock,
    *,
    dormant: bool,
) -> FolderMonitor:
    watch = FolderWatch(config.name, folder.path, config.watch, watcher)
    if watch.mode:
        row = replace(row, watch=watch.mode)
        state.folders.save(row)
    return FolderMonitor(folder, watch, state, row, pace, clock, dormant=dormant)


def _pace(config: Config, folder: FolderConfig) -> Pace:
    return Pace(config.sync.rescan_interval_seconds, folder.poll_interval_seconds)
