"""``check`` warns about directories that the folders show twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from snoopsync.checks.finding import Severity
from snoopsync.checks.overlaps import overlap_findings
from snoopsync.core.selection import Selection
from snoopsync.folders.folder import Folder
from tests.support.mounting import mounted, needs_root
from tests.support.pictures import encode, photo
from tests.support.process import Installation


def folder(path: Path, exclude: tuple[str, ...] = ()) -> Folder:
    return Folder(path.name, os.fsencode(path), Selection(None, exclude))


@pytest.fixture
def a(tmp_path: Path) -> Path:
    (tmp_path / "a" / "sub").mkdir(parents=True)
    (tmp_path / "a" / "2024").mkdir()
    return tmp_path / "a"


@pytest.fixture
def b(tmp_path: Path) -> Path:
    (tmp_path / "b" / "2023").mkdir(parents=True)
    return tmp_path / "b"


def found(*folders: Folder) -> list[tuple[str, str, str | None]]:
    """What is warned about: the folder, the message, and what to do."""
    findings = list(overlap_findings(folders))
    assert all(finding.severity is Severity.WARNING for finding in findings)
    return [(finding.check, finding.message, finding.fix) for finding in findings]


def test_separate_folders_do_not_overlap(a: Path, b: Path) -> None:
    assert found(folder(a), folder(b)) == []


@needs_root
def test_a_folder_mounted_into_another_is_reported_with_the_pattern_to_exclude(
    a: Path, b: Path
) -> None:
    with mounted(a / "sub", "--bind", b):
        [(check, message, fix)] = found(folder(a), folder(b))
        assert check == "overlap of b"
        assert f"{b} is also {a}/sub (folder a)" in message
        assert fix == "exclude one of them: in folder a, exclude: ['/sub/']"
        assert found(folder(a, ("/sub/",)), folder(b)) == []
        assert found(folder(a)) == []


@needs_root
def test_a_part_of_a_folder_mounted_into_another_is_found(a: Path, b: Path) -> None:
    with mounted(a / "sub", "--bind", b / "2023"):
        [(_, message, fix)] = found(folder(a), folder(b))
    assert f"{a}/sub is also {b}/2023 (folder b)" in message
    assert fix == "exclude one of them: in folder b, exclude: ['/2023/']"


@needs_root
def test_two_folders_that_are_one_directory_are_found(a: Path, b: Path) -> None:
    with mounted(b, "--bind", a):
        [(_, message, fix)] = found(folder(a), folder(b))
    assert f"{b} is also {a} (folder a)" in message
    assert fix == "remove one of the two folders from the configuration"


@needs_root
def test_a_directory_mounted_twice_in_one_folder_is_found(a: Path) -> None:
    with mounted(a / "sub", "--bind", a / "2024"):
        [(_, message, fix)] = found(folder(a))
    assert f"{a}/sub is also {a}/2024 (folder a)" in message
    assert fix == "exclude one of them: in folder a, exclude: ['/2024/']"


@needs_root
def test_a_directory_hidden_by_another_mount_is_not_reported(a: Path, b: Path) -> None:
    with mounted(a / "sub", "--bind", b), mounted(a / "sub", "--bind", a / "2024"):
        assert [message for _, message, _ in found(folder(a, ("/2024/",)), folder(b))] == []


def test_without_a_mount_table_nothing_is_reported(a: Path, b: Path, tmp_path: Path) -> None:
    assert list(overlap_findings([folder(a), folder(b)], tmp_path / "nothing")) == []


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Installation]:
    """Two folders, and the second one is mounted into the first."""
    home = Installation(tmp_path)
    scans = tmp_path / "scans"
    (home.pictures / "scans").mkdir()
    scans.mkdir()
    (scans / "a.jpg").write_bytes(encode(photo(1)))
    home.configure(folders=f"folders: [{{path: {home.pictures}}}, {{path: {scans}}}]\n")
    with mounted(home.pictures / "scans", "--bind", scans):
        yield home


@needs_root
def test_check_warns_about_an_overlap_and_a_resync_does_not_alert(bound: Installation) -> None:
    findings: dict[str, Any] = {line["check"]: line for line in bound.json("check", "--json")}
    assert findings["overlap of scans"]["state"] == "warning"
    done = bound.run("resync")
    assert done.code == 0
    assert "duplicate:" not in done.err


def test_a_link_into_another_folder_is_a_configuration_error(
    tmp_path: Path,
) -> None:
    home = Installation(tmp_path)
    (home.pictures / "2024").mkdir()
    link = tmp_path / "link"
    link.symlink_to(home.pictures / "2024")
    home.configure(folders=f"folders: [{{path: {home.pictures}}}, {{path: {link}}}]\n")
    [problem] = [line for line in home.json("check", "--json", code=78) if line["state"] == "error"]
    assert "is inside" in problem["message"]
