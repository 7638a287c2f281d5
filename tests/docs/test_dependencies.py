"""What snoopsync imports is what it declares, with a version, and never what another one brings."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

from tests.support.paths import ROOT


def imported() -> Iterator[str]:
    """The modules that the package imports, by the first part of their names."""
    for path in (ROOT / "snoopsync").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def declared() -> dict[str, str]:
    """The distributions that the package needs, with or without extras, and what is asked of their
    versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = project["dependencies"] + [
        line for name in extras if name != "dev" for line in extras[name]
    ]
    found = {}
    for line in lines:
        match = re.match(r"([\w.-]+)(?:\[[\w,]+\])?([^;]*)", line)
        assert match is not None, line
        found[plain(match[1])] = match[2].strip()
    return found


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_each_module_that_is_imported_is_declared() -> None:
    of_module = packages_distributions()
    foreign = set(imported()) - sys.stdlib_module_names - {"snoopsync"}
    needed = {plain(of_module[module][0]) for module in foreign if module in of_module}
    assert needed - declared().keys() == set()


def test_each_dependency_has_a_lowest_version() -> None:
    without = {name for name, version in declared().items() if not version.startswith(">=")}
    assert without == {"snoopsync"}  # its own extras
