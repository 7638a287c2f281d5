"""Nodes on one database: what they share, and what they do when the database fails."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import requests

from snoopsync.client.collection import Collection
from snoopsync.client.signing import Signer
from snoopsync.core.errors import NotFound, Unavailable
from snoopsync.server.operations import BASE
from snoopsync.server.storage import Location
from snoopsync.storage.postgres import pool as pool_module
from snoopsync.storage.postgres.registry import PostgresHosting
from tests.support.hosted import Hosted, hosted
from tests.support.pictures import encode, photo
from tests.support.postgres import (
    SUPERUSER,
    Cluster,
    running_cluster,
    running_standby,
    why_not,
)
from tests.support.process import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


@contextmanager
def nodes(data: Path, url: str, count: int = 1) -> Iterator[list[Hosted]]:
    """So many nodes, which share a master key."""
    with ExitStack() as stack:
        first = Location(data / "0", url)
        started = [stack.enter_context(hosted(first))]
        for number in range(1, count):
            key = Location(data / str(number), url, data / "0" / "master.key")
            started.append(stack.enter_context(hosted(key)))
        yield started


@dataclass(frozen=True, slots=True)
class Signed:
    """A deletion that is signed once, and may be sent again."""

    path: str
    headers: dict[str, str]

    @classmethod
    def at(cls, moment: float, keys: tuple[str, str], image_id: str) -> Signed:
        path = f"{BASE}/image/{image_id}"
        return cls(path, Signer(*keys).headers("DELETE", path, moment))

    def send(self, node: Hosted) -> int:
        """The status of the node's answer."""
        url = f"http://127.0.0.1:{node.port}{self.path}"
        return requests.delete(url, headers=self.headers, timeout=20).status_code


def health(node: Hosted) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{node.port}/healthz", timeout=20)


def ids_found(collection: Collection, number: int) -> list[str]:
    """The images that are like this picture."""
    found = collection.search_images(encode(photo(number), quality=40))["results"]
    return [each["id"] for each in found]


def answers_again(collection: Collection) -> None:
    """Wait until the service works without an error."""

    def answers() -> bool:
        with suppress(Unavailable):
            collection.get_images()
            return True
        return False

    until(answers)


def test_a_signed_deletion_is_accepted_by_one_node_only(tmp_path: Path, cluster: Cluster) -> None:
    with nodes(tmp_path, cluster.new_database(), 2) as (one, two):
        keys = one.keys("family")
        with Collection(*keys, one.endpoint) as collection:
            collection.add_image(io.BytesIO(encode(photo(1))), "a")
            deletion = Signed.at(time.time(), keys, "a")
            assert (deletion.send(one), deletion.send(two), deletion.send(one)) == (200, 425, 425)


def test_requests_are_answered_503_while_the_database_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_WAIT_SECONDS", 0.5)
    with (
        running_cluster(fsync="off") as cluster,
        nodes(tmp_path, cluster.new_database()) as [node],
        node.client("family") as collection,
    ):
        collection.add_image(io.BytesIO(encode(photo(1))), "a")
        assert health(node).status_code == 200
        cluster.kill()
        for call in (collection.get_images, lambda: ids_found(collection, 1)):
            with pytest.raises(Unavailable) as caught:
                call()
            assert (caught.value.status, caught.value.retry_after) == (503, 2.0)
        answer = health(node)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        cluster.start()
        answers_again(collection)
        assert ids_found(collection, 1) == ["a"]
        assert health(node).status_code == 200


def test_a_node_forgets_the_changes_that_a_failover_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standby of this test is asynchronous, and was down when the last changes came."""
    monkeypatch.setattr(pool_module, "_WAIT_SECONDS", 0.5)
    with running_cluster(fsync="off") as primary, ExitStack() as stack:
        url = primary.new_database()
        name = url.rpartition("/")[2]
        age_history(primary, url)
        standby = stack.enter_context(running_standby(primary))
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        both = f"postgresql://{SUPERUSER}@{hosts}/{name}"
        [node] = stack.enter_context(nodes(tmp_path, both))
        keys = node.keys("family")
        collection = stack.enter_context(Collection(*keys, node.endpoint))
        for number in (1, 2):
            collection.add_image(io.BytesIO(encode(photo(number))), f"{number}")
        wait_until_replayed(primary, standby)
        standby.stop()
        # The clock of the old primary was ahead.
        primary.execute("UPDATE snoopsync.collection SET moment = moment + 1000000000", name)
        collection.add_image(io.BytesIO(encode(photo(3))), "lost")
        assert ids_found(collection, 3) == ["lost"]
        early = [Signed.at(time.time() - 60, keys, image_id) for image_id in "12"]
        assert early[0].send(node) == 200
        primary.kill()
        standby.start()
        standby.promote()
        answers_again(collection)
        assert [each["id"] for each in collection.images()] == ["2", "1"]
        assert ids_found(collection, 3) == []
        collection.add_image(io.BytesIO(encode(photo(4))), "new")
        assert ids_found(collection, 4) == ["new"]
        # It may be the repetition of one that the old primary had accepted.
        assert [each.send(node) for each in early] == [425, 425]


def age_history(cluster: Cluster, url: str) -> None:
    """Create the tables, as an hour ago: so a node accepts what was signed some minutes ago."""
    PostgresHosting(url).close()
    earlier = "UPDATE snoopsync.meta SET history_began = history_began - 3600"
    cluster.execute(earlier, url.rpartition("/")[2])


def wait_until_replayed(primary: Cluster, standby: Cluster) -> None:
    """Wait until the standby has all that the primary has now."""
    with (
        psycopg.connect(primary.url("postgres")) as one,
        psycopg.connect(standby.url("postgres"), autocommit=True) as other,
    ):
        [written] = one.execute("SELECT pg_current_wal_lsn()").fetchone() or ()
        query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        until(lambda: other.execute(query, (written,)).fetchone() == (True,))


def restored(cluster: Cluster, url: str, change: Callable[[], object]) -> None:
    """Back up the database, change something, and restore the backup beside the running nodes."""
    dump = cluster.directory / "dump"
    cluster.run("pg_dump", "--format=custom", f"--file={dump}", url)
    change()
    how = ("--clean", "--if-exists", "--single-transaction")
    cluster.run("pg_restore", *how, f"--dbname={url}", dump)


def test_a_node_notices_that_a_backup_was_restored(tmp_path: Path, cluster: Cluster) -> None:
    url = cluster.new_database()
    with nodes(tmp_path, url) as [node], node.client("family") as collection:
        collection.add_image(io.BytesIO(encode(photo(1))), "a")
        assert ids_found(collection, 1) == ["a"]

        def change() -> None:
            collection.delete_image("a")
            collection.add_image(io.BytesIO(encode(photo(2))), "b")
            assert (ids_found(collection, 1), ids_found(collection, 2)) == ([], ["b"])

        restored(cluster, url, change)
        assert (ids_found(collection, 1), ids_found(collection, 2)) == (["a"], [])
        assert [each["id"] for each in collection.images()] == ["a"]
        with pytest.raises(NotFound):
            collection.get_image("b")


def test_a_change_from_before_a_restored_backup_is_not_accepted_again(
    tmp_path: Path, cluster: Cluster
) -> None:
    url = cluster.new_database()
    age_history(cluster, url)
    with nodes(tmp_path, url) as [node]:
        keys = node.keys("family")
        with Collection(*keys, node.endpoint) as collection:
            collection.add_image(io.BytesIO(encode(photo(1))), "a")
            deletion = Signed.at(time.time() - 60, keys, "a")
            restored(cluster, url, lambda: deletion.send(node))
            assert [deletion.send(node), deletion.send(node)] == [425, 425]
            assert collection.get_image("a")["status"] == 200
