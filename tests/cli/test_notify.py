"""Notifications as a user sees them: configured, tested, and sent by a real service."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.support.pictures import encode, photo
from tests.support.postbox import SECRETS, Postbox
from tests.support.process import QUICK_SYNC, Done, Installation, until

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def notify(*urls: str) -> str:
    return f"notify: {{urls: {json.dumps(urls)}}}\n"


def assert_hidden(*shown: str | Done) -> None:
    for text in shown:
        whole = f"{text.out}\n{text.err}" if isinstance(text, Done) else text
        assert not any(secret in whole for secret in SECRETS), whole


# The command.


def test_a_test_message_is_sent_to_every_target(home: Installation, postbox: Postbox) -> None:
    with Postbox() as other:
        home.configure(notify(postbox.url, other.url))
        done = home.run("notify", "test")
        assert done.out == "notify.urls[0] (JSON): sent\nnotify.urls[1] (JSON): sent\n"
        assert done.code == 0
        assert ": test" in postbox.titles[0]
        assert ": test" in other.titles[0]


def test_a_target_that_refuses_is_shown_with_the_reason(
    home: Installation, postbox: Postbox
) -> None:
    postbox.status = 401
    home.configure(notify(postbox.url))
    done = home.run("notify", "test")
    assert done.code == 5
    assert done.out.startswith("notify.urls[0] (JSON): failed: ")
    assert "error=401" in done.out
    [said] = home.json("notify", "test", "--json", code=5)
    assert said["target"] == "notify.urls[0] (JSON)"
    assert "error=401" in said["error"]
    assert_hidden(done, json.dumps(said))


def test_without_notifications_the_command_fails(home: Installation) -> None:
    home.configure()
    done = home.run("notify", "test")
    assert done.code == 2
    assert "notifications are not configured" in done.err


# The configuration.


def test_addresses_can_be_in_a_file(home: Installation, postbox: Postbox) -> None:
    file = home.home / "urls"
    file.write_text(f"# mine\n\n  {postbox.url}\n")
    file.chmod(0o600)
    home.configure(f"notify: {{urls_file: {file}}}\n")
    done = home.run("notify", "test")
    assert done.out == f"address 1 of {file} (JSON): sent\n"
    file.chmod(0o640)
    done = home.run("notify", "test")
    assert done.code == 78
    assert f"notify.urls_file: others can read {file}: chmod 600 {file}" in done.err


def test_a_configuration_with_addresses_must_be_private(
    home: Installation, postbox: Postbox
) -> None:
    path = home.configure(notify(postbox.url))
    path.chmod(0o644)
    done = home.run("status")
    assert done.code == 78
    assert f"notify.urls: others can read {path}: chmod 600 {path}" in done.err
    assert_hidden(done)


def test_an_invalid_address_is_a_configuration_error(home: Installation) -> None:
    home.configure(notify("json://host", "jsun://correct-horse@hook-4711-token"))
    done = home.run("run")
    assert done.code == 78
    assert "notify.urls[1]: is not an address that Apprise can use: " in done.err
    assert "jsun://***" in done.err
    assert_hidden(done)


def test_without_the_extra_the_error_has_the_command_that_installs_it(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    home.configure(notify("json://host"))
    done = home.run("run")
    assert done.code == 78
    assert "line 1: notify: needs apprise, which is not installed" in done.err
    assert "pip install 'snoopsync[notify]'" in done.err


def test_other_commands_do_not_load_apprise(home: Installation, postbox: Postbox) -> None:
    home.configure(notify(postbox.url))
    code = (
        "import sys; from snoopsync.cli.root import run_program;"
        "run_program(['status']); sys.exit('apprise' in sys.modules)"
    )
    home.run_process("resync")
    assert home.run_python(code).code == 0


# A service that sends notifications.


def test_duplicates_share_a_notification(home: Installation, postbox: Postbox) -> None:
    for number in range(3):
        for name in (f"{number}a.jpg", f"{number}b.jpg"):
            (home.pictures / name).write_bytes(encode(photo(number)))
    home.configure(QUICK_SYNC + notify(postbox.url))
    with home.running() as service:
        until(lambda: postbox.letters)
        [letter] = postbox.letters
        assert letter["title"].endswith(": 3 duplicates")
        assert "pictures/0a.jpg" in letter["message"]
        assert service.end() == 0


def test_the_log_level_does_not_limit_notifications(home: Installation, postbox: Postbox) -> None:
    for name in ("a.jpg", "b.jpg"):
        (home.pictures / name).write_bytes(encode(photo(1)))
    home.configure(QUICK_SYNC + notify(postbox.url) + "log: {level: error}\n")
    with home.service() as service:
        until(lambda: postbox.letters)
        assert service.end() == 0
        assert service.lines == []


def test_a_stopping_service_sends_its_queue_and_does_not_hang(
    home: Installation, postbox: Postbox
) -> None:
    for name in ("a.jpg", "b.jpg"):
        (home.pictures / name).write_bytes(encode(photo(1)))
    with Postbox() as hanging:
        hanging.is_open.clear()
        home.configure(QUICK_SYNC + notify(postbox.url, f"{hanging.url}?rto=300"))
        with home.service() as service:
            service.line_with("duplicate:")
            assert service.end(seconds=15.0) == 0
            assert postbox.titles
            assert "1 notification was not sent before the service stopped" in service.lines[-1]


def test_no_log_file_or_output_shows_an_address(home: Installation, postbox: Postbox) -> None:
    for name in ("a.jpg", "b.jpg"):
        (home.pictures / name).write_bytes(encode(photo(1)))
    postbox.status = 500
    path = home.configure(QUICK_SYNC + notify(postbox.url) + "log: {file: the.log}\n")
    with home.service("-vv", "run") as service:
        service.line_with("fail and will be retried")
        until(home.is_in_sync)
        arguments = Path(f"/proc/{service.pid}/cmdline").read_text()
        done = [home.run("-vv", *command) for command in (["status", "--json"], ["list", "--json"])]
        service.end()
        for file in home.home.rglob("*"):
            if file.is_file() and file != path:
                content = file.read_bytes()
                assert not any(secret.encode() in content for secret in SECRETS), file
    assert_hidden(arguments, *service.lines, *done)


def test_a_reload_changes_the_targets(home: Installation, postbox: Postbox) -> None:
    with Postbox() as other:
        path = home.configure(QUICK_SYNC + notify(postbox.url))
        with home.running() as service:
            home.configure(QUICK_SYNC + notify(other.url))
            begun = len(service.lines)
            service.send(signal.SIGHUP)
            service.line_with("configuration reloaded", after=begun)
            for name in ("a.jpg", "b.jpg"):
                (home.pictures / name).write_bytes(encode(photo(1)))
            until(lambda: other.letters)
            assert not postbox.letters
            path.write_text(path.read_text().replace("json:", "jsun:"))
            begun = len(service.lines)
            service.send(signal.SIGHUP)
            service.line_with("keeping the old one", after=begun)
            service.line_with("notify.urls[0]: is not an address", after=begun)
            (home.pictures / "c.jpg").write_bytes(encode(photo(1)))
            service.line_with("duplicate:", after=begun)
            service.end()
            assert len(other.letters) == 2
