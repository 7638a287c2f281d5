"""``init``: writes a private configuration, and never overwrites a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.helpers import secret_key_file, target, written
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.process import Installation, unconfigured, until
from tests.support.terminal import Terminal

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return unconfigured(tmp_path)


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
