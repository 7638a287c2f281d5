"""Whether the members of a group can enter the directory of the socket."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from snoopsync.control.group_access import group_obstacle

OWN = grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def directory() -> Iterator[Path]:
    # Everybody may enter /tmp, but not always the directories of pytest.
    with TemporaryDirectory(dir="/tmp") as name:
        Path(name, "below").mkdir()
        yield Path(name)


@pytest.mark.parametrize("mode", [0o710, 0o750, 0o2710])
def test_a_directory_that_the_group_may_enter_is_not_an_obstacle(
    directory: Path, mode: int
) -> None:
    directory.chmod(mode)
    assert group_obstacle(directory, OWN) is None


@pytest.mark.parametrize("mode", [0o700, 0o740, 0o701])
def test_a_closed_directory_is_named_with_the_command_that_opens_it(
    directory: Path, mode: int
) -> None:
    directory.chmod(mode)
    (directory / "below").chmod(0o755)
    for each in (directory, directory / "below"):
        obstacle = group_obstacle(each, OWN)
        assert obstacle is not None
        assert obstacle.problem == f"group {OWN} cannot enter {directory}"
        assert obstacle.fix == f"chmod g+x {directory}"


def test_the_rights_of_everybody_count_in_a_directory_of_another_group(directory: Path) -> None:
    other = next(each for each in grp.getgrall() if each.gr_gid != os.getegid())
    directory.chmod(0o755)
    assert group_obstacle(directory, other.gr_name) is None
    directory.chmod(0o770)
    obstacle = group_obstacle(directory, other.gr_name)
    assert obstacle is not None
    assert obstacle.fix == f"chgrp {other.gr_name} {directory} && chmod g+x {directory}"


def test_a_group_or_a_directory_that_does_not_exist_is_an_obstacle(directory: Path) -> None:
    assert "does not exist" in str(group_obstacle(directory, "no such group"))
    directory.chmod(0o755)
    assert "No such file" in str(group_obstacle(directory / "nowhere", OWN))
