"""Copies a data directory while the service runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from snoopsync.core.errors import SnoopsyncError
from snoopsync.runtime import sqlite
from snoopsync.runtime.owned_directory import (
    own_directory,
    require_guarded,
    require_own,
    require_own_files,
    resolve,
)
from snoopsync.runtime.sqlite import Access

_KEYS = "keys.sqlite3"
_MASTER = "master.key"


def back_up(data: Path, target: Path) -> int:
    """Copy the keys and collections into a new directory, each in a consistent state. Returns the
    number of collections. Raises ``SnoopsyncError``, and ``UnsafeDirectory`` if other users can
    write in the data directory or replace the target."""
    data, target = resolve(data), resolve(target.parent) / target.name
    require_own(data)
    require_guarded(target.parent)
    if target.exists():
        raise SnoopsyncError(f"{target} already exists: choose a new directory")
    if not (data / _KEYS).exists():
        raise SnoopsyncError(f"{data} has no {_KEYS}, so it is not the data directory of a service")
    require_own_files(data / name for name in (_KEYS, _MASTER, "collections"))
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        count = _copy_all(data, aside)
        aside.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise SnoopsyncError(f"the backup failed: {error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return count


def _copy_all(data: Path, target: Path) -> int:
    _copy(data / _KEYS, target / _KEYS)
    # Copied after the keys, so that the copy has the images of every copied key.
    collections = sorted(data.glob("collections/*/collection.sqlite3"))
    for source in collections:
        require_own(source.parent)
        require_own_files([source])
        _copy(source, target / source.relative_to(data))
    if (data / _MASTER).exists():  # otherwise the key is a systemd credential
        descriptor = os.open(target / _MASTER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as copy:
            copy.write((data / _MASTER).read_bytes())
            os.fsync(copy.fileno())
    return len(collections)


def _copy(source: Path, target: Path) -> None:
    own_directory(target.parent)
    with closing(sqlite.connect(source, Access.READ)) as original:
        sqlite.copy_to_file(original, target)
