"""The tables: created once, upgraded once, and used with few rights."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from snoopsync.core.errors import SnoopsyncError, Unavailable
from snoopsync.storage.postgres.pool import upgrade_database
from snoopsync.storage.postgres.registry import PostgresHosting
from snoopsync.storage.postgres.schema import VERSION
from tests.embedded.helpers import features
from tests.support.postgres import Cluster


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.new_database()


@pytest.fixture
def plain(cluster: Cluster, url: str) -> Iterator[str]:
    """The address for a role that may do nothing."""
    role = f"plain_{url.rpartition('/')[2]}"
    cluster.execute(f"CREATE ROLE {role} LOGIN")
    yield url.replace("owner@", f"{role}@")
    cluster.execute(f"DROP OWNED BY {role}", url.rpartition("/")[2])
    cluster.execute(f"DROP ROLE {role}")


def meta(url: str, change: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"UPDATE snoopsync.meta SET {change}")


def test_nodes_that_start_at_once_create_the_tables_once(url: str) -> None:
    def start(_: int) -> str:
        with closing(PostgresHosting(url)) as hosting:
            return hosting.add_key("pictures").collection_id

    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(start, range(6)))) == 1


def test_the_role_of_a_node_needs_no_right_but_to_change_rows(url: str, plain: str) -> None:
    with pytest.raises(SnoopsyncError, match="serve schema --database URL --grant ROLE"):
        PostgresHosting(plain)
    role = plain.partition("://")[2].partition("@")[0]
    assert upgrade_database(url, role).endswith(f"have version {VERSION} now")
    assert upgrade_database(url, role).endswith(f"have version {VERSION} already")
    with closing(PostgresHosting(plain)) as hosting:
        hosting.record_master_key("one")
        key = hosting.add_key("pictures")
        hosting.signatures.accept(key.public_key, "s", 1.0, 1.0)
        [collection] = hosting.collections()
        store = hosting.images(collection)
        store.remember_page_start(store.add("a", features(1), 1))
        store.position()
        store.remove("a")
    with (
        psycopg.connect(plain) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DROP TABLE snoopsync.image")


def test_a_node_refuses_tables_that_need_a_newer_version(url: str) -> None:
    upgrade_database(url, None)
    meta(url, f"version = {VERSION + 2}, needs = {VERSION + 1}")
    with pytest.raises(SnoopsyncError, match="newer snoopsync"):
        PostgresHosting(url)


def test_a_node_uses_tables_of_a_newer_version_that_does_not_exclude_it(url: str) -> None:
    """So a rolling upgrade can replace one node after another."""
    upgrade_database(url, None)
    meta(url, f"version = {VERSION + 1}")
    with closing(PostgresHosting(url)) as hosting:
        hosting.add_key("pictures")


def test_a_database_that_does_not_exist_is_an_error_that_names_it(url: str) -> None:
    with pytest.raises(Unavailable, match="missing") as caught:
        PostgresHosting(f"{url}_missing")
    assert "owner" not in str(caught.value)
