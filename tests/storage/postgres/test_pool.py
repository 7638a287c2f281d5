"""Connections: what happens to requests while the database is away."""

from __future__ import annotations

from contextlib import closing

import pytest

from snoopsync.core.errors import Unavailable, Unwritable
from snoopsync.storage.postgres import pool as pool_module
from snoopsync.storage.postgres.pool import Pool
from tests.support.authority import Authority
from tests.support.postgres import Cluster, running_cluster, running_standby
from tests.support.process import until


def test_a_connection_over_the_network_without_tls_has_a_warning(
    cluster: Cluster,
) -> None:
    url = cluster.new_database()
    elsewhere = url.replace("127.0.0.1", "db.example") + "?hostaddr=127.0.0.1"
    for address, is_unsafe in ((url, False), (elsewhere, True)):
        with closing(Pool(address)) as pool:
            assert (pool.warning is not None) == is_unsafe


@pytest.mark.integration
def test_a_connection_with_tls_checks_the_certificate(authority: Authority) -> None:
    certificate = authority.signed("db.example", extension="subjectAltName=DNS:db.example")
    with running_cluster(fsync="off") as cluster:
        cluster.enable_tls(certificate)
        address = cluster.new_database().replace("127.0.0.1", "db.example")
        options = f"?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={authority.path}"
        with closing(Pool(address + options)) as pool:
            assert pool.warning is None
        with pytest.raises(Unavailable, match="certificate"):
            Pool(address.replace("db.example", "other.example") + options)


def answers(pool: Pool) -> bool:
    try:
        with pool.connection() as connection:
            connection.execute("SELECT count(*) FROM image")
    except Unavailable:
        return False
    return True


@pytest.mark.integration
def test_the_pool_recovers_when_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "_WAIT_SECONDS", 0.5)
    with running_cluster(fsync="off") as cluster, closing(Pool(cluster.new_database())) as pool:
        for end in (cluster.stop, cluster.kill):
            end()
            with pytest.raises(Unavailable, match="does not answer") as caught, pool.connection():
                pass
            assert not isinstance(caught.value, Unwritable)
            cluster.start()
            until(lambda: answers(pool))


@pytest.mark.integration
def test_after_one_request_has_waited_in_vain_others_do_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "_WAIT_SECONDS", 0.5)
    monkeypatch.setattr(pool_module, "_AWAY_SECONDS", 3600.0)
    with running_cluster(fsync="off") as cluster, closing(Pool(cluster.new_database())) as pool:
        cluster.stop()
        assert not answers(pool)
        waited = pool.statistics().failed
        assert waited > 0
        assert not answers(pool)
        assert pool.statistics().failed == waited


@pytest.mark.integration
def test_a_promoted_standby_has_another_history() -> None:
    with running_cluster(fsync="off", wal_level="replica") as primary:
        url = primary.new_database()
        with closing(Pool(url)) as pool, pool.connection():
            before = (pool.history.name, pool.history.began)
        with running_standby(primary) as standby:
            primary.kill()
            standby.promote()
            name = url.rpartition("/")[2]
            with closing(Pool(standby.url(name))) as pool, pool.connection():
                assert pool.history.name != before[0]
                assert pool.history.began > before[1]
