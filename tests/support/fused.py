"""snoopsync's edges to the world, with a fuse: each call is counted, and one of them is the last
thing that the process does.

Edge calls are: a read of the disk; a request, before it is sent and after its answer was read; the
opening of the state file and every commit, before and after.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import requests

from snoopsync.client.collection import Collection
from snoopsync.client.responses import Response
from snoopsync.folders.directory_stamp import DirectoryStamp
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.state.database import Database
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY

T = TypeVar("T")


class Fuse:
    """Counts the edge calls, and kills the process at number ``kill_at``, the first being 1. It
    says at which one, ``before``."""

    def __init__(self, kill_at: int | None, before: Callable[[str], None]) -> None:
        self.burnt = 0
        self._kill_at = kill_at
        self._before = before
        self._lock = threading.Lock()

    def burn(self, edge: str) -> None:
        """One edge call more."""
        with self._lock:
            self.burnt += 1
            if self.burnt == self._kill_at:
                self._before(edge)
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, edge: str) -> Iterator[None]:
        """An edge call before, and another after."""
        self.burn(f"before {edge}")
        yield
        self.burn(f"after {edge}")


class FusedDisk(Disk):
    """Each read is an edge call."""

    def __init__(self, fuse: Fuse) -> None:
        self._fuse = fuse

    def open_folder(self, path: bytes) -> OpenFolder:
        self._fuse.burn(f"root {os.fsdecode(path)}")
        return super().open_folder(path)

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self._fuse.burn(f"lstat {os.fsdecode(root.absolute(path))}")
        return super().lstat(root, path)

    def stat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self._fuse.burn(f"stat {os.fsdecode(root.absolute(path))}")
        return super().stat(root, path)

    def stamp(self, root: OpenFolder, directory: bytes) -> DirectoryStamp | None:
        self._fuse.burn(f"stamp {os.fsdecode(root.absolute(directory))}")
        return super().stamp(root, directory)

    def has_stamp(
        self, root: OpenFolder, directory: bytes, stamp: tuple[int, int, int] | None
    ) -> bool:
        self._fuse.burn(f"stamp {os.fsdecode(root.absolute(directory))}")
        return super().has_stamp(root, directory, stamp)

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        self._fuse.burn(f"entries {os.fsdecode(root.absolute(path))}")
        with super().entries(root, path) as entries:
            yield entries

    def open(self, root: OpenFolder, path: bytes) -> BinaryIO:
        self._fuse.burn(f"open {os.fsdecode(root.absolute(path))}")
        return super().open(root, path)


class FusedCollection(Collection):
    """Edge calls before each request, and after its answer was read."""

    def __init__(self, endpoint: str, fuse: Fuse) -> None:
        super().__init__(PUBLIC_KEY, SECRET_KEY, endpoint)
        self._fuse = fuse

    def _exchange(
        self, request: requests.PreparedRequest, read: Callable[[Response], T]
    ) -> tuple[Response, T | None]:
        with self._fuse.around(f"{request.method} {request.path_url}"):
            return super()._exchange(request, read)


class FusedDatabase(Database):
    """Edge calls before and after the file is opened, and each commit."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        self._fuse = fuse
        self._commit = "COMMIT"
        super().__init__(path)
        # What was given to the kernel outlives the process: the disk need not be waited for.
        self.query("PRAGMA synchronous = OFF")

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with self._commits(sql):
            return super().change(sql, parameters)

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Its commit is named after the statement."""
        with self._lock:
            self._commit = sql
            try:
                super().change_many(sql, rows)
            finally:
                self._commit = "COMMIT"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._connection.in_transaction:
            with super().transaction():
                yield
            return
        with super().transaction():
            yield
            self._fuse.burn(f"before {self._commit}")
        self._fuse.burn(f"after {self._commit}")

    @contextmanager
    def _commits(self, sql: str) -> Iterator[None]:
        """A statement outside of a transaction is one of its own."""
        if self._connection.in_transaction:
            yield
            return
        with self._fuse.around(sql):
            yield

    def _connect(self, readonly: bool, at_rest: bool) -> sqlite3.Connection:
        with self._fuse.around("opening"):
            return super()._connect(readonly, at_rest)

    def _check_layout(self, version: int) -> None:
        with self._fuse.around("its layout"):
            super()._check_layout(version)
