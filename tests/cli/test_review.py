"""The command ``review``: who may start it, what it prints, and how the browser is opened."""

from __future__ import annotations

import grp
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
import requests

from snoopsync.control.channel import socket_path
from tests.promises.test_other_users import AS_OTHER, given_away
from tests.support.page_client import PageClient
from tests.support.paths import ROOT
from tests.support.pictures import encode, photo
from tests.support.process import DEADLINE_SECONDS, Installation, command, until
from tests.support.reviewing import Reviewed
from tests.support.users import OTHER, THIRD, needs_root

#: A browser that notes its arguments and the file that it was given, and stays.
BROWSER = """#!/bin/sh
file=${{1#file://}}
cp "$file" "{seen}.part"
stat -c %a "$file" "$(dirname "$file")" > "{modes}"
mv "{seen}.part" "{seen}"
exec sleep 60
"""


@pytest.fixture
def home() -> Iterator[Installation]:
    """An installation of an ordinary user, with one picture. The page refuses root."""
    # Not tmp_path, which pytest closes to other users.
    with TemporaryDirectory(dir="/tmp") as directory:
        path = Path(directory, "home")
        path.mkdir()
        path.parent.chmod(0o755)
        home = Installation(path)
        (home.pictures / "a.jpg").write_bytes(encode(photo(1)))
        home.configure()
        if os.geteuid() == 0:
            tried = [*AS_OTHER, sys.executable, "-c", "import snoopsync.review.server"]
            if subprocess.run(tried, cwd=ROOT, capture_output=True, check=False).returncode:
                pytest.skip("other users can't run root's Python")
            given_away(path)
        yield home


def as_ordinary_user() -> Sequence[str]:
    return AS_OTHER if os.geteuid() == 0 else ()


@contextmanager
def page(
    home: Installation, *options: str, user: Sequence[str] | None = None, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """The command, as long as the ``with`` lasts."""
    under = as_ordinary_user() if user is None else user
    arguments = [*under, *command("review", "--listen", "127.0.0.1:0", *options)]
    process = subprocess.Popen(
        arguments,
        env=home.environment | environment,
        cwd=home.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    """The address that the command prints."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    found = re.fullmatch(
        r"Open this address in your browser within 60 seconds: "
        r"(http://127\.0\.0\.1:\d+/enter\?token=[\w-]{40,})",
        line,
    )
    assert found is not None, line
    return found[1]


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_an_address_that_can_be_entered_once_and_ends_with_a_signal(
    home: Installation, number: signal.Signals
) -> None:
    with page(home, "--no-browser") as process:
        entrance = address(process)
        with requests.Session() as browser:
            assert browser.get(entrance, timeout=DEADLINE_SECONDS).status_code == 200
            assert browser.get(entrance, timeout=DEADLINE_SECONDS).status_code == 401
        process.send_signal(number)
        _, err = process.communicate(timeout=DEADLINE_SECONDS)
        assert (process.returncode, err) == (0, "")


@pytest.mark.integration
def test_the_token_is_in_no_process_list_and_the_browser_gets_a_private_file(
    home: Installation,
) -> None:
    shared = home.home / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    seen, modes = shared / "seen", shared / "modes"
    browser = home.home / "browser"
    browser.write_text(BROWSER.format(seen=seen, modes=modes))
    browser.chmod(0o755)
    with page(home, BROWSER=f"{browser} %s &") as process:
        entrance = address(process)
        token = entrance.rpartition("=")[2]
        until(seen.exists)
        assert token in seen.read_text()
        assert modes.read_text().split() == ["600", "700"]
        for each in psutil.process_iter(["cmdline", "environ"]):
            assert token not in " ".join(each.info["cmdline"] or ())
            assert token not in str(each.info["environ"])
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()  # it holds the pipes


@pytest.mark.integration
def test_without_windows_no_browser_is_opened(home: Installation) -> None:
    with page(home) as process:
        address(process)
        assert psutil.Process(process.pid).children() == []


@pytest.mark.integration
def test_a_request_that_is_not_http_leaves_no_line_in_the_terminal(home: Installation) -> None:
    with page(home, "--no-browser") as process:
        entrance = address(process)
        port = int(entrance.partition("/enter")[0].rpartition(":")[2])
        for method in ("GET", "\x00\x01"):
            with socket.create_connection(("127.0.0.1", port), 10) as connection:
                connection.sendall(f"{method} / HTTP/1.1\r\n\r\n".encode())
                connection.recv(1000)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=DEADLINE_SECONDS)
        assert err == ""


@pytest.mark.integration
@needs_root
def test_a_member_of_the_configured_group_decides_beside_the_service_of_another_user(
    home: Installation,
) -> None:
    group = next(each for each in grp.getgrall() if each.gr_gid not in (0, os.getegid()))
    home.configure(
        f"control: {{group: {group.gr_name}}}\nstate: {home.state}\n"
        "sync: {settle: 50ms, delete_after: 0s}\n"
    ).chmod(0o644)
    (home.pictures / "a copy.jpg").write_bytes((home.pictures / "a.jpg").read_bytes())
    home.state.parent.mkdir(parents=True)
    for path in (home.home, *home.home.rglob("*")):
        os.chown(path, OTHER, group.gr_gid)
    home.state.parent.chmod(0o710)
    elsewhere = home.home.parent / "member"
    elsewhere.mkdir()
    os.chown(elsewhere, THIRD, THIRD)
    member = Installation(elsewhere)
    member.environment["SNOOPSYNC_CONFIG"] = str(home.home / "config/snoopsync/config.yaml")
    (elsewhere / "pictures").rmdir()
    service_user = ("setpriv", f"--reuid={OTHER}", f"--regid={group.gr_gid}", "--clear-groups")
    with home.service("run", under=[*service_user, *AS_OTHER[-2:]]) as service:
        service.line_with("sync complete")
        until(lambda: len(home.json("duplicates", "--json")) == 1)
        for groups, is_member in ((f"--groups={group.gr_gid}", True), ("--clear-groups", False)):
            user = ["setpriv", f"--reuid={THIRD}", f"--regid={THIRD}", groups, *AS_OTHER[-2:]]
            with page(member, "--no-browser", user=user) as process:
                if not is_member:
                    process.wait(DEADLINE_SECONDS)
                    assert process.stderr is not None
                    assert "Permission denied" in process.stderr.read()
                    continue
                entrance = address(process)
                client = PageClient(
                    Reviewed(int(entrance.partition("/enter")[0].rpartition(":")[2]), entrance)
                )
                [shown] = client.groups()
                assert client.get("/api/overview")["service"]["running"] is True
                assert client.decide("dismiss", [shown])["done"] == 1
                assert client.groups() == []
                assert client.send("GET", shown["images"][0]["picture"]).status_code == 200
                assert client.send("POST", "/api/search", data=b"picture").status_code == 403


def test_root_is_refused_with_the_user_to_run_it_as(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root is refused")
    home = Installation(tmp_path)
    home.configure()
    os.chown(home.pictures, OTHER, OTHER)
    done = home.run("review", "--no-browser")
    assert done.code == 2
    assert done.err.startswith("Error: the page does not run as root")
    assert f"sudo -u '#{OTHER}' snoopsync review" in done.err


def test_an_address_beyond_loopback_is_refused_with_the_tunnel_to_use(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    home.configure()
    for host in ("0.0.0.0", "192.0.2.1", "[::]", "example.org"):
        done = home.run("review", "--listen", f"{host}:8471")
        assert done.code == 2
        assert "ssh -L 8471:127.0.0.1:8471" in done.err


def test_a_name_that_is_not_a_host_is_refused(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    home.configure()
    for name in ("http://nas", "nas/", "", "nas:port", "*", "a b"):
        done = home.run("review", "--allow-host", name)
        assert done.code == 2
        assert "is not NAME or NAME:PORT" in done.err


def test_without_the_extra_the_command_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Installation(tmp_path)
    home.configure()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = home.run("review")
    assert done.code == 2
    assert "pip install 'snoopsync[review]'" in done.err


@pytest.mark.integration
def test_the_page_keeps_its_own_files_private(home: Installation) -> None:
    with page(home, "--no-browser") as process:
        address(process)
        directory = home.home / "state" / "snoopsync" / "review"
        [file] = directory.glob("*.sqlite3")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert not socket_path(home.state).exists()
