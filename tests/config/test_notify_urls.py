"""The addresses for notifications, and the places that they are read from."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from snoopsync.config.file import load_config
from snoopsync.config.secrets import Secret, SecretNotReadable, secrets_from_credentials
from snoopsync.config.settings import NotifyConfig
from snoopsync.core.errors import ConfigError
from tests.config.helpers import FOLDERS, SECRET, Home, private


def test_notification_addresses_can_be_in_a_file(home: Home) -> None:
    urls = home.path / "urls"
    urls.write_text("# mine\n\n json://a \nntfy://b\n")
    urls.chmod(0o600)
    notify = home.load(f"{FOLDERS}notify: {{urls_file: urls}}").notify
    assert notify == NotifyConfig((Secret("json://a"), Secret("ntfy://b")), urls)


def test_addresses_can_be_a_systemd_credential(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert secrets_from_credentials(environ) == secrets_from_credentials({}) == ()
    path = private(tmp_path / "snoopsync-notify-urls", "\n", 0o440)
    assert secrets_from_credentials(environ) == ()
    path.chmod(0o600)
    path.write_text(f"# mine\n{SECRET}\nother\n")
    path.chmod(0o440)
    assert [each.reveal() for each in secrets_from_credentials(environ)] == [SECRET, "other"]


def test_addresses_in_an_unreadable_file_come_from_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private(tmp_path / "snoopsync-notify-urls", SECRET, 0o440)
    config = private(tmp_path / "config.yaml", "folders: [{path: a}]\nnotify: {urls_file: urls}\n")

    def barred(path: Path) -> NoReturn:
        raise SecretNotReadable(f"{path} can't be read: Permission denied")

    monkeypatch.setattr("snoopsync.config.secrets.secrets_from_file", barred)
    notify = load_config(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).notify
    assert notify is not None
    assert [each.reveal() for each in notify.urls] == [SECRET]
    with pytest.raises(ConfigError, match=r"line 2: notify.urls_file: .*Permission denied"):
        load_config(config, {})
    config.write_text("folders: [{path: a}]\nnotify:\n")
    notify = load_config(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).notify
    assert notify is not None
    assert [each.reveal() for each in notify.urls] == [SECRET]
