"""Opens where a service stores its collections, together with its master key."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from snoopsync.runtime.owned_directory import own_directory
from snoopsync.server.master_key import MasterKey, load_master_key
from snoopsync.state.lock import locked
from snoopsync.storage.hosting import Hosting
from snoopsync.storage.sqlite.registry import SqliteHosting


@dataclass(frozen=True, slots=True)
class Storage:
    """What a service stores. ``incoming``: the directory for the bodies of requests."""

    hosting: Hosting
    master_key: MasterKey
    incoming: Path


@contextmanager
def open_hosting(data: Path) -> Iterator[Hosting]:
    """The collections in this directory during the ``with`` block. A service may use the directory
    at the same time. Raises ``SnoopsyncError``, and ``UnsafeDirectory`` if other users can write in
    the directory."""
    with closing(SqliteHosting(data, time.time())) as hosting:
        yield hosting


@contextmanager
def open_storage(data: Path) -> Iterator[Storage]:
    """As ``open_hosting``, with the master key. Raises ``SnoopsyncError`` also if the keys were
    created with another one."""
    with open_hosting(data) as hosting:
        master_key = load_master_key(data, os.environ)
        hosting.require_master_key(master_key.fingerprint)
        yield Storage(hosting, master_key, data / "incoming")


@contextmanager
def open_storage_to_serve(data: Path) -> Iterator[Storage]:
    """As ``open_storage``, for the service. Raises ``StateLocked`` if another one uses the
    directory."""
    data = own_directory(data)
    # Two services on one directory would not know which signatures the other has accepted.
    with locked(data / "keys.sqlite3"), open_storage(data) as storage:
        yield storage
