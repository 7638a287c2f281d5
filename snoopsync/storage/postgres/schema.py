"""The tables in PostgreSQL: creates them, upgrades them, and grants rights to a role.

All tables are in the schema ``snoopsync``. ``meta.version`` is the version of the tables.
``meta.needs`` is the version that a node must have at least to use them: a step that only adds
something leaves it as it is, so that nodes of two versions can run side by side during a rolling
upgrade.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql

from snoopsync.core.errors import SnoopsyncError

#: Each step upgrades the tables from one version to the next. A released step never changes. The
#: number is the lowest version of nodes that may use the tables after the step.
_STEPS: tuple[tuple[int, LiteralString], ...] = (
    (
        1,
        """
        CREATE TABLE collection (
            number     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id         text NOT NULL UNIQUE,
            name       text NOT NULL UNIQUE,
            created_at double precision NOT NULL,
            moment     bigint NOT NULL DEFAULT 0,
            changes    bigint NOT NULL DEFAULT 0
        );
        CREATE TABLE key (
            public_key    text PRIMARY KEY,
            collection_id text NOT NULL REFERENCES collection (id),
            created_at    double precision NOT NULL,
            revoked_at    double precision,
            label         text,
            last_used_at  double precision
        );
        -- An ID is bytes, because text in PostgreSQL has no character NUL.
        CREATE TABLE image (
            collection integer NOT NULL REFERENCES collection (number),
            moment     bigint NOT NULL,
            mark       bigint NOT NULL,
            id         bytea NOT NULL,
            label      text,
            sha256     bytea NOT NULL,
            size_bytes bigint NOT NULL,
            kind       text NOT NULL,
            width      bigint NOT NULL,
            height     bigint NOT NULL,
            feed       integer NOT NULL,
            thumbnail  bytea NOT NULL,
            quality    integer NOT NULL,
            codes      bytea NOT NULL,
            trimmed    bytea NOT NULL,
            evidence   text,
            PRIMARY KEY (collection, moment),
            UNIQUE (collection, mark),
            UNIQUE (collection, id)
        );
        CREATE INDEX image_by_sha256 ON image (collection, sha256);
        CREATE INDEX image_by_thumbnail ON image (collection, thumbnail);
        CREATE INDEX image_by_feed ON image (collection, feed, id);
        -- Thumbnails have their own table, so that the codes are read quickly at the start.
        CREATE TABLE small (
            collection integer NOT NULL,
            moment     bigint NOT NULL,
            grey       bytea NOT NULL,
            colour     bytea NOT NULL,
            alpha      bytea NOT NULL,
            inside     bytea NOT NULL,
            frames     integer NOT NULL,
            PRIMARY KEY (collection, moment)
        );
        -- The images that pages named as the start of the next page.
        CREATE TABLE page_start (
            collection integer NOT NULL,
            id         bytea NOT NULL,
            moment     bigint NOT NULL,
            issued_at  timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (collection, id)
        );
        CREATE INDEX page_start_by_time ON page_start (issued_at);
        -- The signatures of changes, by the second of their date.
        CREATE TABLE signature (
            second     bigint NOT NULL,
            public_key text NOT NULL,
            digest     bytea NOT NULL,
            PRIMARY KEY (second, public_key, digest)
        );
        """,
    ),
    (
        1,
        """
        -- By which a part of the picture is found in another one (see ``decoding/regions``).
        ALTER TABLE image ADD COLUMN regions bytea NOT NULL DEFAULT '';
        """,
    ),
)

#: The version of the tables that this version of snoopsync uses.
VERSION = len(_STEPS)

#: The key of the advisory lock that lets one process at a time change the tables.
_LOCK = 0x736E6F6F70

_META: LiteralString = """
    CREATE TABLE meta (
        version       integer NOT NULL,
        needs         integer NOT NULL,
        fingerprint   text,               -- of the master key
        history       text,               -- of this database, as a node last saw it
        history_began double precision NOT NULL DEFAULT 0
    );
    INSERT INTO meta (version, needs) VALUES (0, 0);
"""

_RIGHTS: LiteralString = """
    GRANT USAGE ON SCHEMA snoopsync TO {role};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA snoopsync TO {role};
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA snoopsync TO {role};
"""


def prepare_tables(connection: psycopg.Connection, description: str) -> None:
    """Create or upgrade the tables, if need be and if this role may. Raises ``SnoopsyncError`` if
    it may not, and if only a newer snoopsync may use the tables."""
    found = _versions(connection)
    if found is None or found[0] < VERSION:
        try:
            upgrade_tables(connection)
        except psycopg.errors.InsufficientPrivilege:
            raise SnoopsyncError(
                f"{description} has no tables of this version, and this role may not create"
                " them: run `snoopsync serve schema --database URL --grant ROLE` as a role that"
                " may, where ROLE is the role of the nodes"
            ) from None
    elif found[1] > VERSION:
        raise SnoopsyncError(
            f"{description} was upgraded by a newer snoopsync: install that version on this node"
        )


def upgrade_tables(connection: psycopg.Connection) -> int:
    """Create the tables, or upgrade them to this version. Returns the version that they had, which
    is 0 for none. One process at a time does this. Raises
    ``psycopg.errors.InsufficientPrivilege``."""
    with _locked(connection), connection.transaction():
        found = _versions(connection)
        if found is None:
            connection.execute("CREATE SCHEMA IF NOT EXISTS snoopsync")
            connection.execute("SET LOCAL search_path TO snoopsync")
            connection.execute(_META)
            found = (0, 0)
        version = found[0]
        for number, (needs, step) in enumerate(_STEPS[version:], version + 1):
            connection.execute("SET LOCAL search_path TO snoopsync")
            connection.execute(step)
            connection.execute("UPDATE meta SET version = %s, needs = %s", (number, needs))
    return version


@contextmanager
def _locked(connection: psycopg.Connection) -> Iterator[None]:
    # Not in the transaction: one that began before another process has committed may have cached
    # that the schema does not exist.
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def grant_rights(connection: psycopg.Connection, role: str) -> None:
    """Let this role read and change rows, and nothing else."""
    connection.execute(sql.SQL(_RIGHTS).format(role=sql.Identifier(role)))


def _versions(connection: psycopg.Connection) -> tuple[int, int] | None:
    """The version of the tables, and the version that nodes need; ``None`` without tables."""
    exists = connection.execute("SELECT to_regclass('snoopsync.meta')").fetchone()
    if exists is None or exists[0] is None:
        return None
    row = connection.execute("SELECT version, needs FROM snoopsync.meta").fetchone()
    return None if row is None else (int(row[0]), int(row[1]))
