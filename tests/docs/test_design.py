"""``docs/design.md`` names the packages, layers, modules and names that exist."""

from __future__ import annotations

import ast
import re
import tomllib
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from snoopsync.state.database import Database
from tests.support.documentation import PAGES, section
from tests.support.paths import ROOT

DESIGN = PAGES["design"]
PACKAGE = ROOT / "snoopsync"

#: A module, and the names in parentheses that it defines: `sync/resync.py` (`ResyncRun`).
MODULE = re.compile(r"`(\w+/\w+\.py)`(?:\s\((`[\w.]+`(?:,\s`[\w.]+`)*)\))?")


@cache
def defined(path: Path) -> frozenset[str]:
    """The classes and functions of a module, and the methods as ``Class.method``."""
    names = set()
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (each for each in node.body if isinstance(each, ast.FunctionDef))
            names |= {f"{node.name}.{method.name}" for method in methods}
    return frozenset(names)


def test_the_table_of_packages_has_the_layers_that_are_checked() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", section(DESIGN, "Packages"), re.MULTILINE)
    [contract] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    layers = contract["layers"]
    expected = [
        (str(number), name.strip().removeprefix("snoopsync."))
        for number, layer in zip(range(len(layers), 0, -1), layers, strict=True)
        for name in layer.split("|")
    ]
    assert rows == expected
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name for _, name in rows} == packages


@pytest.mark.parametrize(("module", "names"), sorted(set(MODULE.findall(DESIGN))))
def test_every_module_and_its_names_exist(module: str, names: str) -> None:
    path = PACKAGE / module
    assert path.exists()
    assert set(re.findall(r"[\w.]+", names)) <= defined(path)


def test_the_table_of_tables_is_that_of_the_state_file(tmp_path: Path) -> None:
    text = section(DESIGN, "What the state file records")
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        tables = database.query(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    assert set(rows) == {name for (name,) in tables}


def test_every_other_name_of_a_class_exists() -> None:
    everywhere = frozenset[str]().union(*map(defined, PACKAGE.rglob("*.py")))
    named = set(re.findall(r"`([A-Z][a-z]\w*(?:\.\w+)?)`", DESIGN))
    assert named
    assert named - everywhere == set()
