"""Notices that the database may have lost changes: after a failover, or a restored backup."""

from __future__ import annotations

import time
from typing import LiteralString

import psycopg

#: The number of a table. Another one means that a backup was restored since.
TABLE: LiteralString = "'image'::regclass::oid"

#: What changes when the database may have lost changes: the cluster after it was created again, the
#: timeline after a failover or a recovery, and the table after a backup was restored.
_NAME = f"""
    SELECT system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '/'
        || {TABLE}
    FROM pg_control_system()
"""


class History:
    """The history of the database, as the newest connection found it. For any number of threads."""

    def __init__(self) -> None:
        self._found = ("", 0.0)

    @property
    def name(self) -> str:
        """A text that is another one if the database may have lost changes."""
        return self._found[0]

    @property
    def began(self) -> float:
        """When a node first saw this history (Unix seconds, by the clock of the database)."""
        return self._found[1]

    def read(self, connection: psycopg.Connection) -> None:
        """Find out which history the database has. The first node that sees it tells the others by
        a row."""
        row = connection.execute(_NAME).fetchone()
        name = str(row[0]) if row else ""
        with connection.transaction():
            began = connection.execute(
                "UPDATE meta"
                " SET history = %s, history_began = extract(epoch FROM clock_timestamp())"
                " WHERE history IS DISTINCT FROM %s RETURNING history_began",
                (name, name),
            ).fetchone()
            began = began or connection.execute("SELECT history_began FROM meta").fetchone()
        self._found = name, float(began[0]) if began else time.time()

    def notice_restore(self, connection: psycopg.Connection, table: int) -> None:
        """Read the history if the number of ``TABLE``, which is ``table``, is another one now."""
        if not self.name.endswith(f"/{table}"):
            self.read(connection)
