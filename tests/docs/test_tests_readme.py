"""``tests/README.md`` names tests, files and helpers that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TESTS = ROOT / "tests"
TEXT = (TESTS / "README.md").read_text(encoding="utf-8")


def definitions(file: Path) -> set[str]:
    """The names of the functions and classes in a file, methods included."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def named_tests() -> set[tuple[str, str]]:
    """Each file without its suffix, with each name in it. A row names a file once."""
    found = set()
    for row in TEXT.splitlines():
        file = ""
        for match in re.finditer(r"`(\w+/test_\w+)?((?:::\w+)+)`", row):
            file = match[1] or file
            found |= {(file, name) for name in match[2].split("::") if name}
    return found


def test_each_test_that_is_named_exists() -> None:
    named = named_tests()
    assert len(named) > 100
    known = {file: definitions(TESTS / f"{file}.py") for file, _ in named}
    assert [f"{file}::{name}" for file, name in sorted(named) if name not in known[file]] == []


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`(\w+/test_\w+)(?:\.py)?`", TEXT))))
def test_each_file_that_is_named_exists(file: str) -> None:
    assert (TESTS / f"{file}.py").is_file()


def test_each_helper_is_listed() -> None:
    rows = TEXT.partition("## Helpers in `support/`")[2].partition("\n## ")[0].splitlines()
    listed = set(re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows if "|" in row)))
    helpers = {file.stem for file in (TESTS / "support").glob("[!_]*.py")}
    assert helpers - listed == {"test_disks"}
    assert listed - helpers == set()
