"""The docstring of each package lists its modules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGES = sorted(path.parent for path in (ROOT / "snoopsync").glob("*/**/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_docstring_lists_each_module_once(package: Path) -> None:
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    *_, table, _ = re.split(r"^=+ +=+$", text, flags=re.MULTILINE)
    rows = re.findall(r"^``(\w+)``", table, flags=re.MULTILINE)
    # The row of one module may name others that belong to it.
    named = set(re.findall(r"``(\w+)``", table))
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    assert len(rows) == len(set(rows))
    assert set(rows) <= modules | packages <= named
