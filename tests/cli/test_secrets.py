"""The secret key is never shown."""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from snoopsync.cli.root import program
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import answers
from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Done, Installation, until


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    home.add_pictures(1)
    return home


def configure(home: Installation, server: CollectionServer, where: str = "file") -> Path:
    """A service's configuration, and its secret in one of the places that it may be in; the file
    that has it, if one has."""
    path = home.home / "snoopsync-secret-key"
    keys = f"endpoint: '{server.endpoint}', public_key: {PUBLIC_KEY}, owner: tests"
    match where:
        case "environment":
            home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
        case "configuration":
            keys += f", secret_key: {SECRET_KEY}"
        case "credential":
            home.environment["CREDENTIALS_DIRECTORY"] = str(home.home)
        case _:
            keys += f", secret_key_file: {path}"
    if where in ("file", "credential"):
        path.write_text(SECRET_KEY)
        path.chmod(0o600)
    log = f"log: {{file: '{home.home / 'snoopsync.log'}'}}\n"
    config = home.configure(f"collection: {{{keys}}}\n{QUICK_SYNC}{log}")
    return config if where == "configuration" else path


def assert_hidden(*texts: str | Done) -> None:
    for text in texts:
        shown = f"{text.out}\n{text.err}" if isinstance(text, Done) else text
        assert SECRET_KEY not in shown
        assert "VSHMAC" not in shown


@pytest.mark.parametrize("status", [200, 401, 404, 503])
@pytest.mark.parametrize("log_format", ["text", "json", "journal"])
def test_no_command_shows_the_secret(
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


@pytest.mark.integration
@pytest.mark.parametrize(
    ("where", "log_format"),
    [
        ("file", "text"),
        ("configuration", "json"),
        ("credential", "journal"),
        ("environment", "text"),
    ],
)
def test_the_service_shows_the_secret_in_no_log_or_file(
    home: Installation, server: CollectionServer, where: str, log_format: str
) -> None:
    secret = configure(home, server, where)
    with home.service("-vv", "--log-format", log_format, "run") as service:
        service.line_with("sync complete")
        until(home.is_in_sync)
        process = Path(f"/proc/{service.pid}")
        assert SECRET_KEY.encode() not in (process / "cmdline").read_bytes()
        shown = SECRET_KEY.encode() in (process / "environ").read_bytes()
        assert shown == (where == "environment"), "which only the service's user can read"
        server.keys.clear()
        (home.pictures / "1.jpg").write_bytes(encode(photo(1)))
        service.line_with("nothing can be sent now: 401")
        # So that the state file's journal stays as well.
        service.send(signal.SIGKILL)
        service.wait()
    assert_hidden(*service.lines)
    files = [file for file in home.home.rglob("*") if file.is_file() and file != secret]
    assert {"state.sqlite3", "state.sqlite3-wal", "snoopsync.log"} <= {file.name for file in files}
    assert [file for file in files if SECRET_KEY.encode() in file.read_bytes()] == []


@pytest.mark.parametrize(
    ("at", "command"),
    [
        ("snoopsync.cli.sync.opened_collection", "resync"),
        ("snoopsync.client.signing.Signer.headers", "resync"),
        ("snoopsync.client.connections.HTTPAdapter.send", "run"),
        ("snoopsync.sync.engine.SyncEngine.step", "run"),
    ],
)
def test_no_traceback_shows_the_secret(
    home: Installation,
    server: CollectionServer,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
    command: str,
) -> None:
    configure(home, server)

    def bug(*arguments: object, **options: object) -> None:
        raise RuntimeError(f"unexpected: {arguments} {options}")

    monkeypatch.setattr(at, bug)
    done = home.run("-vv", command)
    assert done.code == 1
    assert "this is a bug in snoopsync" in done.err
    assert "RuntimeError" in done.err
    assert_hidden(done, (home.home / "snoopsync.log").read_text())


def test_no_option_takes_the_secret() -> None:
    options = {
        option
        for command in program.commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    assert {"--public-key", "--secret-key-file"} <= options  # which is a path
    assert not [option for option in options - {"--secret-key-file"} if "secret" in option]


@pytest.mark.parametrize("command", ["run", "resync", "status", "list"])
@pytest.mark.parametrize("where", ["file", "configuration"])
def test_an_exposed_secret_is_refused_with_the_fix(
    home: Installation, server: CollectionServer, where: str, command: str
) -> None:
    secret = configure(home, server, where)
    secret.chmod(0o640)
    done = home.run(command)
    assert done.code == 78
    [mends] = [line for line in done.err.splitlines() if "chmod" in line]
    subprocess.run(shlex.split(mends[mends.index("chmod") :]), check=True)
    assert_hidden(done)
    assert not server.requests
    assert home.run("resync").code == 0
