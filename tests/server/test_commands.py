"""The commands of the collection as a service: ``serve``, ``serve backup`` and ``keys``."""

from __future__ import annotations

import http.client
import io
import json
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import psutil
import pytest

from snoopsync.client.collection import Collection
from snoopsync.client.signing import Signer
from snoopsync.core.exits import Exit
from tests.runtime.test_systemd import manager
from tests.support.hosted import forked, hosted_process
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until

PICTURE = encode(photo(1))


def added(home: Installation, data: Path, name: str = "shop") -> dict[str, Any]:
    (key,) = home.json("keys", "add", name, "--data", data, "--json")
    return dict(key)


def client(key: dict[str, Any], endpoint: str) -> Collection:
    return Collection(key["public_key"], key["secret_key"], endpoint)


# keys


def test_a_key_is_shown_with_its_secret_once(home: Installation, data: Path) -> None:
    key = added(home, data)
    assert list(key) == ["collection_id", "collection_name", "public_key", "secret_key"]
    assert all(isinstance(value, str) and value for value in key.values())
    assert key["collection_name"] == "shop"
    for command in (("keys", "list"), ("keys", "list", "--json")):
        shown = home.ok(*command, "--data", data)
        assert key["public_key"] in shown
        assert key["secret_key"] not in shown


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


# serve


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


@pytest.mark.integration
def test_keys_take_effect_in_a_running_service(home: Installation, data: Path) -> None:
    with hosted_process(home, data) as (_, endpoint):
        key = added(home, data)
        with client(key, endpoint) as collection:
            assert collection.add_image(io.BytesIO(PICTURE), "a")["status"] == 201
            assert (collection.id, collection.name) == (key["collection_id"], "shop")
            home.ok("keys", "revoke", key["public_key"], "--data", data)
            with pytest.raises(Exception, match="401"):
                collection.get_image("a")


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_after_the_requests_in_progress(
    home: Installation, data: Path, number: signal.Signals
) -> None:
    key = added(home, data)
    with hosted_process(home, data) as (service, endpoint):
        address = urlsplit(endpoint)
        path = f"{address.path}/image/a"
        headers = Signer(key["public_key"], key["secret_key"]).headers("POST", path, time.time())
        connection = http.client.HTTPConnection(address.netloc, timeout=20.0)
        with closing(connection):
            connection.putrequest("POST", path)
            for name, value in {**headers, "Content-Length": str(len(PICTURE))}.items():
                connection.putheader(name, value)
            connection.endheaders(PICTURE[:100])
            until(lambda: list((data / "incoming").iterdir()))
            service.send(number)
            until(lambda: is_closed(address.netloc))
            connection.send(PICTURE[100:])
            assert connection.getresponse().status == 201
        assert service.wait() == 0
        assert service.lines[-1].endswith("stopped")
        assert not any("Traceback" in line for line in service.lines)


def is_closed(netloc: str) -> bool:
    host, _, port = netloc.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 5.0).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.integration
def test_a_second_service_on_the_port_or_the_directory_is_an_error(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    with hosted_process(home, data) as (_, endpoint):
        address = urlsplit(endpoint).netloc
        port = home.run("serve", "--listen", address, "--data", tmp_path / "other")
        assert port.code == Exit.BUG
        assert f"can't listen on {address}: Address already in use" in port.err
        directory = home.run("serve", "--listen", "127.0.0.1:0", "--data", data)
        assert directory.code == Exit.LOCKED
        assert "is in use by another snoopsync" in directory.err
        assert "Traceback" not in port.err + directory.err


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


def test_without_its_extra_it_names_the_command_that_installs_it(
    home: Installation, data: Path
) -> None:
    for module in ("h11", "starlette"):
        with mock.patch.dict(sys.modules, {module: None}):
            done = home.run("serve", "--listen", "127.0.0.1:0", "--data", data)
        assert done.code == Exit.BUG
        assert f"serve needs {module}: pip install 'snoopsync[serve]'" in done.err


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_tls_uses_the_given_certificate(
    home: Installation, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=x"
    make += f" -addext subjectAltName=IP:127.0.0.1 -keyout {private} -out {certificate}"
    subprocess.run(make.split(), check=True, capture_output=True)
    key = added(home, data)
    options = ("--certificate", certificate, "--key", private)
    with hosted_process(home, data, *options) as (_, endpoint):
        assert endpoint.startswith("https://")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        with client(key, endpoint) as collection:
            assert collection.add_image(io.BytesIO(PICTURE), "a")["status"] == 201


def test_an_invalid_certificate_is_reported(home: Installation, data: Path, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    options = ("--certificate", tmp_path / "cert.pem", "--key", tmp_path / "cert.pem")
    done = home.run("serve", "--listen", "127.0.0.1:0", "--data", data, *options)
    assert done.code == Exit.BUG
    assert str(tmp_path / "cert.pem") in done.err
    assert "Traceback" not in done.err
    alone = home.run("serve", "--listen", "127.0.0.1:0", "--data", data, *options[:2])
    assert (alone.code, "must be used together" in alone.err) == (Exit.USAGE, True)


@pytest.mark.integration
def test_systemd_is_notified_of_the_start_the_heartbeat_and_the_stop(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    address = str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000"}
    with manager(address) as systemd, hosted_process(home, data, **environment) as (service, _):
        until(lambda: systemd.heard.count("WATCHDOG=1") >= 3 and "READY=1" in systemd.heard)
        assert service.end() == 0
        until(lambda: "STOPPING=1" in systemd.heard)
    assert "READY=1" in systemd.heard[: systemd.heard.index("STOPPING=1")]


def test_it_is_ready_when_a_decoder_is_ready(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    address = str(tmp_path / "notify")
    with (
        manager(address) as systemd,
        hosted_process(home, data, NOTIFY_SOCKET=address) as (service, _),
    ):
        until(lambda: "READY=1" in systemd.heard)
        _, decoders = forked(psutil.Process(service.pid))
        assert len(decoders) == 1


@pytest.mark.integration
def test_it_can_be_stopped_as_soon_as_it_logs_its_endpoint(home: Installation, data: Path) -> None:
    for _ in range(3):
        with hosted_process(home, data) as (service, _):
            assert service.end() == 0


@pytest.mark.integration
def test_it_can_be_stopped_before_it_is_ready(home: Installation, data: Path) -> None:
    with hosted_process(home, data) as (service, _):
        below = psutil.Process(service.pid).children(recursive=True)
        assert service.end() == 0
    assert service.lines[-1].endswith("stopped")
    assert not any("Traceback" in line for line in service.lines)
    until(partial(have_ended, below))


@pytest.mark.integration
def test_its_decoders_end_when_it_ends_in_any_way(home: Installation, data: Path) -> None:
    key = added(home, data)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with hosted_process(home, data) as (service, endpoint):
            with client(key, endpoint) as collection:
                collection.search_images(io.BytesIO(PICTURE))
            below = psutil.Process(service.pid).children(recursive=True)
            assert below
            service.end(number)
            until(partial(have_ended, below))


def have_ended(processes: list[psutil.Process]) -> bool:
    try:
        return all(each.status() == psutil.STATUS_ZOMBIE for each in processes if each.is_running())
    except psutil.NoSuchProcess:
        return False  # the next poll shows it


# serve backup


@pytest.mark.integration
def test_a_backup_of_a_running_service_can_be_served(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    keys = [added(home, data, name) for name in ("one", "two", "empty")]
    copy = tmp_path / "copy"
    with hosted_process(home, data) as (_, endpoint):
        for key in keys[:2]:
            with client(key, endpoint) as collection:
                collection.add_image(io.BytesIO(PICTURE), f"of {key['collection_name']}")
        assert "2 collections" in home.ok("serve", "backup", copy, "--data", data)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    files = [path for path in copy.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    with hosted_process(home, copy) as (_, endpoint):
        for key, held in zip(keys, (["of one"], ["of two"], []), strict=True):
            with client(key, endpoint) as collection:
                assert collection.id == key["collection_id"]
                assert [image["id"] for image in collection.images()] == held


def test_the_data_option_may_precede_the_backup_command(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    added(home, data)
    home.ok("serve", "--data", data, "backup", tmp_path / "copy")
    assert (tmp_path / "copy" / "keys.sqlite3").exists()


def test_an_impossible_backup_is_refused_and_leaves_no_files(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    nothing = home.run("serve", "backup", tmp_path / "copy", "--data", data)
    assert (nothing.code, "not the data directory" in nothing.err) == (Exit.BUG, True)
    added(home, data)
    over = home.run("serve", "backup", data, "--data", data)
    assert (over.code, "already exists" in over.err) == (Exit.BUG, True)
    (data / "collections" / "x").mkdir(parents=True)
    (data / "collections" / "x" / "collection.sqlite3").write_bytes(b"no database" * 100)
    half = home.run("serve", "backup", tmp_path / "copy", "--data", data)
    assert (half.code, "the backup failed" in half.err) == (Exit.BUG, True)
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]


@pytest.mark.integration
def test_the_access_log_is_json_for_programs(home: Installation, data: Path) -> None:
    key = added(home, data)
    arguments = ("--log-format", "json", "serve", "--listen", "127.0.0.1:0", "--data", data)
    with home.service(*arguments) as service:
        endpoint = json.loads(service.line_with(" serves "))["message"].rpartition(" ")[2]
        with client(key, endpoint) as collection:
            collection.get_images()
        line = json.loads(service.line_with("snoopsync.access"))
    assert line["message"].startswith(f"GET /api/v1/images 200 {key['public_key']} ")
