"""The connections of a node to PostgreSQL: opened when needed, checked before use, bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolTimeout

from snoopsync.core.addresses import is_loopback
from snoopsync.core.errors import SnoopsyncError, StateLocked, Unavailable, Unwritable
from snoopsync.storage.hosting import PoolStatistics
from snoopsync.storage.postgres.history import History
from snoopsync.storage.postgres.schema import VERSION, grant_rights, prepare_tables, upgrade_tables
from snoopsync.storage.postgres.url import describe_database

#: A node has so many threads that use the database at once.
MOST_CONNECTIONS = 24

#: How long a request waits for a connection. Then the client gets a 503 and sends it again.
_WAIT_SECONDS = 3.0

#: How long others then get a 503 at once: while the database is away, all threads would wait.
_AWAY_SECONDS = 1.0

#: What a client can set in the address. These are for addresses that do not.
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 5,
    # A host that is gone answers nothing: without these, a request would wait for minutes.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
    "application_name": "snoopsync",
    # With two hosts in the address, the one that is the primary now.
    "target_session_attrs": "read-write",
}

#: The tables are in this schema. A transaction that waits for a lock or a client ends by itself.
_SETTINGS = """
    SET search_path TO snoopsync;
    SET lock_timeout TO '30s';
    SET idle_in_transaction_session_timeout TO '60s';
"""

#: The key of the advisory lock that all connections of nodes share, and that a move has alone.
_TURN = 0x6D6F7665


@contextmanager
def translated(description: str) -> Iterator[None]:
    """Translate the errors of PostgreSQL to ``Unavailable``, or to ``Unwritable`` if a disk is
    full. ``description`` names the database."""
    try:
        yield
    except PoolTimeout:
        raise Unavailable(f"{description} does not answer") from None
    except psycopg.Error as error:
        # A message of PostgreSQL may have a second line with the whole statement.
        reason = (error.diag.message_primary or str(error)).partition("\n")[0].strip()
        is_full = isinstance(error, psycopg.errors.DiskFull)
        raise (Unwritable if is_full else Unavailable)(f"{description}: {reason}") from error


class Pool:
    """The connections to one database. For any number of threads."""

    def __init__(self, url: str, *, alone: bool = False) -> None:
        """Connects, and creates or upgrades the tables if this role may. ``alone``: one connection,
        and nobody else has one. Raises ``SnoopsyncError`` if the database can't be used, and
        ``StateLocked`` if others use it in a way that excludes this one."""
        self.description = describe_database(url)
        self._alone = alone
        given = conninfo_to_dict(url)
        #: Whether the database may have lost changes.
        self.history = History()
        self._away_until = 0.0
        # ``psycopg_pool`` does not count all of them.
        self._failed = 0
        self._counting = threading.Lock()
        options = {name: value for name, value in _DEFAULTS.items() if name not in given}
        with (
            translated(self.description),
            psycopg.connect(url, autocommit=True, **options) as connection,
        ):
            _require_version(connection, self.description)
            self._take_turn(connection)
            prepare_tables(connection, self.description)
            #: What is unsafe about the connections, for people.
            self.warning = _warning(connection, self.description)
        self._pool = ConnectionPool(
            url,
            kwargs={"autocommit": True, **options},
            min_size=1,
            max_size=1 if alone else MOST_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            configure=self._configure,
            # After a restart of PostgreSQL, the connections in the pool are dead.
            check=ConnectionPool.check_connection,
            # Try again soon, whatever happened before: the database may be back.
            reconnect_timeout=2.0,
            name="snoopsync",
            open=False,
        )
        self._pool.open()
        try:
            with self.connection():
                pass  # so that the history is known
        except BaseException:
            self._pool.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._pool.close(timeout=2.0)

    def statistics(self) -> PoolStatistics:
        """The connections at this moment."""
        figures = self._pool.get_stats()
        # ``psycopg_pool`` leaves out what never happened.
        return PoolStatistics(
            size=figures["pool_size"],
            most=figures["pool_max"],
            in_use=figures["pool_size"] - figures["pool_available"],
            waiting=figures.get("requests_waiting", 0),
            failed=self._failed,
        )

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """A connection, in autocommit mode, during the ``with`` block. Raises ``Unavailable`` if
        there is none, and translates the errors of PostgreSQL."""
        with translated(self.description):
            if time.monotonic() < self._away_until:
                raise PoolTimeout
            try:
                with self._pool.connection() as connection:
                    yield connection
            except PoolTimeout:
                with self._counting:
                    self._failed += 1
                self._away_until = time.monotonic() + _AWAY_SECONDS
                raise

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """A connection during one transaction."""
        with self.connection() as connection, connection.transaction():
            yield connection

    def _configure(self, connection: psycopg.Connection) -> None:
        connection.execute(_SETTINGS)
        self._take_turn(connection)
        self.history.read(connection)

    def _take_turn(self, connection: psycopg.Connection) -> None:
        """Lock the database as long as the connection lasts: for this process alone, or together
        with all nodes. Raises ``StateLocked``."""
        if self._alone:
            connection.execute("SET idle_session_timeout TO 0")
        with connection.transaction():
            # A connection that was just closed keeps its lock for a moment.
            connection.execute("SET LOCAL lock_timeout TO '2s'")
            how: LiteralString = "" if self._alone else "_shared"
            try:
                connection.execute(f"SELECT pg_advisory_lock{how}(%s)", (_TURN,))
            except psycopg.errors.LockNotAvailable:
                reason = "nodes use it: stop them" if self._alone else "it is being moved"
                raise StateLocked(f"{self.description}: {reason}") from None


def upgrade_database(url: str, role: str | None) -> str:
    """Create or upgrade the tables, and let ``role`` read and change rows. Returns a sentence about
    what was done. Raises ``SnoopsyncError``."""
    description = describe_database(url)
    with translated(description), psycopg.connect(url, autocommit=True) as connection:
        _require_version(connection, description)
        before = upgrade_tables(connection)
        if role is not None:
            grant_rights(connection, role)
    if before == VERSION:
        return f"the tables of {description} have version {VERSION} already"
    return f"the tables of {description} have version {VERSION} now"


def _warning(connection: psycopg.Connection, description: str) -> str | None:
    # The host of a socket of this machine is its directory.
    host = connection.info.host
    if connection.pgconn.ssl_in_use or host.startswith("/") or is_loopback(host):
        return None
    return (
        f"the connection to {description} is not encrypted: others on the network can read and"
        " change it. Add sslmode=verify-full to the address"
    )


def _require_version(connection: psycopg.Connection, description: str) -> None:
    if connection.info.server_version < 140_000:
        raise SnoopsyncError(f"{description} is older than PostgreSQL 14")
