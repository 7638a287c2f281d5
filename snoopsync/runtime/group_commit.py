"""Commits the changes of several threads to an SQLite file together.

A durable commit waits for the disk, and takes as long for many changes as for one. While a commit
is under way, the changes of other threads gather. The next commit has all of them.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from snoopsync.runtime.sqlite import transaction

Result = TypeVar("Result")

#: Changes rows of the database. May be called again after its transaction was rolled back.
Change = Callable[[sqlite3.Connection], Result]


class GroupCommit:
    """The changes of one connection, which nothing else may use. Thread-safe."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._committing = threading.Lock()
        self._waiting: deque[tuple[Change[Any], Future[Any]]] = deque()

    @property
    def waiting(self) -> int:
        """The number of changes that wait for the next commit."""
        return len(self._waiting)

    def run(self, change: Change[Result]) -> Result:
        """Run the change in a transaction. Returns its result when it is durable.

        If the change raises, or cannot be committed, it is rolled back, and ``run`` raises the
        error. The changes of other threads are not affected.
        """
        future: Future[Result] = Future()
        self._waiting.append((change, future))
        with self._committing:
            # The previous commit may have had this change.
            if not future.done():
                self._commit([self._waiting.popleft() for _ in range(len(self._waiting))])
        return future.result()

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        with self._committing:
            self._connection.close()

    def _commit(self, group: list[tuple[Change[Any], Future[Any]]]) -> None:
        """Commit these changes together, or each one alone if one of them fails. If the transaction
        cannot be begun or committed, it fails for all of them: each one would wait as long for a
        lock again."""
        is_changing = False
        try:
            with transaction(self._connection):
                is_changing = True
                results = [change(self._connection) for change, _ in group]
                is_changing = False
        except BaseException as error:
            if is_changing and len(group) > 1 and isinstance(error, Exception):
                for each in group:
                    self._commit([each])
                return
            for _, future in group:
                future.set_exception(error)
        else:
            for (_, future), result in zip(group, results, strict=True):
                future.set_result(result)
