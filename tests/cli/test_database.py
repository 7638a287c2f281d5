"""``serve`` and ``keys`` with PostgreSQL: nodes that share everything, and secrets that stay so."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest

from snoopsync.client.collection import Collection
from snoopsync.core.errors import Unauthorized
from snoopsync.core.exits import Exit
from snoopsync.storage.postgres.schema import VERSION
from tests.support.hosted import hosted_process
from tests.support.pictures import encode, photo
from tests.support.postgres import Cluster
from tests.support.process import Installation, command, until

pytestmark = pytest.mark.integration


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.new_database()


def test_two_nodes_serve_one_collection(home: Installation, tmp_path: Path, url: str) -> None:
    key = home.json("keys", "add", "family", "--database", url, "--json")[0]
    master = home.state.parent / "hosted" / "master.key"
    copy = tmp_path / "copy of the key"
    copy.write_bytes(master.read_bytes())
    copy.chmod(0o600)
    other = ("--data", tmp_path / "other", "--master-key", copy)
    with (
        hosted_process(home, master.parent, "--database", url) as (_, one),
        hosted_process(home, tmp_path / "second", "--database", url, *other) as (_, two),
        Collection(key["public_key"], key["secret_key"], one) as here,
        Collection(key["public_key"], key["secret_key"], two) as there,
    ):
        here.add_image(io.BytesIO(encode(photo(1))), "a")
        assert [each["id"] for each in there.images()] == ["a"]
        [match] = there.search_images(io.BytesIO(encode(photo(1), quality=40)))["results"]
        assert match["id"] == "a"
        there.delete_image("a")
        assert here.search_images(io.BytesIO(encode(photo(1))))["results"] == []
        home.ok("keys", "revoke", key["public_key"], "--database", url)
        for node in (here, there):
            with pytest.raises(Unauthorized):
                node.get_images()


def test_a_page_of_a_listing_continues_on_another_node_after_a_deletion(
    home: Installation, tmp_path: Path, url: str
) -> None:
    key = home.json("keys", "add", "family", "--database", url, "--json")[0]
    data = home.state.parent / "hosted"
    with (
        hosted_process(home, data, "--database", url) as (_, one),
        hosted_process(home, data, "--database", url) as (_, two),
        Collection(key["public_key"], key["secret_key"], one) as here,
        Collection(key["public_key"], key["secret_key"], two) as there,
    ):
        for number in range(4):
            here.add_image(io.BytesIO(encode(photo(number))), f"{number}")
        start = here.get_images(count=2)["next_image_id"]
        assert start == "1"
        here.delete_image("1")
        assert [each["id"] for each in there.get_images(start=start)["images"]] == ["0"]


def test_the_password_is_not_in_the_list_of_processes(
    home: Installation, cluster: Cluster, url: str
) -> None:
    cluster.execute("ALTER ROLE owner PASSWORD 'very-secret'")
    home.ok("keys", "add", "family", "--database", url)
    address = url.replace("owner@", "owner:very-secret@")
    data = home.state.parent / "hosted"
    with hosted_process(home, data, "--database", address) as (service, _):
        process = psutil.Process(service.pid)
        shown = [process, *process.children(recursive=True)]
        assert not any("very-secret" in part for each in shown for part in each.cmdline())
        assert "127.0.0.1" in " ".join(shown[0].cmdline())
        log = "".join(service.lines)
    assert "very-secret" not in log
    wrong = address.replace("/test", "/missing")
    done = home.run("keys", "list", "--database", wrong)
    assert done.code != 0
    assert "very-secret" not in done.out + done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [("keys", "list"), ("serve", "schema")])
def test_the_password_of_a_short_command_is_not_in_the_list_of_processes_either(
    home: Installation, url: str, arguments: tuple[str, str]
) -> None:
    home.ok("keys", "add", "family", "--database", url)
    address = url.replace("owner@", "owner:very-secret@")
    waiting = "SELECT FROM pg_locks WHERE relation = 'snoopsync.meta'::regclass AND NOT granted"
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as other:
        holder.execute("LOCK TABLE snoopsync.meta")
        process = subprocess.Popen(
            command(*arguments, "--database", address),
            env=home.environment,
            stdout=subprocess.DEVNULL,
        )
        with process:
            until(lambda: other.execute(waiting).fetchone() is not None)
            shown = " ".join(psutil.Process(process.pid).cmdline())
            holder.rollback()
        assert process.returncode == 0
    assert "127.0.0.1" in shown
    assert "very-secret" not in shown


def test_a_node_without_the_master_key_is_told_where_to_put_it(
    home: Installation, tmp_path: Path, url: str
) -> None:
    home.ok("keys", "add", "family", "--database", url)
    elsewhere = ("--data", tmp_path / "other")
    for given in (("keys", "add", "x"), ("serve", "--listen", "127.0.0.1:0")):
        done = home.run(*given, "--database", url, *elsewhere)
        assert done.code != 0
        assert "copy it to" in done.err and "master.key" in done.err
        assert not (tmp_path / "other" / "master.key").exists()
    home.ok("keys", "list", "--database", url, *elsewhere)
    (tmp_path / "wrong").write_text("ab" * 32)
    (tmp_path / "wrong").chmod(0o600)
    done = home.run("keys", "add", "x", "--database", url, "--master-key", tmp_path / "wrong")
    assert done.code != 0
    assert f"another master key than the one in {tmp_path / 'wrong'}: use that one" in done.err


def test_the_tables_are_created_for_a_role_that_may_not(
    home: Installation, cluster: Cluster, url: str
) -> None:
    name = url.rpartition("/")[2]
    cluster.execute(f"CREATE ROLE node_{name} LOGIN")
    node = url.replace("owner@", f"node_{name}@")
    refused = home.run("keys", "list", "--database", node)
    assert refused.code != 0
    assert "serve schema" in refused.err
    assert f"version {VERSION} now" in home.ok(
        "serve", "schema", "--database", url, "--grant", f"node_{name}"
    )
    home.ok("keys", "add", "family", "--database", node)
    with psycopg.connect(url) as connection:
        connection.execute(f"DROP OWNED BY node_{name}")


def test_a_backup_of_a_database_is_left_to_its_own_tools(home: Installation, url: str) -> None:
    done = home.run("serve", "backup", home.home / "copy", "--database", url)
    assert done.code == Exit.USAGE
    assert "pg_dump" in done.err


def test_what_a_killed_node_received_is_removed_by_the_next_one(
    home: Installation, url: str
) -> None:
    home.ok("keys", "add", "family", "--database", url)
    data = home.state.parent / "hosted"
    with hosted_process(home, data, "--database", url) as (service, _):
        [left] = data.glob("node-*")
        (left / "upload").write_bytes(b"x")
        service.kill()
    assert left.exists()
    with hosted_process(home, data, "--database", url) as (service, _):
        assert not left.exists()
        with hosted_process(home, data, "--database", url):
            assert len(list(data.glob("node-*"))) == 2
            service.end()
            assert len(list(data.glob("node-*"))) == 1
