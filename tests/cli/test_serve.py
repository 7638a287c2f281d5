"""The commands ``serve`` and ``keys``: their options, output and errors."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from snoopsync.core.exits import Exit
from tests.server.helpers import added, client
from tests.support.process import Installation


def test_a_key_is_shown_with_its_secret_once(home: Installation, data: Path) -> None:
    key = added(home, data)
    assert list(key) == ["collection_id", "collection_name", "public_key", "secret_key"]
    assert all(isinstance(value, str) and value for value in key.values())
    assert key["collection_name"] == "shop"
    for command in (("keys", "list"), ("keys", "list", "--json")):
        shown = home.ok(*command, "--data", data)
        assert key["public_key"] in shown
        assert key["secret_key"] not in shown


def test_a_key_is_one_line_of_cells_for_programs(home: Installation, data: Path) -> None:
    assert home.ok("keys", "list", "--data", data) == ""
    key = added(home, data)
    home.ok("keys", "revoke", key["public_key"], "--data", data)
    (listed,) = home.json("keys", "list", "--data", data, "--json")
    created, revoked = (listed[name][: len("2020-01-01")] for name in ("created_at", "revoked_at"))
    cells = [key["public_key"], key["collection_id"], created, "", revoked, "shop", ""]
    assert home.ok("keys", "list", "--data", data) == "\t".join(cells) + "\n"


def test_a_second_key_of_a_name_is_for_the_same_collection(home: Installation, data: Path) -> None:
    one, two, other = (added(home, data, name) for name in ("shop", "shop", "other"))
    assert one["collection_id"] == two["collection_id"] != other["collection_id"]
    assert len({key["public_key"] for key in (one, two, other)}) == 3


def test_the_text_of_a_new_key_contains_all_fields_of_the_json(
    home: Installation, data: Path
) -> None:
    done = home.run("keys", "add", "shop", "--data", data)
    lines = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert list(lines) == ["collection_id", "collection_name", "public_key", "secret_key"]
    assert "only once" in done.err


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb"])
def test_an_invalid_name_is_refused(home: Installation, data: Path, name: str) -> None:
    done = home.run("keys", "add", name, "--data", data)
    assert done.code == Exit.USAGE
    assert "the name of a collection must be a text of 1 to 100 characters" in done.err
    assert "Traceback" not in done.err


def test_a_revoked_key_is_listed_as_such_and_not_revoked_again(
    home: Installation, data: Path
) -> None:
    key = added(home, data)
    home.ok("keys", "revoke", key["public_key"], "--data", data)
    (listed,) = home.json("keys", "list", "--data", data, "--json")
    created = datetime.fromisoformat(listed["created_at"])
    revoked = datetime.fromisoformat(listed["revoked_at"])
    assert revoked >= created
    assert created.utcoffset() == revoked.utcoffset() == timedelta()
    again = home.run("keys", "revoke", key["public_key"], "--data", data)
    assert again.code != 0
    assert key["public_key"] in again.err


def test_keys_of_an_impossible_directory_are_an_error_without_a_traceback(
    home: Installation, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for command in (("keys", "list"), ("keys", "add", "x"), ("serve", "--listen", "127.0.0.1:0")):
        done = home.run(*command, "--data", tmp_path / "file" / "data")
        assert done.code != 0
        assert "Traceback" not in done.err
        assert str(tmp_path / "file") in done.err


@pytest.mark.integration
def test_other_commands_do_not_import_the_server(home: Installation) -> None:
    script = "import snoopsync.cli.root, snoopsync.service.generation, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=home.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    foreign = ("snoopsync.server", "h11", "starlette")
    assert not [name for name in done.stdout.split() if name.startswith(foreign)]


@pytest.mark.parametrize("listen", ["8470", ":8470", "localhost", "localhost:x", "localhost:99999"])
def test_an_invalid_address_is_refused(home: Installation, data: Path, listen: str) -> None:
    done = home.run("serve", "--listen", listen, "--data", data)
    assert done.code == Exit.USAGE
    assert "is not HOST:PORT" in done.err


def test_an_unusable_host_is_reported(home: Installation, data: Path) -> None:
    for listen in ("no.such.host.invalid:0", "a..b:0"):
        done = home.run("serve", "--listen", listen, "--data", data)
        assert done.code == Exit.BUG
        assert f"can't listen on {listen}" in done.err
        assert "Traceback" not in done.err


@pytest.mark.integration
@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_ipv6_address_is_in_brackets(home: Installation, data: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 on loopback")
    key = added(home, data)
    with home.service("serve", "--listen", "[::1]:0", "--data", data) as service:
        endpoint = service.line_with(" serves ").rpartition(" ")[2]
        assert re.fullmatch(r"http://\[::1\]:[1-9]\d*/api/v1", endpoint)
        with client(key, endpoint) as collection:
            assert collection.get_images()["images"] == []


def test_without_the_extra_the_error_has_the_command_that_installs_it(
    home: Installation, data: Path
) -> None:
    for module in ("h11", "starlette"):
        with mock.patch.dict(sys.modules, {module: None}):
            done = home.run("serve", "--listen", "127.0.0.1:0", "--data", data)
        assert done.code == Exit.BUG
        assert f"serve needs {module}: pip install 'snoopsync[serve]'" in done.err


def test_an_invalid_certificate_is_reported(home: Installation, data: Path, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    options = ("--certificate", tmp_path / "cert.pem", "--key", tmp_path / "cert.pem")
    done = home.run("serve", "--listen", "127.0.0.1:0", "--data", data, *options)
    assert done.code == Exit.BUG
    assert str(tmp_path / "cert.pem") in done.err
    assert "Traceback" not in done.err
    alone = home.run("serve", "--listen", "127.0.0.1:0", "--data", data, *options[:2])
    assert (alone.code, "must be used together" in alone.err) == (Exit.USAGE, True)


def test_the_data_option_may_precede_the_backup_command(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    added(home, data)
    home.ok("serve", "--data", data, "backup", tmp_path / "copy")
    assert (tmp_path / "copy" / "keys.sqlite3").exists()


def test_a_list_without_keys_says_where_there_are_none(home: Installation, data: Path) -> None:
    done = home.run("keys", "list", "--data", data)
    assert (done.code, done.out) == (0, "")
    assert f"no keys in {data}" in done.err
