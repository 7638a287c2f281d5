"""Opens where a service stores its collections, together with its master key."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from snoopsync.core.errors import SnoopsyncError
from snoopsync.runtime.owned_directory import own_directory, require_own_files
from snoopsync.server.master_key import (
    USE_THAT_KEY,
    MasterKey,
    load_master_key,
    require_master_key,
)
from snoopsync.state.lock import locked
from snoopsync.storage.hosting import Hosting
from snoopsync.storage.sqlite.registry import SqliteHosting

#: The bodies of requests to one node, in the directory that nodes of one machine may share.
_NODE = "node-"


@dataclass(frozen=True, slots=True)
class Location:
    """Where collections are stored: in the directory ``data``, or in the PostgreSQL ``database`` of
    this address. Then ``data`` has what a node needs of its own: the master key, unless
    ``master_key`` names its file, and the bodies of requests."""

    data: Path
    database: str | None = None
    master_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Storage:
    """What a service stores. ``incoming``: the directory for the bodies of requests."""

    hosting: Hosting
    master_key: MasterKey
    incoming: Path


@contextmanager
def open_hosting(location: Location) -> Iterator[Hosting]:
    """The collections during the ``with`` block. A service may use them at the same time. Raises
    ``SnoopsyncError``, and ``UnsafeDirectory`` if other users can write in the directory."""
    with closing(_hosting(location)) as hosting:
        yield hosting


@contextmanager
def open_storage(location: Location) -> Iterator[Storage]:
    """As ``open_hosting``, with the master key. Raises ``SnoopsyncError`` also if the keys were
    created with another one."""
    with open_hosting(location) as hosting:
        may_create = hosting.master_key_fingerprint() is None
        key = load_master_key(
            location.data, os.environ, given=location.master_key, may_create=may_create
        )
        require_master_key(hosting, key, USE_THAT_KEY)
        yield Storage(hosting, key, location.data / "incoming")


@contextmanager
def open_storage_to_serve(location: Location) -> Iterator[Storage]:
    """As ``open_storage``, for the service. Raises ``StateLocked`` if another one uses the
    directory. Any number of services may use a database."""
    data = own_directory(location.data)
    with ExitStack() as stack:
        if location.database is None:
            # Two services on one directory would not know which signatures the other has accepted.
            stack.enter_context(locked(data / "keys.sqlite3"))
            yield stack.enter_context(open_storage(location))
            return
        storage = stack.enter_context(open_storage(location))
        incoming = stack.enter_context(_directory_of_node(data))
        yield Storage(storage.hosting, storage.master_key, incoming)


@contextmanager
def open_hosting_alone(location: Location) -> Iterator[Hosting]:
    """As ``open_hosting``, and nobody else uses the collections. Raises ``StateLocked`` if a
    service does."""
    with ExitStack() as stack:
        if location.database is None:
            stack.enter_context(locked(own_directory(location.data) / "keys.sqlite3"))
        yield stack.enter_context(closing(_hosting(location, alone=True)))


def _hosting(location: Location, *, alone: bool = False) -> Hosting:
    if location.database is None:
        return SqliteHosting(location.data, time.time())
    require_postgres()
    from snoopsync.storage.postgres.registry import PostgresHosting

    return PostgresHosting(location.database, alone=alone)


def prepare_database(url: str, role: str | None) -> str:
    """Create or upgrade the tables of a database, and let the role of the nodes use them. Returns
    a sentence about what was done. Raises ``SnoopsyncError``."""
    require_postgres()
    from snoopsync.storage.postgres.pool import upgrade_database

    return upgrade_database(url, role)


def require_postgres() -> None:
    """Raise ``SnoopsyncError`` if the extra with the client library is not installed."""
    try:
        import psycopg  # noqa: F401
        import psycopg_pool  # noqa: F401
    except ImportError:
        raise SnoopsyncError(
            "--database needs psycopg: pip install 'snoopsync[postgres]'"
        ) from None


@contextmanager
def _directory_of_node(data: Path) -> Iterator[Path]:
    """A directory that only this process uses. Those of processes that were killed are removed."""
    for left in data.glob(f"{_NODE}*"):
        require_own_files([left])
        with suppress(OSError), _locked_directory(left):
            shutil.rmtree(left)
    directory = Path(tempfile.mkdtemp(prefix=_NODE, dir=data))
    try:
        with _locked_directory(directory):
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _locked_directory(directory: Path) -> Iterator[None]:
    """Raises ``BlockingIOError`` if another process has locked the directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
