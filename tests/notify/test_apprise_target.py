"""Targets of notifications: their addresses are checked, and never shown."""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path

import pytest

from snoopsync.config.secrets import Secret
from snoopsync.config.settings import Config, NotifyConfig
from snoopsync.core.errors import ConfigError
from snoopsync.notify.apprise_target import AppriseTarget, masked, targets_of
from snoopsync.notify.digest import Notification
from tests.notify.helpers import config
from tests.support.postbox import SECRETS, Postbox


@pytest.mark.parametrize(
    "url",
    ["nonsense://correct-horse/hook-4711-token", "correct-horse", "json://",
     "tgram://hook-4711-token", "mailto://ada:correct-horse@"],
)  # fmt: skip
def test_an_invalid_address_is_named_by_its_key(url: str) -> None:
    given = Config(notify=config("json://host", url), source=Path("/etc/snoopsync/config.yaml"))
    with pytest.raises(ConfigError) as caught:
        targets_of(given)
    [problem] = caught.value.problems
    assert problem.key == "notify.urls[1]"
    assert "is not an address that Apprise can use" in problem.message
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(secret in shown for secret in SECRETS)


def test_an_invalid_address_in_a_file_is_named_by_file_and_number() -> None:
    given = NotifyConfig((Secret("json://host"), Secret("nothing")), Path("/etc/urls"))
    with pytest.raises(ConfigError, match=r"address 2 of /etc/urls: is not an address"):
        targets_of(Config(notify=given))


@pytest.mark.parametrize("status", [401, 503, None])
def test_a_failure_does_not_quote_the_address(
    postbox: Postbox, caplog: pytest.LogCaptureFixture, status: int | None
) -> None:
    url = postbox.url if status else "json://ada:correct-horse@127.0.0.1:9/hook-4711-token"
    postbox.status = status or 200
    with caplog.at_level(logging.DEBUG, "snoopsync"):
        target = AppriseTarget("notify.urls[0]", Secret(url))
        said = target.send(Notification("title", "body", logging.ERROR, time.time()), time.time())
    assert said
    assert target.label == "notify.urls[0] (JSON)"
    shown = f"{said} {target.label} {target!r}"
    assert not any(secret in shown for secret in (*SECRETS, "127.0.0.1"))


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("no route to Host.Example", "no route to ***"),
        ("user ada with p@ss:word, that is p%40ss%3Aword", "user *** with ***, that is ***"),
        ("telegram said no", "telegram said no"),
        ("/bot12345:ABCDEF/send", "/***:***/send"),
    ],
)
def test_every_part_of_the_address_is_masked(said: str, left: str) -> None:
    url = Secret("telegram://ada:p%40ss%3Aword@host.example/bot12345:ABCDEF?a=b")
    assert masked(said, url) == left


class Broken(Exception):
    """Raised by a plugin."""


def test_a_broken_plugin_is_reported_without_its_message(
    postbox: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = AppriseTarget("notify.urls[0]", Secret(postbox.url))

    def breaks(*_: object, **__: object) -> None:
        raise Broken(postbox.url)

    monkeypatch.setattr("apprise.Apprise.notify", breaks)
    assert target.send(Notification("", "", None, 0.0), 0.0) == "Broken"
