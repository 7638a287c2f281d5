"""``serve`` as a process: how it starts, logs and stops."""

from __future__ import annotations

import http.client
import io
import json
import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from snoopsync.client.signing import Signer
from snoopsync.core.exits import Exit
from tests.runtime.test_systemd import manager
from tests.server.helpers import PICTURE, added, client
from tests.support.authority import Authority
from tests.support.hosted import forked, hosted_process
from tests.support.process import Installation, until


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
def test_a_signal_stops_the_service_after_the_requests_in_progress(
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
    except ConnectionResetError:  # it arrived while the port was being closed
        return False
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


def test_the_service_is_ready_when_a_decoder_is_ready(
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
def test_the_service_can_be_stopped_as_soon_as_it_logs_its_endpoint(
    home: Installation, data: Path
) -> None:
    for _ in range(3):
        with hosted_process(home, data) as (service, _):
            assert service.end() == 0


@pytest.mark.integration
def test_the_service_can_be_stopped_before_it_is_ready(home: Installation, data: Path) -> None:
    with hosted_process(home, data) as (service, _):
        below = psutil.Process(service.pid).children(recursive=True)
        assert service.end() == 0
    assert service.lines[-1].endswith("stopped")
    assert not any("Traceback" in line for line in service.lines)
    until(partial(have_ended, below))


@pytest.mark.integration
def test_the_decoders_end_with_the_service(home: Installation, data: Path) -> None:
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


def health(endpoint: str) -> int:
    return requests.get(f"{endpoint.removesuffix('/api/v1')}/healthz", timeout=20.0).status_code


@pytest.mark.integration
def test_pictures_are_decoded_with_a_long_temporary_directory(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    long = tmp_path / ("t" * 100)
    long.mkdir()
    with (
        hosted_process(home, data, TMPDIR=str(long)) as (_, endpoint),
        client(added(home, data), endpoint) as collection,
    ):
        assert collection.add_image(PICTURE, "a")["status"] == 201
        assert health(endpoint) == 200
    assert list(long.iterdir()) == []


@pytest.mark.integration
@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_listening_on_the_network_without_tls_logs_a_warning(
    home: Installation, data: Path, host: str, warns: bool
) -> None:
    arguments = ("serve", "--listen", f"{host}:0", "--workers", "1", "--data", data)
    with home.service(*arguments) as service:
        service.line_with(" serves ")
        assert any(f"--listen {host}:0 without TLS" in line for line in service.lines) == warns


@pytest.mark.integration
def test_an_expired_certificate_logs_a_warning(
    home: Installation, data: Path, authority: Authority
) -> None:
    old = authority.signed("old", days=-1)
    options = ("--certificate", old.path, "--key", old.key)
    with hosted_process(home, data, *options) as (service, _):
        assert "warning" in service.line_with("has expired: clients refuse it")
