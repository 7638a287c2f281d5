"""The environment of the service: temporary directories, certificates, networks."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from snoopsync.client.collection import Collection
from snoopsync.core.errors import Unavailable
from snoopsync.server.certificate import certificate_warning
from tests.support.authority import Authority
from tests.support.hosted import hosted, hosted_process, lives
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until

pytestmark = pytest.mark.integration

PICTURE = encode(photo(1))


def client(home: Installation, data: Path, endpoint: str) -> Collection:
    [keys] = home.json("keys", "add", "a", "--data", data, "--json")
    return Collection(keys["public_key"], keys["secret_key"], endpoint)


def health(endpoint: str) -> int:
    return requests.get(f"{endpoint.removesuffix('/api/v1')}/healthz", timeout=20.0).status_code


def test_pictures_are_decoded_with_a_long_temporary_directory(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    long = tmp_path / ("t" * 100)
    long.mkdir()
    with (
        hosted_process(home, data, TMPDIR=str(long)) as (_, endpoint),
        client(home, data, endpoint) as collection,
    ):
        assert collection.add_image(PICTURE, "a")["status"] == 201
        assert health(endpoint) == 200
    assert list(long.iterdir()) == []


def test_it_is_unhealthy_and_logs_why_while_it_can_not_decode(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with hosted(data) as service, service.client("a") as collection:
        collection.add_image(PICTURE, "a")
        zygote = psutil.Process(service.decoders.zygote_id)
        killed = [zygote, *zygote.children()]
        with monkeypatch.context() as patch:
            for each in killed:
                each.kill()
            until(lambda: not any(lives(each) for each in killed))
            patch.setattr(sys, "executable", "/nowhere/python")
            with pytest.raises(Unavailable):
                collection.add_image(PICTURE, "b")
            assert health(service.endpoint) == 503
        assert "the decoder processes cannot be started" in caplog.text
        assert "No such file or directory" in caplog.text
        assert health(service.endpoint) == 200
        assert collection.add_image(PICTURE, "c")["status"] == 201


@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_listening_on_the_network_without_tls_logs_a_warning(
    home: Installation, data: Path, host: str, warns: bool
) -> None:
    arguments = ("serve", "--listen", f"{host}:0", "--workers", "1", "--data", data)
    with home.service(*arguments) as service:
        service.line_with(" serves ")
        assert any(f"--listen {host}:0 without TLS" in line for line in service.lines) == warns


def test_an_expired_certificate_logs_a_warning(
    home: Installation, data: Path, authority: Authority
) -> None:
    old = authority.signed("old", days=-1)
    options = ("--certificate", old.path, "--key", old.key)
    with hosted_process(home, data, *options) as (service, _):
        assert "warning" in service.line_with("has expired: clients refuse it")


def test_a_certificate_that_expires_soon_is_reported(authority: Authority) -> None:
    now = time.time()
    for days, said in [(-1, "has expired"), (10, "expires on"), (30, None)]:
        made = authority.signed(f"days{days}", days=days)
        warning = certificate_warning(made.server_context(), made.path, now)
        assert (warning is None) if said is None else (said in str(warning)), (days, warning)
    own = authority.self_signed("own")
    assert "expires on" in str(certificate_warning(own.server_context(), own.path, now))
