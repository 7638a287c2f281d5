"""``init``: asks on a terminal, checks the answers, and never overwrites a file."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from snoopsync.config.file import load_config
from snoopsync.config.settings import Config, default_owner
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.process import Installation, until
from tests.support.terminal import Terminal

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    home.add_pictures(1)
    return home


def target(home: Installation) -> Path:
    return home.home / "config" / "snoopsync" / "config.yaml"


def secret_key_file(home: Installation) -> Path:
    return target(home).with_name("secret-key")


def written(home: Installation) -> Config:
    """The written configuration. Checks that it is valid and private."""
    for path in target(home).parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(target(home).parent.stat().st_mode) == 0o700
    return load_config(target(home), {})


# Where nobody can be asked.


def test_init_writes_a_usable_configuration_and_never_overwrites(home: Installation) -> None:
    before = os.umask(0)
    try:
        said = home.ok("init", home.pictures)
    finally:
        os.umask(before)
    assert said.splitlines() == [
        f"wrote {target(home)}",
        "next: snoopsync check",
        "then: snoopsync run",
        "or, to run it permanently: snoopsync service install",
    ]
    assert written(home).folders[0].path == home.pictures
    text = target(home).read_text()
    done = home.run("init", home.home)
    assert done.code == 2
    assert "already exists and was not changed" in done.err
    assert target(home).read_text() == text
    with home.running():
        until(home.is_in_sync)


def test_init_prints_what_to_do_first(home: Installation) -> None:
    path = home.home / "a b.yaml"
    arguments = ["--endpoint", "https://example.org/api/v1", f"{home.home}/gone"]
    said = home.ok("--config", path, "init", *arguments).splitlines()
    todo = [line for line in said if line.startswith("to do first: ")]
    assert len(todo) == 3
    assert "collection.public_key" in todo[0]
    assert "collection.secret_key" in todo[1]
    assert todo[2] == f"to do first: {home.home}/gone: folder not found"
    assert f"then: snoopsync --config '{path}' run" in said


def test_all_settings_of_a_service_can_be_options(
    home: Installation, server: CollectionServer
) -> None:
    secret = home.home / "key"
    secret.write_text(SECRET_KEY)
    secret.chmod(0o600)
    keys = ["--endpoint", server.endpoint, "--public-key", PUBLIC_KEY, "--secret-key-file", "key"]
    said = home.ok("init", *keys, "--owner", "studio", home.pictures)
    assert "to do first" not in said
    collection = written(home).collection
    assert (collection.endpoint, collection.public_key) == (server.endpoint, PUBLIC_KEY)
    assert (collection.secret_key_file, collection.owner) == (secret, "studio")
    assert not server.requests
    home.ok("resync")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--endpoint", "htp://host", "must be"),
        ("--public-key", "a:b", "one word"),
        ("--owner", "Studio", "a-z"),
    ],
)
def test_invalid_options_are_refused_and_nothing_is_written(
    home: Installation, option: str, value: str, said: str
) -> None:
    done = home.run("init", option, value, home.pictures)
    assert done.code == 2
    assert option in done.err
    assert said in done.err
    assert not target(home).parent.parent.exists()


@pytest.mark.parametrize("taken", ["a file", "a link to nowhere"])
def test_an_existing_file_is_not_overwritten(home: Installation, taken: str) -> None:
    path = home.home / "x.yaml"
    if taken == "a file":
        path.write_text("mine")
    else:
        path.symlink_to(home.home / "elsewhere")
    done = home.run("init", "--output", path, home.pictures)
    assert done.code == 2
    assert f"{path} already exists" in done.err
    assert not (home.home / "elsewhere").exists()


def test_a_directory_that_cannot_be_created_is_an_error(home: Installation) -> None:
    (home.home / "file").touch()
    done = home.run("init", "--output", home.home / "file" / "x" / "c.yaml", home.pictures)
    assert done.code == 2
    assert "Not a directory" in done.err


# On a terminal.


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
        terminal.expect(f"accepted, for the collection embedded of {server.collection.user}")
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


def test_an_existing_secret_key_file_is_kept(home: Installation, server: CollectionServer) -> None:
    secret_key_file(home).parent.mkdir(parents=True)
    secret_key_file(home).write_text("of something else")
    arguments = ["--endpoint", server.endpoint, "--public-key", PUBLIC_KEY, "pictures"]
    with Terminal(home, "init", *arguments) as terminal:
        said = terminal.end()
        assert terminal.process.returncode == 2
    assert "already exists: move it away" in said
    assert secret_key_file(home).read_text() == "of something else"
    assert not target(home).exists()


def test_an_existing_configuration_is_reported_before_any_question(
    home: Installation,
) -> None:
    home.configure()
    with Terminal(home, "init") as terminal:
        assert "already exists" in terminal.end()
        assert terminal.process.returncode == 2


def test_no_input_asks_nothing(home: Installation) -> None:
    with Terminal(home, "init", "--no-input", "pictures") as terminal:
        assert "wrote " in terminal.end()
        assert terminal.process.returncode == 0
    assert written(home).collection.embedded


@pytest.mark.parametrize("at", ["folder", "secret", "owner"])
@pytest.mark.parametrize("keys", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_an_interrupted_init_leaves_no_files(
    home: Installation, server: CollectionServer, at: str, keys: str
) -> None:
    before = set(home.home.rglob("*"))
    with Terminal(home, "init") as terminal:
        terminal.expect("Folder to mirror: ")
        if at != "folder":
            terminal.answer("Folder to mirror: ", "pictures")
            terminal.answer("Another folder", "")
            terminal.answer("Collection", server.endpoint)
            terminal.answer("Public key", PUBLIC_KEY)
            terminal.expect("Secret key")
            terminal.wait_until_hidden()
        if at == "owner":
            terminal.answer("Secret key", SECRET_KEY, hidden=True)
            terminal.expect("Owner")
        said = terminal.leave(keys)
        assert terminal.process.returncode == 130
    assert "Traceback" not in said
    assert {path for path in home.home.rglob("*") if "remote" not in path.name} == {
        path for path in before if "remote" not in path.name
    }


def test_without_a_configuration_the_secret_is_not_left(
    home: Installation, server: CollectionServer
) -> None:
    path = home.home / "new" / "newer" / "c.yaml"
    arguments = ["--endpoint", server.endpoint, "--public-key", PUBLIC_KEY, "--owner", "me"]
    with Terminal(home, "init", *arguments, "--output", str(path), "pictures") as terminal:
        terminal.expect("Secret key")
        # Somebody else was quicker: the place was free when it was looked at.
        path.parent.mkdir(parents=True)
        path.write_text("mine")
        terminal.answer("Secret key", SECRET_KEY, hidden=True)
        assert "already exists" in terminal.end()
        assert terminal.process.returncode == 2
    assert [each.name for each in path.parent.iterdir()] == ["c.yaml"]
    assert path.read_text() == "mine"
