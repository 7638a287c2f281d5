"""Signatures that all nodes know."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from snoopsync.core.errors import Unavailable
from snoopsync.storage.hosting import WINDOW_SECONDS
from snoopsync.storage.postgres.pool import Pool
from snoopsync.storage.postgres.signatures import PostgresSignatures
from tests.support.postgres import Cluster

NOW = 1_800_000_000.0


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.new_database()


@pytest.fixture
def pool(url: str) -> Iterator[Pool]:
    with closing(Pool(url)) as pool:
        yield pool


def test_a_signature_is_accepted_once_by_all_nodes(pool: Pool, url: str) -> None:
    with closing(Pool(url)) as other:
        PostgresSignatures(pool).accept("key", "signature", NOW, NOW)
        for node in (pool, other):
            with pytest.raises(Unavailable) as caught:
                PostgresSignatures(node).accept("key", "signature", NOW, NOW + 5.0)
            assert caught.value.status == 425
        PostgresSignatures(other).accept("another key", "signature", NOW, NOW)
        PostgresSignatures(other).accept("key", "another signature", NOW, NOW)


def test_signatures_are_removed_when_their_date_is_too_old(pool: Pool, url: str) -> None:
    signatures = PostgresSignatures(pool)
    signatures.accept("key", "old", NOW, NOW)
    later = NOW + WINDOW_SECONDS + 2.0
    signatures.accept("key", "new", later, later)
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT second FROM snoopsync.signature").fetchall()
    assert rows == [(int(later),)]


def test_only_a_key_with_too_many_changes_has_to_wait(pool: Pool) -> None:
    signatures = PostgresSignatures(pool, most_signatures=3)
    for number in range(3):
        signatures.accept("greedy", f"{number}", NOW, NOW)
    with pytest.raises(Unavailable) as refused:
        signatures.accept("greedy", "3", NOW, NOW)
    assert (refused.value.status, refused.value.retry_after) == (429, 60.0)
    signatures.accept("other", "0", NOW, NOW)
    later = NOW + WINDOW_SECONDS + 2.0
    signatures.accept("greedy", "3", later, later)


def test_after_a_failover_older_signatures_must_be_sent_again(pool: Pool, url: str) -> None:
    """The new primary may have lost some of them."""
    first = PostgresSignatures(pool).remembers_since
    assert abs(first - time.time()) < 60.0
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE snoopsync.meta SET history = 'of another timeline'")
    with closing(Pool(url)) as later, closing(Pool(url)) as latest:
        began = [PostgresSignatures(each).remembers_since for each in (later, latest)]
    assert first < began[0] == began[1]
