"""What is remembered of the folders: which directory each one is, and how it was last seen."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from snoopsync.folder import Identity
from snoopsync.leftout import LeftOutCounts, dump, load
from snoopsync.model import FolderState
from snoopsync.state.database import Database


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A folder as the state file has it. ``last_scan`` is Unix time of the last whole scan.
    ``device`` to ``file_system`` are its identity when it was last there. ``left_out``: what that
    scan found that is not mirrored. ``selection``: the digest of the include and exclude that the
    folder's images were last compared with, ``None`` if they never were."""

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

    @property
    def path_text(self) -> str:
        """The path as Python has it in a ``str``."""
        return os.fsdecode(self.path)

    def was(self, identity: Identity) -> bool:
        """Is this directory the folder? By its numbers alone, as far as they are known."""
        is_same = (self.device, self.inode) == (identity.device, identity.inode)
        return is_same and self.file_system in (0, identity.file_system)

    def taken(self, identity: Identity) -> FolderRow:
        """The row when this directory is the folder from now on."""
        return replace(
            self,
            device=identity.device,
            inode=identity.inode,
            file_system=identity.file_system,
        )


class Folders:
    """The state file's folders, over a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self) -> list[FolderRow]:
        """Every folder that was ever configured, by name."""
        rows = self._database.query(
            "SELECT name, path, device, inode, configured, state, watch, reason, last_scan,"
            " file_system, left_out, selection FROM folder ORDER BY name"
        )
        return [
            FolderRow(
                *(name, path, device, inode, bool(configured), _folder_state(state)),
                *(watch, reason, last_scan, file_system, load(left_out), selection),
            )
            for (
                (name, path, device, inode, configured, state, watch, reason, last_scan),
                (file_system, left_out, selection),
            ) in ((row[:9], row[9:]) for row in rows)
        ]

    def save(self, row: FolderRow) -> None:
        """Write a folder's row."""
        self._database.change(
            "REPLACE INTO folder (name, path, device, inode, configured, state, watch, reason,"
            " last_scan, file_system, left_out, selection)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.name,
                row.path,
                row.device,
                row.inode,
                row.configured,
                row.state,
                row.watch,
                row.reason,
                row.last_scan,
                row.file_system,
                dump(row.left_out),
                row.selection,
            ),
        )

    def drop(self, name: str) -> None:
        """The folder is not configured any more. Its images stay as they are."""
        self._database.change("UPDATE folder SET configured = 0 WHERE name = ?", (name,))

    def rename(self, old: str, new: str) -> None:
        """The same folder under a new name: its images keep their IDs."""
        with self._database.transaction():
            for table in ("image", "deletion"):
                self._database.change(f"UPDATE {table} SET folder = ? WHERE folder = ?", (new, old))
            self._database.change("UPDATE folder SET name = ? WHERE name = ?", (new, old))


def _folder_state(text: str) -> FolderState:
    try:
        return FolderState(text)
    except ValueError:
        # Damaged, and no loss: it is found out anew at every start.
        return FolderState.SCANNING
