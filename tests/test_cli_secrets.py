"""The secret key shows nowhere, whatever goes right or wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.embedded import EmbeddedCollection
from tests.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.faults import answers
from tests.pictures import encode, photo
from tests.process import QUICK_SYNC, Done, Installation, until


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    (home.pictures / "0.jpg").write_bytes(encode(photo(0)))
    return home


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CollectionServer]:
    with (
        closing(EmbeddedCollection(tmp_path / "remote.sqlite3")) as inner,
        CollectionServer(inner) as server,
    ):
        yield server


def configure(home: Installation, server: CollectionServer) -> Path:
    path = home.home / "secret"
    path.write_text(SECRET_KEY)
    path.chmod(0o600)
    home.configure(
        f"collection: {{endpoint: '{server.endpoint}', public_key: {PUBLIC_KEY}, owner: tests,"
        f" secret_key_file: {path}}}\n{QUICK_SYNC}"
    )
    return path


def assert_hidden(*texts: str | Done) -> None:
    for text in texts:
        shown = f"{text.out}\n{text.err}" if isinstance(text, Done) else text
        assert SECRET_KEY not in shown
        assert "VSHMAC" not in shown


@pytest.mark.parametrize("status", [200, 401, 404, 503])
@pytest.mark.parametrize("log_format", ["text", "json", "journal"])
def test_no_command_shows_it(
    home: Installation, server: CollectionServer, status: int, log_format: str
) -> None:
    configure(home, server)
    if status != 200:
        body = f"refused: {PUBLIC_KEY}".encode()
        server.fault_for = lambda _seen: answers(status, body)
    for arguments in (
        ["-vv", "--log-format", log_format, "resync", "--wait", "100ms"],
        ["-vv", "--log-format", log_format, "resync", "--dry-run", "--json", "--wait", "100ms"],
        ["status"],
        ["status", "--json"],
        ["list", "--json"],
    ):
        assert_hidden(home.run(*arguments))


@pytest.mark.parametrize("log_format", ["text", "json", "journal"])
def test_the_service_shows_it_neither_in_its_log_nor_in_its_files(
    home: Installation, server: CollectionServer, log_format: str
) -> None:
    secret = configure(home, server)
    with home.service("-vv", "--log-format", log_format, "run") as service:
        service.line_with("in order:")
        until(home.is_in_sync)
        arguments = Path(f"/proc/{service.pid}/cmdline").read_bytes()
        environment = Path(f"/proc/{service.pid}/environ").read_bytes()
        for file in home.home.rglob("*"):
            if file.is_file() and file != secret:
                assert SECRET_KEY.encode() not in file.read_bytes(), file
    assert SECRET_KEY.encode() not in arguments + environment
    assert_hidden(*service.lines)


def test_a_bug_shows_it_in_no_traceback(
    home: Installation, server: CollectionServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, server)

    def bug(*arguments: object, **options: object) -> None:
        raise RuntimeError(f"unexpected: {arguments} {options}")

    monkeypatch.setattr("snoopsync.cli.mirroring.opened_collection", bug)
    done = home.run("resync")
    assert done.code == 1
    assert "this is a bug in snoopsync" in done.err
    assert "RuntimeError" in done.err
    assert_hidden(done)


def test_a_secret_that_others_can_read_is_refused_with_what_mends_it(
    home: Installation, server: CollectionServer
) -> None:
    secret = configure(home, server)
    secret.chmod(0o640)
    done = home.run("resync")
    assert done.code == 78
    assert f"chmod 600 {secret}" in done.err
    assert_hidden(done)
    assert not server.requests
