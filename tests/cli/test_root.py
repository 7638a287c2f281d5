"""Exit codes of errors. With ``--json`` an error is a JSON object on standard error."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from snoopsync.core.exits import Exit
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY
from tests.support.process import Installation, unconfigured


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return unconfigured(tmp_path)


def error_of(home: Installation, *arguments: str) -> tuple[str, int]:
    """The error of a command. Checks that standard output is empty and the exit codes agree."""
    done = home.run(*arguments)
    error = json.loads(done.err.splitlines()[-1])
    assert list(error) == ["error", "exit_code"]
    assert (done.out, done.code) == ("", error["exit_code"])
    return error["error"], error["exit_code"]


COMMANDS = [
    ["resync", "--json"],
    ["status", "--json"],
    ["list", "--json"],
    ["duplicates", "--json"],
    ["search", "--json", "pictures/a.jpg"],
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_reports_an_error_of_the_configuration(
    home: Installation, command: list[str]
) -> None:
    home.configure("sync: {settle: soon}\n")
    message, code = error_of(home, *command)
    assert "sync.settle" in message
    assert code == Exit.CONFIG


@pytest.mark.parametrize("command", [*COMMANDS, ["keys", "list", "--json"]])
def test_every_command_reports_an_unknown_option_as_wrong_usage(
    home: Installation, command: list[str]
) -> None:
    message, code = error_of(home, *command, "--nonsense")
    assert "--nonsense" in message
    assert code == Exit.USAGE


@pytest.mark.parametrize("command", [each for each in COMMANDS if each[0] != "resync"])
def test_every_command_reports_a_file_that_is_not_a_state_file(
    home: Installation, command: list[str]
) -> None:
    home.configure()
    home.state.parent.mkdir(parents=True)
    home.state.write_bytes(b"no database" * 1000)
    if command[0] == "search":
        home.run("search", "pictures/a.jpg")  # makes the collection
    message, _ = error_of(home, *command)
    assert "is damaged" in message


def test_an_error_of_the_collection_has_its_exit_code(home: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    home.configure_service(f"http://127.0.0.1:{port}/api/v1", PUBLIC_KEY)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    done = home.run("resync", "--json", "--wait", "100ms")
    error = json.loads(done.err.splitlines()[-1])
    assert error["exit_code"] == done.code == Exit.UNREACHABLE
    assert "refused" in error["error"]
    assert json.loads(done.out)["scanned"] == 1, "the summary is there all the same"


def test_a_file_after_two_dashes_is_not_an_option(home: Installation) -> None:
    done = home.run("search", "--", "--json")
    assert done.code == Exit.USAGE
    assert not done.err.startswith("{")
