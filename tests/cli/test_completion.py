"""Shell completion, in real shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pictures import encode, photo
from tests.support.process import DEADLINE_SECONDS, Installation, command, until
from tests.support.terminal import Terminal, seen

pytestmark = pytest.mark.integration

#: How each shell is started without anybody's own settings, and what it is told first.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(snoopsync completion bash)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -U compinit; compinit -u -D; eval "$(snoopsync completion zsh)"',
    ),
    "fish": (["fish", "--no-config", "-i"], "snoopsync completion fish | source"),
}

PROMPT = "ready> "


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """Two folders, one of them with a name that a shell has to be told twice; and ``snoopsync`` is
    a command."""
    home = Installation(tmp_path)
    (home.pictures / "a.jpg").write_bytes(encode(photo(0)))
    (home.pictures / "empty.jpg").write_bytes(b"")
    odd = home.home / "my $(photos)' & *"
    odd.mkdir()
    folders = [
        f"{{path: '{str(path).replace(chr(39), 2 * chr(39))}'}}" for path in (home.pictures, odd)
    ]
    home.configure(folders=f"folders: [{', '.join(folders)}]\n")
    scripts = home.home / "bin"
    scripts.mkdir()
    script = scripts / "snoopsync"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m snoopsync "$@"\n')
    script.chmod(0o755)
    home.environment |= {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "PS1": PROMPT,
        "PROMPT": PROMPT,
        "INPUTRC": "/dev/null",
        "SHELL": "/bin/sh",
    }
    return home


def shell(home: Installation, name: str) -> Terminal:
    program, setup = SHELLS[name]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{name} is not installed")
    terminal = Terminal(home, program=program)
    if name == "fish":
        terminal.type(f"function fish_prompt; echo -n '{PROMPT}'; end\n")
    terminal.expect(PROMPT)
    terminal.type(f"{setup}; echo is-set-up | tr - ' '\n")
    terminal.expect("is set up")
    return terminal


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_commands_options_and_states(home: Installation, name: str) -> None:
    home.run("resync")
    with shell(home, name) as terminal:
        terminal.type("snoopsync lis\t")
        until(lambda: "list" in seen(terminal.text))
        terminal.type("--sta\t")
        terminal.type("fail\t")
        terminal.type("\n")
        until(lambda: "pictures/empty.jpg: the file is empty" in seen(terminal.text))
        assert "a.jpg" not in seen(terminal.text)


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_and_quotes_folder_names(home: Installation, name: str) -> None:
    home.run("resync")
    with shell(home, name) as terminal:
        terminal.type("snoopsync approve my\t")
        until(lambda: "photos" in seen(terminal.text))
        terminal.type("\n")
        terminal.expect("no deletions are held")


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_folders_by_path(home: Installation, name: str) -> None:
    home.run("resync")
    with shell(home, name) as terminal:
        terminal.type("snoopsync approve ./pict\t")
        until(lambda: "pictures" in seen(terminal.text))
        terminal.type("\n")
        terminal.expect("no deletions are held")


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes_the_subcommands_of_duplicates_and_files(
    home: Installation, name: str
) -> None:
    home.run("resync")
    with shell(home, name) as terminal:
        terminal.type("snoopsync duplicates dism\t")
        until(lambda: "dismiss" in seen(terminal.text))
        terminal.type("pictures/a.j\t")
        until(lambda: "pictures/a.jpg" in seen(terminal.text))
        terminal.type("\n")
        terminal.expect("a decision is about two or more images")
        terminal.type("snoopsync duplicates pictures/a.j\t")
        terminal.type("\n")
        terminal.expect("no duplicates")


def completed(home: Installation, *words: str) -> list[str]:
    """The candidates for the last of these words."""
    done = subprocess.run(
        command(),
        env=home.environment
        | {
            "_SNOOPSYNC_COMPLETE": "zsh_complete",
            "COMP_WORDS": " ".join(("snoopsync", *words)),
            "COMP_CWORD": str(len(words)),
        },
        cwd=home.home,
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=DEADLINE_SECONDS,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    return [value for kind, value in zip(lines[::3], lines[1::3], strict=True) if kind == "plain"]


def test_commands_options_states_and_folders_are_completed(home: Installation) -> None:
    odd = "my $(photos)' & *"
    assert completed(home, "re") == ["resync", "review"]
    assert completed(home, "status", "--") == ["--watch", "--json", "--help"]
    assert completed(home, "list", "--state", "") == ["synced", "pending", "failed", "held"]
    for name in ("run", "resync", "approve"):
        assert completed(home, name, "") == ["pictures", odd]
    assert completed(home, "init", "") == []
    assert completed(home, "duplicates", "") == ["dismiss", "restore"]
    assert completed(home, "duplicates", "dis") == ["dismiss"]
    assert completed(home, "duplicates", "pictures/a.jpg", "dis") == []
    assert completed(home, "completion", "") == ["bash", "zsh", "fish"]


def test_folders_come_from_the_named_configuration(home: Installation) -> None:
    other = home.home / "other.yaml"
    other.write_text(f"folders: [{{path: {home.pictures}, name: elsewhere}}]\n")
    assert completed(home, "--config", str(other), "resync", "") == ["elsewhere"]


def test_without_a_configuration_folders_come_from_the_state(home: Installation) -> None:
    home.configure().unlink()
    assert completed(home, "approve", "") == []
    home.run("resync", home.pictures)
    assert completed(home, "approve", "") == ["pictures"]


@pytest.mark.parametrize("text", ["folders: 7\n", "folders: [{path: \x00}", None])
def test_an_invalid_configuration_is_ignored(home: Installation, text: str | None) -> None:
    path = home.configure()
    if text is None:
        home.environment["SNOOPSYNC_CONFIG"] = "/not/there"
    else:
        path.write_text(text)
    assert completed(home, "resync", "") == []
    assert completed(home, "res") == ["resync"]


def test_completing_writes_no_files(home: Installation) -> None:
    home.configure("log: {file: snoopsync.log}\n" + f"folders: [{{path: {home.pictures}}}]\n", " ")
    before = snapshot(home.home)
    for words in ([""], ["resync", ""], ["list", "--state", ""], ["approve", "p"]):
        completed(home, *words)
    assert snapshot(home.home) == before


def snapshot(root: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in [root, *root.rglob("*")]}


@pytest.mark.parametrize("words", ["", "stat"])
def test_completing_a_command_loads_no_command(home: Installation, words: str) -> None:
    """Completion must be fast: loading a command takes three times as long."""
    loaded = imported(home, {"COMP_WORDS": f"snoopsync {words}", "COMP_CWORD": "1"})
    assert "snoopsync.cli.root" in loaded
    assert not {"snoopsync.sync", "snoopsync.status", "rich.console", "requests"} & loaded


def imported(home: Installation, environment: dict[str, str]) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "snoopsync"],
        env=home.environment | {"_SNOOPSYNC_COMPLETE": "bash_complete"} | environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return set(re.findall(r"\| +(\S+)$", done.stderr, re.MULTILINE))
