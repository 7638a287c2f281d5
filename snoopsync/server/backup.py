"""A copy of a data directory, made beside a running service."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from snoopsync.embedded.database import make_private
from snoopsync.errors import SnoopsyncError

_MASTER = "master.key"


def back_up(data: Path, target: Path) -> int:
    """Copy keys and collections, each as it is at one moment, into a new directory. Returns how
    many collections there are. Raises ``SnoopsyncError``."""
    if target.exists():
        raise SnoopsyncError(f"{target} is there already: name a new directory")
    databases = sorted(data.glob("collections/*/collection.sqlite3"))
    try:
        # The keys first: a collection that is made meanwhile is in neither.
        for source in (data / "keys.sqlite3", *databases):
            _copy(source, target / source.relative_to(data))
        if (data / _MASTER).exists():
            descriptor = os.open(target / _MASTER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as copy, (data / _MASTER).open("rb") as original:
                shutil.copyfileobj(original, copy)
    except (OSError, sqlite3.Error) as error:
        raise SnoopsyncError(f"the backup in {target} is not whole: {error}") from None
    return len(databases)


def _copy(source: Path, target: Path) -> None:
    make_private(target)
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
