"""The output for people, with and without a terminal."""

from __future__ import annotations

import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import click
import pytest

from snoopsync.cli.dismissals import dismiss, restore
from snoopsync.cli.root import program
from snoopsync.version import __version__
from tests.support.pictures import encode, photo
from tests.support.process import DEADLINE_SECONDS, Installation, command
from tests.support.terminal import ANSI, LINK, Terminal, seen

pytestmark = pytest.mark.integration


def test_a_full_disk_behind_the_output_is_reported(home: Installation) -> None:
    home.ok("resync")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("status", "--json"),
            env=home.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=DEADLINE_SECONDS,
        )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def commands() -> list[list[str]]:
    names = [[name] for name in program.commands]
    return [*names, ["duplicates", "dismiss"], ["duplicates", "restore"], []]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_has_help(home: Installation, arguments: list[str]) -> None:
    done = home.run(*arguments, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: snoopsync {' '.join(arguments)}".rstrip())


def test_an_option_that_does_nothing_is_accepted_and_not_in_the_help(home: Installation) -> None:
    home.ok("resync")
    for arguments in (["duplicates"], ["search", "pictures/0.jpg"]):
        assert home.ok(*arguments, "--details") == home.ok(*arguments)
        assert "--details" not in home.run(*arguments, "--help").out


def test_every_option_has_help() -> None:
    for each in (program, dismiss, restore, *program.commands.values()):
        assert each.help
        for option in each.params:
            assert not isinstance(option, click.Option) or option.help, (each.name, option.name)


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_help_fits_into_80_columns(home: Installation, arguments: list[str]) -> None:
    said = home.run(*arguments, "--help").out
    assert max(map(len, said.splitlines())) <= 80
    # Nothing is cut off in the list of commands.
    assert not re.search(r"[^ \]]\.\.\.$", said, re.MULTILINE)


def test_the_module_prints_the_version(home: Installation) -> None:
    assert home.run_process("--version").out == f"snoopsync, version {__version__}\n"


@pytest.mark.parametrize("arguments", ["list", "list --json", "status", "status --json", "--help"])
def test_a_broken_pipe_is_not_an_error(home: Installation, arguments: str) -> None:
    home.ok("resync")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as pipe:
        done = subprocess.run(
            command(*arguments.split()),
            env=home.environment,
            stdout=pipe,
            stderr=subprocess.PIPE,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_a_terminal_output_has_no_colours(home: Installation) -> None:
    outputs = [home.run_process(each) for each in ("resync", "status", "list", "check")]
    for done in outputs:
        assert done.code == 0
        assert not ANSI.search(done.out + done.err)
        assert "\r" not in done.out + done.err
    assert outputs[2].out.splitlines()[0].split("\t")[-1] == "pictures/0.jpg"


def test_a_character_missing_in_the_encoding_does_not_end_a_list(home: Installation) -> None:
    (home.pictures / "été.jpg").write_bytes(encode(photo(5)))
    home.ok("resync")
    home.environment["PYTHONIOENCODING"] = "ascii"
    done = home.run_process("list")
    assert done.code == 0
    assert "\\xe9t\\xe9.jpg" in done.out


def test_a_terminal_gets_aligned_tables(home: Installation) -> None:
    home.ok("resync")
    terminal = Terminal(home, "list")
    text = terminal.end()
    assert ANSI.search(text)
    title, *rows = seen(text).splitlines()
    assert title.split() == ["state", "size", "ID", "image"]
    assert {row.index("pictures/") for row in rows} == {title.index("image")}
    home.environment["NO_COLOR"] = "1"
    assert not ANSI.search(Terminal(home, "list").end())


@pytest.mark.parametrize("arguments", ["duplicates", "duplicates --pairs", "search pictures/0.jpg"])
def test_a_kind_is_in_words_on_a_terminal_and_as_in_json_elsewhere(
    home: Installation, arguments: str
) -> None:
    (home.pictures / "again.jpg").write_bytes(encode(photo(0), quality=60))
    home.ok("resync")
    shown = seen(Terminal(home, *arguments.split()).end())
    assert "re-encoded" in shown and "reencoded" not in shown
    cells = re.split(r"[\t\n]", home.ok(*arguments.split()))
    assert "reencoded" in cells and "re-encoded" not in cells


def test_a_terminal_gets_coloured_severities(home: Installation) -> None:
    lines = Terminal(home, "check").end().splitlines()
    assert lines[0].startswith("\x1b[32mok     \x1b[0m  configuration: ")
    assert "\x1b[33mwarning\x1b[0m  service: not running" in "\n".join(lines)
    home.environment["NO_COLOR"] = "1"
    assert not ANSI.search(Terminal(home, "check").end())


def test_a_narrow_terminal_gets_paths_without_ids(home: Installation) -> None:
    home.ok("resync")
    [first, *_] = home.json("list", "--json")
    narrow = seen(Terminal(home, "list", columns=60).end()).splitlines()
    assert narrow[0].split() == ["state", "size", "image"]
    assert narrow[1].split() == ["synced", "7.0", "kB", "pictures/0.jpg"]
    assert first["image_id"] not in "".join(narrow)


ODD = b"\x1b[31mred\x1b[0m \xff\n%41 \xe2\x80\xae.jpg"


@pytest.mark.parametrize("arguments", ["list", "duplicates", "search pictures/0.jpg"])
def test_images_link_to_their_files(home: Installation, arguments: str) -> None:
    """And no control character of a name reaches the terminal."""
    odd = home.pictures / os.fsdecode(ODD)
    odd.write_bytes(encode(photo(0), quality=60))
    home.ok("resync")
    text = Terminal(home, *arguments.split()).end()
    targets = [urlsplit(target) for target in LINK.findall(text) if target]
    assert {target.netloc for target in targets} == {socket.gethostname()}
    files = {unquote_to_bytes(target.path) for target in targets}
    assert {os.fsencode(odd), os.fsencode(home.pictures / "0.jpg")} <= files
    lines = seen(text).splitlines()
    assert any("pictures/\\x1b[31mred\\x1b[0m \\udcff\\n%41 \\u202e.jpg" in each for each in lines)
    assert all(line.isprintable() for line in lines)


def test_an_image_without_a_file_is_not_a_link(home: Installation) -> None:
    home.configure("sync: {delete_after: 0s, hold_deletes_over: {count: 0, percent: 0}}\n")
    home.ok("resync")
    (home.pictures / "0.jpg").unlink()
    home.run("resync")
    text = Terminal(home, "list", "--state", "held").end()
    assert "pictures/0.jpg" in text
    assert not LINK.search(text)


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_gets_plain_text(home: Installation, term: str) -> None:
    home.ok("resync")
    home.environment["TERM"] = term
    for arguments in ("list", "status", "search pictures/0.jpg"):
        assert "\x1b" not in Terminal(home, *arguments.split()).end()


def test_the_plan_of_a_dry_run_goes_to_standard_output(home: Installation) -> None:
    """Not to the terminal that shows the progress."""
    ours, theirs = pty.openpty()
    plan = home.home / "plan"
    with plan.open("wb") as file:
        done = subprocess.run(
            command("resync", "--dry-run"),
            env=home.environment,
            stdout=file,
            stderr=theirs,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0
    assert [line.split("\t")[-1] for line in plan.read_text().splitlines()[:3]] == [
        f"pictures/{seed}.jpg" for seed in range(3)
    ]


def test_reading_commands_load_no_heavy_modules(home: Installation) -> None:
    """They read no pictures, so they need no picture libraries."""
    home.ok("resync")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "snoopsync", "list"],
        env=home.environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert not re.search(r"\| +(numpy|PIL)$", done.stderr, re.MULTILINE)
