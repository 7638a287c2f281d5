"""``check``: its findings and fixes. It changes nothing."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from snoopsync.state.schema import STEPS
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import Fault, Reply, answers, reset_before
from tests.support.lesser import as_somebody_ordinary, with_watches
from tests.support.pictures import encode, photo
from tests.support.process import Installation

pytestmark = pytest.mark.integration

Findings = dict[str, dict[str, Any]]


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    (home.pictures / "2024").mkdir()
    for seed in range(3):
        (home.pictures / "2024" / f"{seed}.jpg").write_bytes(encode(photo(seed)))
    home.configure()
    return home


def found(home: Installation, *arguments: str | Path, code: int = 0) -> Findings:
    """The findings of ``check`` by the name of the check. ``code``: its exit code."""
    lines = home.json(*arguments, "check", "--json", code=code)
    assert all(list(line) == ["check", "state", "message", "mend"] for line in lines)
    return {line["check"]: line for line in lines}


def not_ok(findings: Findings) -> dict[str, str]:
    return {name: each["state"] for name, each in findings.items() if each["state"] != "ok"}


def everything_in(directory: Path) -> dict[str, object]:
    return {
        str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns, content_of(path))
        for path in (directory, *directory.rglob("*"))
    }


def content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


# When all is well.


def test_with_a_running_service_everything_is_ok(home: Installation) -> None:
    with home.running() as service:
        findings = found(home)
    assert not_ok(findings) == {}
    assert list(findings) == [
        "configuration",
        "folder pictures",
        "inotify watches",
        "inotify instances",
        "inotify queue",
        "state directory",
        "state file",
        "collection",
        "libraries",
        "extras",
        "decoders",
        "service",
    ]
    assert {each["mend"] for each in findings.values()} == {None}
    assert "3 images in 2 directories, by " in findings["folder pictures"]["message"]
    assert "2 directories to watch" in findings["inotify watches"]["message"]
    assert "sound, 3 images" in findings["state file"]["message"]
    assert "embedded, 3 images" in findings["collection"]["message"]
    assert f"process {service.pid}" in findings["service"]["message"]


def test_each_finding_is_a_line_with_its_fix_below(home: Installation) -> None:
    lines = home.ok("check").splitlines()
    assert lines[0] == (
        f"ok       configuration: {home.home}/config/snoopsync/config.yaml: 1 folder mirrored into"
        " the embedded collection"
    )
    assert lines[-2:] == [
        "warning  service: not running, so changes are not mirrored",
        "         snoopsync run, or permanently: snoopsync service install",
    ]
    for line in lines:
        assert re.match(r"(ok     |warning|error  )  [^:]+: |         \S", line), line


def test_before_the_first_run_nothing_is_wrong_or_created(home: Installation) -> None:
    before = everything_in(home.home)
    findings = found(home)
    assert not_ok(findings) == {"service": "warning"}
    assert "the first run creates it" in findings["state file"]["message"]
    assert "the first run creates it" in findings["collection"]["message"]
    assert everything_in(home.home) == before


def damage(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


@pytest.mark.parametrize(
    "harm",
    [
        lambda home: None,
        lambda home: damage(home.state),
        lambda home: damage(home.state.parent / "collection" / "collection.sqlite3"),
        lambda home: home.configure("nonsense: true\n"),
        lambda home: home.pictures.rename(home.home / "away"),
        lambda home: home.configure("log: {file: made/by/nobody.log}\n"),
    ],
    ids=["sound", "state", "collection", "configuration", "folder", "log"],
)
def test_check_changes_nothing(home: Installation, harm: Callable[[Installation], object]) -> None:
    home.ok("resync")
    harm(home)
    before = everything_in(home.home)
    home.run("check")
    assert everything_in(home.home) == before


def test_check_after_a_crash_does_not_change_the_state(home: Installation) -> None:
    with home.running() as service:
        service.kill()
    assert home.state.with_name(f"{home.state.name}-wal").exists()
    before = everything_in(home.state.parent)
    findings = found(home)
    assert not_ok(findings) == {"service": "warning"}
    after = everything_in(home.state.parent)
    for files in (before, after):
        # SQLite's index of a journal, which SQLite makes again when it opens the file.
        del files[str(home.state.parent / "collection" / "collection.sqlite3-shm")]
    assert after == before


# The configuration.


def test_every_problem_is_reported_and_the_rest_is_checked(home: Installation) -> None:
    path = home.configure(
        "collection: {endpoint: embedded, timeout: soon}\nsync: {workers: 1000}\n"
    )
    lines = home.json("check", "--json", code=78)
    problems = [line for line in lines if line["check"] == "configuration"]
    assert [line["state"] for line in problems] == ["error", "error"]
    assert problems[0]["message"].startswith("collection.timeout: must be ")
    assert problems[0]["mend"] == f"correct {path}, line 1"
    assert problems[1]["message"].startswith("sync.workers: must be ")
    assert problems[1]["mend"] == f"correct {path}, line 2"
    others = {line["check"]: line for line in lines if line["check"] != "configuration"}
    assert not_ok(others) == {"collection": "warning", "service": "warning"}
    assert "not checked" in others["collection"]["message"]
    assert "3 images in 2 directories" in others["folder pictures"]["message"]


def test_with_an_invalid_state_key_the_state_is_not_checked(home: Installation) -> None:
    home.ok("resync")
    damage(home.state)
    home.configure("state: [x]\n")
    findings = found(home, code=78)
    assert findings["state file"]["state"] == "warning"
    assert "not checked" in findings["state file"]["message"]
    assert "service" not in findings


@pytest.mark.parametrize("content", [b"folders: [", b"", b"\xff", b"- 1"])
def test_a_file_that_is_not_a_configuration_is_reported(home: Installation, content: bytes) -> None:
    home.configure().write_bytes(content)
    findings = found(home, code=78)
    assert findings["configuration"]["state"] == "error"
    assert "correct " in findings["configuration"]["mend"]
    assert not_ok(findings) == {"configuration": "error"} | dict.fromkeys(
        ("folders", "state file", "collection"), "warning"
    )


def test_a_missing_configuration_is_an_error(home: Installation) -> None:
    findings = found(home, "--config", "nowhere.yaml", code=78)
    assert findings["configuration"]["message"] == "nowhere.yaml: file not found"
    assert "snoopsync init" in findings["configuration"]["mend"]


def test_without_a_configuration_the_folders_of_an_earlier_run_are_checked(
    home: Installation,
) -> None:
    home.configure().unlink()
    findings = found(home, code=78)
    assert findings["configuration"]["mend"] == "snoopsync init"
    home.ok("resync", home.pictures)
    findings = found(home)
    assert "1 folder from an earlier run" in findings["configuration"]["message"]
    assert findings["folder pictures"]["state"] == "ok"


def test_a_log_that_cannot_be_written_is_an_error(home: Installation) -> None:
    (home.home / "file").touch()
    home.configure(f"log: {{file: {home.home}/file/x.log}}\nduplicates: {{log: {home.home}}}\n")
    findings = found(home, code=78)
    assert f"{home.home}/file is not a directory" in findings["log.file"]["message"]
    assert findings["log.file"]["state"] == "error"
    assert f"{home.home} is a directory" in findings["duplicates.log"]["message"]
    assert findings["duplicates.log"]["state"] == "warning"


# Folders.


def test_a_missing_folder_is_an_error(home: Installation) -> None:
    gone = home.home / "gone"
    home.configure("", f"folders: [{{path: {home.pictures}}}, {{path: {gone}}}]\n")
    findings = found(home, code=4)
    assert findings["folder gone"]["message"] == f"{gone}: No such file or directory"
    assert "mount its disk" in findings["folder gone"]["mend"]
    assert findings["folder pictures"]["state"] == "ok"


def test_a_replaced_folder_is_an_error(home: Installation) -> None:
    home.ok("resync")
    home.pictures.rename(home.home / "away")
    home.pictures.mkdir()
    finding = found(home, code=4)["folder pictures"]
    assert "not the same directory as before" in finding["message"]
    assert "snoopsync approve pictures" in finding["mend"]
    assert "gone for good" in finding["mend"]
    home.ok("approve", "pictures")
    assert found(home)["folder pictures"]["state"] == "ok"


@pytest.mark.parametrize("locked", ["2024", "2024/1.jpg", ""])
def test_unreadable_files_and_directories_are_an_error(home: Installation, locked: str) -> None:
    under = as_somebody_ordinary()
    path = home.pictures / locked
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        done = home.run_process("check", under=under)
    finally:
        path.chmod(mode)
    assert done.code == 4
    assert f"error    folder pictures: {path}: Permission denied" in done.out
    assert "         sudo setfacl -R -m u:" in done.out
    assert f":rX {home.pictures}\n" in done.out.replace("; or exclude it in the configuration", "")


def test_too_few_watches_are_an_error_with_both_commands(
    home: Installation,
) -> None:
    for number in range(20):
        (home.pictures / f"{number}").mkdir()
    done = home.run_process("check", under=with_watches(10))
    assert done.code == 1
    assert "error    inotify watches: 22 directories to watch, 10 allowed, 0 taken" in done.out
    name = "user.max_inotify_watches=524288"
    assert f"\n         sudo sysctl {name}\n" in done.out
    assert f"echo {name} | sudo tee -a /etc/sysctl.d/60-snoopsync.conf\n" in done.out


# The state file and the embedded collection.


def test_a_damaged_state_file_is_an_error_with_the_command_that_rebuilds_it(
    home: Installation,
) -> None:
    home.ok("resync")
    damage(home.state)
    finding = found(home, code=1)["state file"]
    assert f"{home.state} is damaged" in finding["message"]
    assert finding["mend"].startswith("run snoopsync resync")
    home.ok("resync")
    assert found(home)["state file"]["state"] == "ok"


def test_damage_inside_the_state_file_is_found(home: Installation) -> None:
    home.ok("resync")
    data = bytearray(home.state.read_bytes())
    at = data.index(b"2024")
    data[at : at + 4] = b"2025"
    home.state.write_bytes(data)
    assert found(home, code=1)["state file"]["state"] == "error"


def test_a_state_file_of_a_newer_version_is_an_error(home: Installation) -> None:
    home.ok("resync")
    with closing(sqlite3.connect(home.state)) as database:
        database.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    finding = found(home, code=78)["state file"]
    assert "newer snoopsync" in finding["message"]
    assert "upgrade" in finding["mend"]


def test_a_state_directory_that_cannot_be_created_is_an_error(home: Installation) -> None:
    home.state.parent.parent.mkdir()
    home.state.parent.touch()
    finding = found(home, code=1)["state directory"]
    assert f"{home.state.parent} is not a directory" in finding["message"]


@pytest.mark.parametrize(
    ("mode", "said", "file"),
    [
        (0o500, "this user has no write permission", "ok       state file: "),
        (0o600, "this user has no permission to look there", "error    state file: "),
    ],
)
def test_a_state_directory_that_cannot_be_used_is_an_error(
    home: Installation, mode: int, said: str, file: str
) -> None:
    under = as_somebody_ordinary()
    home.ok("resync")
    home.state.parent.chmod(mode)
    try:
        done = home.run_process("check", under=under)
    finally:
        home.state.parent.chmod(0o700)
    assert (done.code, done.err) == (1, "")
    assert f"error    state directory: {home.state.parent}: {said}\n" in done.out
    assert file in done.out


def collection_of(home: Installation) -> Path:
    return home.state.parent / "collection" / "collection.sqlite3"


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("harm", "said"),
    [(damage, "not a database"), (Path.unlink, "is missing"), (newer, "newer snoopsync")],
)
def test_an_embedded_collection_that_cannot_be_opened_is_an_error(
    home: Installation, harm: Callable[[Path], None], said: str
) -> None:
    home.ok("resync")
    harm(collection_of(home))
    finding = found(home, code=5)["collection"]
    assert said in finding["message"]
    assert finding["mend"]


@pytest.mark.parametrize(
    ("module", "program", "state", "said", "code"),
    [
        ("numpy", "raise ImportError('no such CPU')", "error", "ImportError: no such CPU", 1),
        ("numpy", "import os; os.abort()", "error", "it crashes Python", 1),
        ("pillow_heif", "import nonsense", "warning", "No module named 'nonsense'", 0),
    ],
)
def test_a_broken_library_is_reported_with_the_command_to_install_it(
    home: Installation, module: str, program: str, state: str, said: str, code: int
) -> None:
    package = module.replace("_", "-")
    broken = home.home / "broken"
    (broken / module).mkdir(parents=True)
    (broken / module / "__init__.py").write_text(program)
    home.environment["PYTHONPATH"] = f"{broken}:{home.environment['PYTHONPATH']}"
    done = home.run_process("check")
    assert done.code == code, done
    assert re.search(rf"^{state} +libraries: {package} can't be used: .*{said}", done.out, re.M)
    assert "         pip install 'snoopsync[embedded]'\n" in done.out


# A collection that is a service.


def test_accepted_keys_name_the_collection_and_user(
    home: Installation, server: CollectionServer
) -> None:
    secret = home.configure_keys(server.endpoint, PUBLIC_KEY, SECRET_KEY)
    findings = found(home)
    assert not_ok(findings) == {"service": "warning"}
    assert findings["secret key"]["message"].startswith(f"in {secret}, ")
    assert findings["clock"]["message"] == "agrees with the service's"
    assert "accepted (collection embedded, user " in findings["credentials"]["message"]
    assert [(seen.method, seen.path) for seen in server.requests] == [("GET", "/api/v1/collection")]


def test_a_secret_that_others_can_read_is_an_error_with_the_chmod(
    home: Installation, server: CollectionServer
) -> None:
    secret = home.configure_keys(server.endpoint, PUBLIC_KEY, SECRET_KEY)
    secret.chmod(0o644)
    findings = found(home, code=78)
    assert f"others can read {secret}" in findings["secret key"]["message"]
    assert findings["secret key"]["mend"] == f"chmod 600 '{secret}'"
    assert findings["configuration"]["state"] == "ok"
    assert not server.requests
    subprocess.run(shlex.split(findings["secret key"]["mend"]), check=True)
    assert not_ok(found(home)) == {"service": "warning"}


def test_refused_keys_are_an_error(home: Installation, server: CollectionServer) -> None:
    home.configure_keys(server.endpoint, PUBLIC_KEY, SECRET_KEY)
    server.keys = {PUBLIC_KEY: "another"}
    finding = found(home, code=6)["credentials"]
    assert finding["message"] == "refused: 401 the signature is wrong"
    assert "secret key" in finding["mend"]


@pytest.mark.parametrize("fault", [reset_before(), answers(503), answers(404), answers(200, b"hi")])
def test_an_invalid_response_is_an_error(
    home: Installation, server: CollectionServer, fault: Fault
) -> None:
    home.configure_keys(server.endpoint, PUBLIC_KEY, SECRET_KEY)
    server.fault_for = lambda _seen: fault
    findings = found(home, code=5)
    assert findings["collection"]["state"] == "error"
    assert "network" in findings["collection"]["mend"]
    assert "credentials" not in findings


def test_an_unreachable_service_is_an_error(home: Installation) -> None:
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        home.configure_service(f"http://127.0.0.1:{nobody.getsockname()[1]}/api/v1", PUBLIC_KEY)
        findings = found(home, code=5)
    assert findings["secret key"]["message"] == "in $SNOOPSYNC_SECRET_KEY"
    assert "Connection refused" in findings["collection"]["message"]
    assert "clock" not in findings


def dated(seconds: float) -> Fault:
    """A normal response of a service whose clock is ahead by this much."""

    def fault(do: Callable[[], Reply]) -> Reply:
        reply = do()
        return Reply(
            reply.status, reply.body, {"Date": formatdate(time.time() + seconds, usegmt=True)}
        )

    return fault


@pytest.mark.parametrize(
    ("seconds", "state", "said", "code"),
    [
        (2, "ok", "agrees with the service's", 0),
        (60, "warning", "s behind the service's", 0),
        (-60, "warning", "s ahead of the service's", 0),
        (800, "warning", "s behind the service's", 0),
        (1000, "error", "rejects signatures", 6),
        (-1000, "error", "rejects signatures", 6),
    ],
)
def test_a_clock_difference_is_a_warning_and_a_large_one_an_error(
    home: Installation, server: CollectionServer, seconds: float, state: str, said: str, code: int
) -> None:
    home.configure_keys(server.endpoint, PUBLIC_KEY, SECRET_KEY)
    server.fault_for = lambda _seen: dated(seconds)
    finding = found(home, code=code)["clock"]
    assert finding["state"] == state
    assert said in finding["message"]
    assert (finding["mend"] is None) == (state == "ok")


def test_refused_keys_with_a_wrong_clock_name_the_clock(
    home: Installation, server: CollectionServer
) -> None:
    home.configure_keys(server.endpoint, PUBLIC_KEY, SECRET_KEY)
    server.keys = {PUBLIC_KEY: "another"}
    server.fault_for = lambda _seen: dated(3600)
    findings = found(home, code=6)
    assert findings["clock"]["state"] == "error"
    assert findings["credentials"]["mend"] == "set the clock first"


# The service.


def test_a_service_that_hangs_is_an_error(home: Installation) -> None:
    with home.running() as service:
        service.send(signal.SIGSTOP)
        try:
            finding = found(home, code=7)["service"]
        finally:
            service.send(signal.SIGCONT)
    assert f"process {service.pid}), but does not respond" in finding["message"]
    assert finding["mend"]


def test_an_interpreter_that_the_user_may_not_run_is_an_error_with_a_fix(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = home.home / "python3"
    python.write_bytes(b"")
    python.chmod(0o644)
    monkeypatch.setattr(sys, "executable", str(python))
    done = home.run("check")
    assert done.code == 1
    assert f"error    decoders: this user may not run {python}" in done.out
    assert "/opt/snoopsync" in done.out
    # The checks after it still run.
    assert "  service: " in done.out
