"""The manual pages, made by the command in docs/operating.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from snoopsync.cli.root import program
from tests.docs.test_docs import commands
from tests.support.documentation import PAGES


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("man")
    [line] = re.findall(r"^click-man .*$", PAGES["operating"], re.MULTILINE)
    scripts = Path(sys.executable).parent
    subprocess.run(
        line.replace("target/man1", str(target)).split(),
        env=os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
    )
    return target


def every_command() -> list[tuple[str, click.Command]]:
    return [("snoopsync", program), *commands(program)]


@pytest.mark.parametrize(("name", "command"), every_command(), ids=[n for n, _ in every_command()])
def test_each_command_has_a_manual_page_with_all_options(
    pages: Path, name: str, command: click.Command
) -> None:
    page = (pages / f"{name.replace(' ', '-')}.1").read_text()
    title = re.search(r"^\.SH NAME\n(.+)$", page, re.MULTILINE)
    assert title and not title[1].endswith("..."), title
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert all(form.replace("-", r"\-") in page for form in parameter.opts)
    if isinstance(command, click.Group):
        assert all(rf"\fB{name}-{each}(1)\fP" in page for each in command.commands)


def test_man_accepts_the_pages(pages: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    for page in pages.iterdir():
        done = subprocess.run(
            ["man", "--warnings", "--local-file", page],
            env=os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        assert done.stderr == ""
        assert all(len(line) <= 80 for line in done.stdout.splitlines())
