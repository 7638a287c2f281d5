"""The rows of folders: the identity of each folder's directory, and the folder's state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from snoopsync.core.identity import Identity
from snoopsync.core.left_out import LeftOutCounts, dump, load
from snoopsync.core.model import FolderState
from snoopsync.state.database import Database


@dataclass(frozen=True, slots=True)
class FolderRow:
    """One folder. ``last_scan``: Unix time of the last full scan. ``device``, ``inode``,
    ``file_system``, ``birth_ns``: the identity of its directory when it was last present.
    ``left_out``: what the last scan found that is not mirrored. ``selection``: the digest of the
    patterns that were last applied to its images; ``None`` if none were.

    ``recognised_by_content``: the directory was recognised as the folder only by its files, not by
    its identity, and no scan has ended since. A missing file may then be one that an older backup
    does not have. ``accepted``: a person accepted the directory as the folder, and its identity was
    not stored since.
    """

    name: str
    path: bytes
    device: int | None
    inode: int | None
    configured: bool = True
    state: FolderState = FolderState.SCANNING
    watch: str = ""
    reason: str | None = None
    last_scan: float | None = None
    file_system: int = 0
    left_out: LeftOutCounts = field(default_factory=dict)
    selection: str | None = None
    birth_ns: int = 0
    recognised_by_content: bool = False
    accepted: bool = False

    @property
    def path_text(self) -> str:
        """The path as a ``str``, with surrogates for bytes that are not UTF-8."""
        return os.fsdecode(self.path)

    @property
    def identity(self) -> Identity | None:
        """The identity of the directory when it was last present; ``None`` if it never was."""
        if self.device is None or self.inode is None:
            return None
        return Identity(self.device, self.inode, self.file_system, self.birth_ns)

    def with_identity(self, identity: Identity) -> FolderRow:
        """A copy of the row with the identity of this directory."""
        return replace(
            self,
            device=identity.device,
            inode=identity.inode,
            file_system=identity.file_system,
            birth_ns=identity.birth_ns,
        )


class Folders:
    """The folders in the state file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self) -> list[FolderRow]:
        """All folders that were ever configured, by name."""
        rows = self._database.query(
            "SELECT name, path, device, inode, last_scan, watch, reason, file_system, birth_ns,"
            " selection, state, configured, recognised_by_content, accepted, left_out"
            " FROM folder ORDER BY name"
        )
        return [_row(row) for row in rows]

    def save(self, row: FolderRow) -> None:
        """Insert or replace a folder's row."""
        self._database.change(
            "REPLACE INTO folder (name, path, device, inode, last_scan, watch, reason, file_system,"
            " birth_ns, selection, state, configured, recognised_by_content, accepted, left_out)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(row.name, row.path, row.device, row.inode, row.last_scan, row.watch, row.reason),
                *(row.file_system, row.birth_ns, row.selection, row.state, row.configured),
                *(row.recognised_by_content, row.accepted, dump(row.left_out)),
            ),
        )

    def drop(self, name: str) -> None:
        """Record that the folder is no longer configured. Its images do not change."""
        self._database.change("UPDATE folder SET configured = 0 WHERE name = ?", (name,))

    def rename(self, old: str, new: str) -> None:
        """Rename a folder. Its images keep their IDs."""
        with self._database.transaction():
            for table in ("image", "deletion"):
                self._database.change(f"UPDATE {table} SET folder = ? WHERE folder = ?", (new, old))
            self._database.change("UPDATE folder SET name = ? WHERE name = ?", (new, old))


def _row(values: Sequence[Any]) -> FolderRow:
    name, path, device, inode, last_scan, watch, reason, file_system, *rest = values
    birth_ns, selection, state, configured, by_content, accepted, left_out = rest
    return FolderRow(
        name,
        path,
        device,
        inode,
        configured=bool(configured),
        state=_folder_state(state),
        watch=watch,
        reason=reason,
        last_scan=last_scan,
        file_system=file_system,
        birth_ns=birth_ns,
        recognised_by_content=bool(by_content),
        accepted=bool(accepted),
        left_out=load(left_out),
        selection=selection,
    )


def _folder_state(text: str) -> FolderState:
    try:
        return FolderState(text)
    except ValueError:
        # The file is damaged, but the folder's state is determined again at every start.
        return FolderState.SCANNING
