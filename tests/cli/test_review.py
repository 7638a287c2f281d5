"""The command ``review``: who may start it, what it prints, and how the browser is opened."""

from __future__ import annotations

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
from tests.support.paths import ROOT
from tests.support.pictures import encode, photo
from tests.support.process import DEADLINE_SECONDS, Installation, command, until
from tests.support.users import OTHER

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
def page(home: Installation, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command, as long as the ``with`` lasts."""
    arguments = [*as_ordinary_user(), *command("review", "--listen", "127.0.0.1:0", *options)]
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
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/enter\?token=[\w-]{40,}", line), line
    return line


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


def test_root_is_refused_with_the_user_to_run_it_as(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root is refused")
    home = Installation(tmp_path)
    home.configure()
    os.chown(home.pictures, OTHER, OTHER)
    done = home.run("review", "--no-browser")
    assert done.code == 2
    assert f"sudo -u '#{OTHER}' snoopsync review" in done.err


def test_an_address_beyond_loopback_is_refused_with_the_tunnel_to_use(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    home.configure()
    for host in ("0.0.0.0", "192.0.2.1", "[::]", "example.org"):
        done = home.run("review", "--listen", f"{host}:8471")
        assert done.code == 2
        assert "ssh -L 8471:127.0.0.1:8471" in done.err


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
