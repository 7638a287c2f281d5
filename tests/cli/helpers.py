"""The files that ``init`` writes, and reports and a status to show."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from snoopsync.config.file import load_config
from snoopsync.config.settings import Config
from snoopsync.core.model import FolderState
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import Counts
from snoopsync.status.model import CollectionStatus, FolderStatus, ServiceStatus, Status
from snoopsync.sync.resync_report import ResyncReport, Summary
from tests.support.process import Installation


def target(home: Installation) -> Path:
    return home.home / "config" / "snoopsync" / "config.yaml"


def secret_key_file(home: Installation) -> Path:
    return target(home).with_name("secret-key")


def written(home: Installation) -> Config:
    """The written configuration. Checks that it is valid and private."""
    for path in target(home).parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(target(home).parent.stat().st_mode) == 0o700
    return load_config(target(home), {})


NOW = 1_000_000.0


def report(counts: dict[str, int] | None = None, **changes: Any) -> ResyncReport:
    """The report of a resync that did nothing, except for these counts and fields."""
    zeros = dict.fromkeys(Summary.__dataclass_fields__, 0) | (counts or {})
    done: dict[str, Any] = {"missing": (), "orphans": 0, "trouble": None, "left_out": {}} | changes
    return ResyncReport(Summary(**zeros), **done)


def folder(state: FolderState = FolderState.OK, **counts: int) -> FolderStatus:
    """A folder of ten images, scanned a minute ago."""
    row = FolderRow("photos", b"/srv/photos", 1, 2, state=state, last_scan=NOW - 60.0)
    return FolderStatus(row, Counts(images=10, **counts), state, 1000.0)


def status(*folders: FolderStatus, **collection: Any) -> Status:
    """A status in sync, except for these folders and these facts about the collection."""
    reached: dict[str, Any] = {
        "endpoint": "embedded",
        "id": "c",
        "reachable": True,
        "last_error": None,
    }
    return Status(
        ServiceStatus(), CollectionStatus(**reached | collection), folders or (folder(),), 0, NOW
    )
