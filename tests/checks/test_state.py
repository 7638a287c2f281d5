"""What is found out about the disk of the state file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from snoopsync.checks.finding import Severity
from snoopsync.checks.state import state_directory_finding
from tests.support.findings import ERROR, WARNING
from tests.support.losing import needs_root


@needs_root
@pytest.mark.parametrize(
    ("options", "state", "said"),
    [
        ("size=8m", WARNING, "8.4 MB free"),
        ("size=512k", ERROR, "its disk is full"),
        ("size=8m,ro", ERROR, "its file system is read-only"),
    ],
)
def test_a_disk_without_space_for_the_state_file_is_reported(
    tmp_path: Path, options: str, state: Severity, said: str
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", os.fspath(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted")
    try:
        finding = state_directory_finding(tmp_path / "new" / "newer" / "state.sqlite3")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert finding.severity is state
    assert said in finding.message
    assert finding.fix is not None
