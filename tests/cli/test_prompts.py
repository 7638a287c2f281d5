"""The questions of ``init`` on a terminal."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from snoopsync.config.settings import default_owner
from tests.cli.helpers import secret_key_file, target, written
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.process import Installation, unconfigured
from tests.support.terminal import Terminal

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return unconfigured(tmp_path)


def test_a_terminal_is_asked_for_missing_settings(home: Installation) -> None:
    with Terminal(home, "init") as terminal:
        terminal.answer("Folder to mirror: ", "~/gone")
        terminal.expect("No such file or directory")
        terminal.answer("Folder to mirror: ", "~/pictures")
        terminal.expect("1 image in 1 directory")
        terminal.answer("Another folder (empty for none): ", "pictures/")
        terminal.expect("already in the list")
        (home.home / "link").symlink_to(home.pictures)
        terminal.answer("Another folder (empty for none): ", "link")
        terminal.expect("is the same folder as")
        (home.home / "more").mkdir()
        terminal.answer("Another folder (empty for none): ", "more")
        terminal.answer("Another folder (empty for none): ", "")
        terminal.answer("Collection [embedded]: ", "ftp://host")
        terminal.expect("invalid: must be")
        terminal.answer("Collection [embedded]: ", "")
        terminal.answer(f"Owner [{default_owner()}]: ", "")
        said = terminal.end()
        assert terminal.process.returncode == 0
    assert said.splitlines()[-4:] == [
        f"wrote {target(home)}",
        "next: snoopsync check",
        "then: snoopsync run",
        "or, to run it permanently: snoopsync service install",
    ]
    config = written(home)
    assert [folder.path for folder in config.folders] == [home.pictures, home.home / "more"]
    assert config.collection.embedded
    assert config.collection.owner == default_owner()


def test_an_existing_pictures_folder_is_the_default(home: Installation) -> None:
    (home.home / "Pictures").mkdir()
    with Terminal(home, "init", "--endpoint", "embedded", "--owner", "tests") as terminal:
        terminal.answer(f"Folder to mirror [{home.home}/Pictures]: ", "")
        terminal.answer("Another folder", "")
        terminal.end()
    assert [folder.path for folder in written(home).folders] == [home.home / "Pictures"]


def test_a_missing_folder_can_be_entered_again(home: Installation) -> None:
    arguments = ["--endpoint", "embedded", "--owner", "tests"]
    with Terminal(home, "init", *arguments, "pictures", "pctures") as terminal:
        terminal.expect("folder pctures: ")
        (home.home / "pctures").mkdir()
        terminal.answer("Another folder (empty for none): ", "pctures")
        terminal.answer("Another folder (empty for none): ", "")
        terminal.end()
    assert [folder.name for folder in written(home).folders] == ["pictures", "pctures"]


def test_keys_are_checked_at_once_and_the_secret_is_hidden(
    home: Installation, server: CollectionServer
) -> None:
    with Terminal(home, "init", "pictures") as terminal:
        terminal.answer("Collection [embedded]: ", server.endpoint)
        terminal.answer("Public key: ", PUBLIC_KEY)
        terminal.answer("Secret key (hidden): ", "a wrong one", hidden=True)
        terminal.expect("invalid: must be one word")
        terminal.answer("Secret key (hidden): ", "wrong", hidden=True)
        terminal.expect("refused: 401 the signature is wrong")
        terminal.answer("Use it anyway? [y/N]: ", "")
        terminal.answer("Public key: ", PUBLIC_KEY)
        terminal.answer("Secret key (hidden): ", SECRET_KEY, hidden=True)
        terminal.expect(f"accepted (collection embedded, user {server.collection.user})")
        terminal.answer("Owner", "tests")
        said = terminal.end()
    assert SECRET_KEY not in said
    assert f"wrote {secret_key_file(home)}" in said
    assert secret_key_file(home).read_text() == f"{SECRET_KEY}\n"
    assert SECRET_KEY not in target(home).read_text()
    collection = written(home).collection
    assert collection.secret_key_file == secret_key_file(home)
    assert collection.secret_key is not None
    assert collection.secret_key.reveal() == SECRET_KEY
    home.ok("resync")


def test_an_unreachable_service_can_be_accepted(home: Installation) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}/api/v1"
        with Terminal(
            home, "init", "--endpoint", endpoint, "--owner", "me", "pictures"
        ) as terminal:
            terminal.answer("Public key: ", PUBLIC_KEY)
            terminal.answer("Secret key", SECRET_KEY, hidden=True)
            terminal.expect("Connection refused")
            terminal.answer("Use it anyway? [y/N]: ", "n")
            terminal.answer(f"Collection [{endpoint}]: ", "")
            terminal.answer("Use it anyway? [y/N]: ", "y")
            terminal.end()
    assert written(home).collection.endpoint == endpoint


def test_another_endpoint_can_be_the_embedded_collection(home: Installation) -> None:
    arguments = ["--endpoint", "http://127.0.0.1:1/x", "--public-key", "a", "--owner", "me"]
    with Terminal(home, "init", *arguments, "pictures") as terminal:
        terminal.answer("Secret key", SECRET_KEY, hidden=True)
        terminal.answer("Use it anyway? [y/N]: ", "")
        terminal.answer("Collection", "embedded")
        terminal.end()
    assert written(home).collection.embedded
    assert not secret_key_file(home).exists()
